"""Speech and text analytics: scores, and transcripts behind links that end."""

import asyncio
import secrets
from typing import Any

from aiohttp import web

from worker.emulators.genesys.cloud import Endpoint, GenesysCloud
from worker.emulators.genesys.ended import Spoken
from worker.emulators.genesys.replies import Refusal, no_query

SIGNATURE = "X-Amz-Signature"


def routes() -> list[Endpoint]:
    """`transcript_file` stands for S3: no token, no budget of Genesys."""
    one = "/api/v2/speechandtextanalytics/conversations/{id}"
    url = f"{one}/communications/{{session}}/transcripturl"
    return [
        Endpoint("speech", "GET", one, _conversation),
        Endpoint("transcript_url", "GET", url, _transcript_url),
        Endpoint("transcript_file", "GET", "/transcripts/{name}", _file, needs_token=False),
    ]


async def _conversation(cloud: GenesysCloud, request: web.Request) -> web.StreamResponse:
    no_query(request)
    conversation_id = request.match_info["id"]
    uri = f"/api/v2/conversations/{conversation_id}"
    answer: dict[str, Any] = {
        "conversation": {"id": conversation_id, "selfUri": uri},
        "sentimentScore": _spoken(cloud, request).score,
        "sentimentTrendClass": "NotCalculated",
        "empathyScores": [],
    }
    return web.json_response({name: value for name, value in answer.items() if value is not None})


async def _transcript_url(cloud: GenesysCloud, request: web.Request) -> web.StreamResponse:
    no_query(request)
    file = _spoken(cloud, request).transcripts.get(request.match_info["session"])
    if file is None:
        raise Refusal(404, "resource.not.found")
    signature = secrets.token_hex(32)
    ends_at = asyncio.get_running_loop().time() + cloud.speech.link_seconds
    cloud.speech.links[signature] = (file, ends_at)
    path = f"/transcripts/transcript.json?{SIGNATURE}={signature}"
    return web.json_response({"url": f"{cloud.url}{path}"})


async def _file(cloud: GenesysCloud, request: web.Request) -> web.StreamResponse:
    """Answer as S3 does; it refuses a request that is authorised in two ways."""
    if "Authorization" in request.headers:
        return web.Response(status=400, text="<Error><Code>InvalidArgument</Code></Error>")
    file, ends_at = cloud.speech.links.get(request.query.get(SIGNATURE, ""), ({}, 0.0))
    if asyncio.get_running_loop().time() >= ends_at:
        return web.Response(status=403, text="<Error><Code>AccessDenied</Code></Error>")
    return web.json_response(file)


def _spoken(cloud: GenesysCloud, request: web.Request) -> Spoken:
    spoken = cloud.speech.conversations.get(request.match_info["id"])
    if spoken is None or asyncio.get_running_loop().time() < spoken.analysed_at:
        raise Refusal(404, "resource.not.found")
    return spoken

"""Conversations: live, their attributes, and what speech and text analytics finds in them; flows.

Attributes are those of a participant (platform) or of a conversation (reference texts r2, where
they are typed, and r3). Transcripts lie behind links that end. Flows
declare the attributes that they read, in the form of either dialect.
"""

import asyncio
import secrets
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from worker.emulators.genesys.cloud import Endpoint, GenesysCloud, Spoken
from worker.emulators.genesys.replies import Refusal, json_object, no_query

SIGNATURE = "X-Amz-Signature"


def routes() -> list[Endpoint]:
    """All ways to set attributes count as `attributes`, and merge: what is not named stays.

    `transcript_file` stands for S3: no token, no budget of Genesys.
    """
    conversation = "/api/v2/conversations/{id}"
    participant = f"{conversation}/participants/{{participant}}/attributes"
    spoken = "/api/v2/speechandtextanalytics/conversations/{id}"
    url = f"{spoken}/communications/{{session}}/transcripturl"
    return [
        Endpoint("conversation", "GET", conversation, _conversation),
        Endpoint("attributes", "PATCH", participant, _patch_participant),
        Endpoint("attributes", "PATCH", conversation, _patch_conversation),
        Endpoint(
            "attributes",
            "PUT",
            f"{conversation}/attributes",
            _put_conversation,
            texts=frozenset(("r3",)),
        ),
        Endpoint("speech", "GET", spoken, _speech),
        Endpoint("transcript_url", "GET", url, _transcript_url),
        Endpoint("transcript_file", "GET", "/transcripts/{name}", _file, needs_token=False),
        Endpoint("flow", "GET", "/api/v2/flows/{id}", _flow),
    ]


async def _conversation(cloud: GenesysCloud, request: web.Request) -> web.StreamResponse:
    no_query(request)
    conversation = cloud.conversations.get(request.match_info["id"])
    if conversation is None:
        raise Refusal(404, "resource.not.found", "The requested resource was not found")
    return web.json_response(conversation)


async def _patch_participant(cloud: GenesysCloud, request: web.Request) -> web.StreamResponse:
    attributes = await _attributes(request)
    _merge(_participant(_held(cloud, request), request), attributes)
    return web.Response(status=202)


async def _patch_conversation(cloud: GenesysCloud, request: web.Request) -> web.StreamResponse:
    conversation = _held(cloud, request)
    _merge(conversation, await _attributes(request, typed=True))
    return web.json_response(conversation)


async def _put_conversation(cloud: GenesysCloud, request: web.Request) -> web.StreamResponse:
    conversation = _held(cloud, request)
    _merge(conversation, await _attributes(request))
    return web.Response(status=204)


async def _attributes(request: web.Request, *, typed: bool = False) -> dict[str, Any]:
    """Return the body's attributes; only strings are taken, as on the platform, unless `typed`."""
    body = await json_object(request)
    attributes = body.get("attributes")
    if set(body) != {"attributes"} or not isinstance(attributes, dict) or not attributes:
        raise Refusal(400)
    kinds = str | int | float | bool if typed else str
    if not all(name and isinstance(value, kinds) for name, value in attributes.items()):
        raise Refusal(400, "invalid.value")
    return attributes


def _held(cloud: GenesysCloud, request: web.Request) -> dict[str, Any]:
    conversation = cloud.conversations.get(request.match_info["id"])
    if conversation is None:
        raise Refusal(404, "resource.not.found")
    return conversation


def _participant(conversation: dict[str, Any], request: web.Request) -> dict[str, Any]:
    wanted = request.match_info["participant"]
    found: list[dict[str, Any]] = [
        who for who in conversation.get("participants", []) if who.get("id") == wanted
    ]
    if not found:
        raise Refusal(404, "resource.not.found")
    return found[0]


def _merge(holder: dict[str, Any], attributes: dict[str, Any]) -> None:
    holder["attributes"] = {**holder.get("attributes", {}), **attributes}


async def _speech(cloud: GenesysCloud, request: web.Request) -> web.StreamResponse:
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


def a_flow(flow_id: str, inputs: Mapping[str, str]) -> dict[str, Any]:
    """Return a flow with these inputs, kinds by name, which both dialects can read.

    A `date` is a string with a format to the platform, and a data type to the reference texts.
    """
    properties = {
        f"Flow.{name}": {"type": "string", "format": "date"} if kind == "date" else {"type": kind}
        for name, kind in inputs.items()
    }
    schema = {"$schema": "http://json-schema.org/draft-04/schema#", "type": "object"}
    return {
        "id": flow_id,
        "name": "Customer attributes",
        "type": "WORKFLOW",
        "active": True,
        "publishedVersion": {"id": "1.0", "inputSchema": {**schema, "properties": properties}},
        "inputDefinitions": [{"name": name, "dataType": kind} for name, kind in inputs.items()],
    }


async def _flow(cloud: GenesysCloud, request: web.Request) -> web.StreamResponse:
    no_query(request)
    flow = cloud.flows.get(request.match_info["id"])
    if flow is None:
        raise Refusal(404, "architect.flow.not.found")
    return web.json_response(flow)

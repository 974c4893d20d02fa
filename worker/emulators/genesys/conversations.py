"""Live conversations, alike in both dialects."""

from aiohttp import web

from worker.emulators.genesys.cloud import Endpoint, GenesysCloud
from worker.emulators.genesys.replies import Refusal, no_query


def routes() -> list[Endpoint]:
    """`GET /api/v2/conversations/{id}`."""
    return [Endpoint("conversation", "GET", "/api/v2/conversations/{id}", _conversation)]


async def _conversation(cloud: GenesysCloud, request: web.Request) -> web.StreamResponse:
    no_query(request)
    conversation = cloud.conversations.get(request.match_info["id"])
    if conversation is None:
        raise Refusal(404, "resource.not.found", "The requested resource was not found")
    return web.json_response(conversation)

"""Attributes: of a participant (platform), of a conversation (reference texts r2, r3)."""

from typing import Any

from aiohttp import web

from worker.emulators.genesys.cloud import Endpoint, GenesysCloud
from worker.emulators.genesys.replies import Refusal, json_object


def routes() -> list[Endpoint]:
    """All count as `attributes`. Each merges: what is not named stays."""
    conversation = "/api/v2/conversations/{id}"
    participant = f"{conversation}/participants/{{participant}}/attributes"
    return [
        Endpoint("attributes", "PATCH", participant, _patch_participant),
        Endpoint("attributes", "PATCH", conversation, _patch_conversation),
        Endpoint("attributes", "PUT", f"{conversation}/attributes", _put_conversation),
    ]


async def _patch_participant(cloud: GenesysCloud, request: web.Request) -> web.StreamResponse:
    attributes = await _attributes(request)
    _merge(_participant(_conversation(cloud, request), request), attributes)
    return web.Response(status=202)


async def _patch_conversation(cloud: GenesysCloud, request: web.Request) -> web.StreamResponse:
    conversation = _conversation(cloud, request)
    _merge(conversation, await _attributes(request))
    return web.json_response(conversation)


async def _put_conversation(cloud: GenesysCloud, request: web.Request) -> web.StreamResponse:
    conversation = _conversation(cloud, request)
    _merge(conversation, await _attributes(request))
    return web.Response(status=204)


async def _attributes(request: web.Request) -> dict[str, str]:
    """Return the body's attributes; only strings are taken, as on the platform."""
    body = await json_object(request)
    attributes = body.get("attributes")
    if set(body) != {"attributes"} or not isinstance(attributes, dict) or not attributes:
        raise Refusal(400)
    if not all(name and isinstance(value, str) for name, value in attributes.items()):
        raise Refusal(400, "invalid.value")
    return attributes


def _conversation(cloud: GenesysCloud, request: web.Request) -> dict[str, Any]:
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


def _merge(holder: dict[str, Any], attributes: dict[str, str]) -> None:
    holder["attributes"] = {**holder.get("attributes", {}), **attributes}

"""Conversation details by id: the platform's multi-get, and the details query of r1 and r3."""

import asyncio
import re
from datetime import datetime
from typing import Any

import orjson
from aiohttp import web

from worker.emulators.genesys.cloud import Endpoint, GenesysCloud
from worker.emulators.genesys.details_filters import only, span
from worker.emulators.genesys.replies import Refusal

MOST_IDS = 100
QUERY = ("dateFrom", "dateTo", "groupBy", "filter", "size")
SENTIMENT = {
    "sentimentOverallScore",
    "sentimentPositive",
    "sentimentNeutral",
    "sentimentNegative",
}

_ID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def routes() -> list[Endpoint]:
    """`GET .../details?id=` counts as `details_by_id`; `analytics_details` routes the query."""
    path = "/api/v2/analytics/conversations/details"
    return [Endpoint("details_by_id", "GET", path, _by_ids)]


def reference_query(cloud: GenesysCloud, body: dict[str, Any]) -> web.Response:
    """Answer the query of r1, or that of r3 if it asks for a view; all filters must match."""
    only(body, QUERY, ("view", "metrics"))
    first, last = span(body["dateFrom"], body["dateTo"])
    if not isinstance(body["size"], int) or not 1 <= body["size"] <= 100:
        raise Refusal(400)
    found = _matching(cloud, body["filter"], first, last)[: body["size"]]
    if "view" in body:
        return _json({"entities": _scored(cloud, body, found), "nextPageToken": None})
    return _json({"entities": found, "nextPageToken": None})


async def _by_ids(cloud: GenesysCloud, request: web.Request) -> web.StreamResponse:
    """Answer those there are: an id that is not known is left out, a bad one spoils all."""
    if set(request.query) != {"id"} or len(request.query.getall("id")) != 1:
        raise Refusal(400)
    ids = request.query["id"].split(",")
    if len(ids) > MOST_IDS or not all(_ID.fullmatch(one) for one in ids):
        raise Refusal(400)
    if not cloud.refused_ids.isdisjoint(ids):
        raise Refusal(400)
    found = [record for one in ids if (record := _record(cloud, one)) is not None]
    return _json({"conversations": found} if found else {})


def _matching(cloud: GenesysCloud, filters: object, first: int, last: int) -> list[dict[str, Any]]:
    if not isinstance(filters, list) or not filters:
        raise Refusal(400)
    wanted = [_conversation_of(one) for one in filters]
    record = _record(cloud, wanted[0]) if len(set(wanted)) == 1 else None
    if record is None:
        return []
    started = datetime.fromisoformat(record["conversationStart"]).timestamp() * 1000
    return [record] if first <= started < last else []


def _conversation_of(one: object) -> str:
    if not isinstance(one, dict):
        raise Refusal(400)
    only(one, ("type", "value"))
    if one["type"] != "conversationId" or not isinstance(one["value"], str):
        raise Refusal(400)
    return one["value"]


def _scored(
    cloud: GenesysCloud, body: dict[str, Any], found: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    asked = body.get("metrics")
    if body["view"] != "sentiment" or not isinstance(asked, list) or not set(asked) <= SENTIMENT:
        raise Refusal(400)
    now = asyncio.get_running_loop().time()
    entities = []
    for record in found:
        spoken = cloud.speech.conversations.get(record["conversationId"])
        known = spoken.metrics if spoken and now >= spoken.analysed_at else {}
        metrics = [{"name": name, "value": known[name]} for name in asked if name in known]
        entities.append({"conversationId": record["conversationId"], "metrics": metrics})
    return entities


def _record(cloud: GenesysCloud, conversation_id: str) -> dict[str, Any] | None:
    ended = cloud.ended.get(conversation_id)
    return None if ended is None else ended.at(asyncio.get_running_loop().time())


def _json(answer: dict[str, Any]) -> web.Response:
    return web.Response(body=orjson.dumps(answer), content_type="application/json")

"""Conversation details: the platform's query, jobs and multi-get, and the queries of r1, r3, r4."""

import asyncio
import re
import uuid
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Any

import orjson
from aiohttp import web

from worker.emulators.genesys.cloud import Endpoint, GenesysCloud
from worker.emulators.genesys.history import DIVISION, History, Past, as_platform, as_reference
from worker.emulators.genesys.replies import Refusal, json_object, no_query

BASE = "/api/v2/analytics/conversations/details"
Test = Callable[[Past], bool]
SEGMENT: dict[str, Callable[[Past], object]] = {
    "mediaType": lambda past: past.media_type,
    "queueId": lambda past: past.queue_id,
    "userId": lambda past: past.user_id,
    "direction": lambda past: past.direction,
    "wrapUpCode": lambda past: past.wrapup_code,
}
CONVERSATION: dict[str, Callable[[Past], object]] = {
    "originatingDirection": lambda past: past.direction,
    "conversationId": lambda past: past.id,
    "conversationEnd": lambda past: past.duration_ms,
    "conversationStart": lambda past: past.start_ms,
    "divisionId": lambda _: DIVISION,
    **dict.fromkeys(
        (
            "accessAttribute",
            "conversationInitiator",
            "customerParticipation",
            "externalTag",
            "mediaStatsMinConversationMos",
            "originatingSocialMediaPublic",
        ),
        lambda _: None,
    ),
}
"""All dimensions of the SDK's ConversationDetailQueryPredicate; a 400 among segment filters."""

METRICS: dict[str, Callable[[Past], int | None]] = {
    "tConversationDuration": lambda past: past.duration_ms,
    "tHeld": lambda past: past.hold_ms,
    "tTalk": lambda past: past.talk_ms,
}
REFERENCE = {
    "conversation.media.type": SEGMENT["mediaType"],
    "routing.queue.id": SEGMENT["queueId"],
    "originatingDirection": CONVERSATION["originatingDirection"],
    "conversationId": CONVERSATION["conversationId"],
}
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
MOST_IDS = 100
QUERY = ("dateFrom", "dateTo", "groupBy", "filter", "size")
SENTIMENT = {
    "sentimentOverallScore",
    "sentimentPositive",
    "sentimentNeutral",
    "sentimentNegative",
}
_ID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
JOB_BODY = ("interval", "order", "orderBy")
FILTERS = ("segmentFilters", "conversationFilters")
ORDERS = {"conversationStart", "conversationEnd", "segmentStart", "segmentEnd"}
REPORT_METRICS = {
    "conversation.duration.seconds",
    "agent.talk.seconds",
    "agent.hold.seconds",
    "wrapup.code",
}


def routes() -> list[Endpoint]:
    """All forms of the query count as `details_query`, a look-up by id as `details_by_id`."""
    return [
        Endpoint("details_query", "POST", f"{BASE}/query", details_query),
        Endpoint("details_job", "POST", f"{BASE}/jobs", _submit),
        # Before the one that takes any id.
        Endpoint("details_availability", "GET", f"{BASE}/jobs/availability", _availability),
        Endpoint("details_job_state", "GET", f"{BASE}/jobs/{{id}}", _state),
        Endpoint("details_job_results", "GET", f"{BASE}/jobs/{{id}}/results", _results),
        Endpoint("details_by_id", "GET", BASE, _by_ids),
    ]


async def details_query(cloud: GenesysCloud, request: web.Request) -> web.StreamResponse:
    """Answer whichever form the body has."""
    body = await json_object(request)
    if "query" in body:
        return _reference(cloud.history, body)
    if "dateFrom" in body:
        return reference_query(cloud, body)
    only(body, (*JOB_BODY, "paging"), FILTERS)
    _check_order(body)
    size, number = _paging(body["paging"])
    history = cloud.history
    if size * number > history.most_results:
        raise Refusal(
            400, "bad.request", f"Pagination may not exceed {history.most_results} results"
        )
    found = _found(history, interval(body["interval"]), tests_of(body))
    page = _page(history, found, number, size)
    answer: dict[str, Any] = {"totalHits": len(found)}
    if page:
        answer["conversations"] = [as_platform(past) for past in page]
    return _json(answer)


def _check_order(body: dict[str, Any]) -> None:
    if body["order"] not in {"asc", "desc", "unordered"} or body["orderBy"] not in ORDERS:
        raise Refusal(400)
    if (body["order"], body["orderBy"]) != ("asc", "conversationStart"):
        raise Refusal(501, message="the emulator knows no other order")


def _paging(value: object) -> tuple[int, int]:
    if not isinstance(value, dict):
        raise Refusal(400)
    only(value, ("pageSize", "pageNumber"))
    size, number = value["pageSize"], value["pageNumber"]
    if not isinstance(size, int) or not isinstance(number, int) or number < 1:
        raise Refusal(400)
    if not 1 <= size <= 100:
        raise Refusal(400, "bad.request", "pageSize must be from 1 to 100")
    return size, number


def _reference(history: History, body: dict[str, Any]) -> web.Response:
    required = ("query", "interval", "groupBy", "metrics", "filter", "size")
    only(body, required, ("pageToken",))
    query = body["query"]
    only(query, ("type", "timeRange"))
    only(query["timeRange"], ("from", "to"))
    if body["interval"] != "PT1H" or not set(body["metrics"]) <= REPORT_METRICS:
        raise Refusal(400)
    token, size = body.get("pageToken", "p1"), body["size"]
    times = query["timeRange"]
    found = _found(history, span(times["from"], times["to"]), reference_tests(body["filter"]))
    number = int(token.removeprefix("p"))
    answer: dict[str, Any] = {
        "results": [as_reference(past) for past in _page(history, found, number, size)]
    }
    if number * size < len(found):
        answer["nextPageToken"] = f"p{number + 1}"
    return _json(answer)


def _found(
    history: History, times: tuple[int, int], tests: list[Test], *, by_activity: bool = False
) -> Sequence[int]:
    if history.is_too_large(*times):
        raise Refusal(history.too_large_status)
    places = history.between(*times, by_activity=by_activity)
    if not tests:
        return places
    return [p for p in places if all(test(history.conversations[p]) for test in tests)]


def _page(history: History, found: Sequence[int], number: int, size: int) -> list[Past]:
    page = history.at(found[(number - 1) * size : number * size])
    return history.spoil(number, page) if history.spoil else page


async def _submit(cloud: GenesysCloud, request: web.Request) -> web.StreamResponse:
    body = await json_object(request)
    only(body, JOB_BODY, FILTERS)
    _check_order(body)
    times = interval(body["interval"])
    job = str(uuid.uuid4())
    places = _found(cloud.history, times, tests_of(body), by_activity=True)
    cloud.history.jobs[job] = list(places)
    return web.json_response({"jobId": job}, status=202)


async def _state(cloud: GenesysCloud, request: web.Request) -> web.StreamResponse:
    no_query(request)
    job = _job(cloud, request)
    state = "FULFILLED" if job in cloud.history.polled else "QUEUED"
    cloud.history.polled.add(job)
    return web.json_response({"state": state})


async def _results(cloud: GenesysCloud, request: web.Request) -> web.StreamResponse:
    job = _job(cloud, request)
    if job not in cloud.history.polled or not set(request.query) <= {"cursor", "pageSize"}:
        raise Refusal(400)
    start, size = int(request.query.get("cursor", "0")), int(request.query["pageSize"])
    places = cloud.history.jobs[job]
    page = cloud.history.at(places[start : start + size])
    answer: dict[str, Any] = {"conversations": [as_platform(past) for past in page]}
    if start + size < len(places):
        answer["cursor"] = str(start + size)
    return _json(answer)


async def _availability(cloud: GenesysCloud, request: web.Request) -> web.StreamResponse:
    no_query(request)
    return web.json_response({"dataAvailabilityDate": cloud.history.available_until.isoformat()})


def _job(cloud: GenesysCloud, request: web.Request) -> str:
    job = request.match_info["id"]
    if job not in cloud.history.jobs:
        raise Refusal(404)
    return job


def _json(answer: dict[str, Any]) -> web.Response:
    # orjson: a page is some 150 kB, and the tests ask for thousands.
    return web.Response(body=orjson.dumps(answer), content_type="application/json")


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


def only(body: dict[str, Any], required: Iterable[str], optional: Iterable[str] = ()) -> None:
    """Raise Refusal unless the object has these keys and no others."""
    required = set(required)
    if not required <= set(body) <= required | set(optional):
        raise Refusal(400)


def interval(value: object) -> tuple[int, int]:
    """Read `start/end` with milliseconds and `Z`, as the platform writes it."""
    start, slash, end = value.partition("/") if isinstance(value, str) else ("", "", "")
    if not slash or not _MOMENT.fullmatch(start) or not _MOMENT.fullmatch(end):
        raise Refusal(400, "invalid.date")
    return span(start, end)


def span(start: object, end: object) -> tuple[int, int]:
    """Return two ISO 8601 times as ms, the first before the second."""
    try:
        first, last = (
            round(datetime.fromisoformat(str(t)).timestamp() * 1000) for t in (start, end)
        )
    except ValueError as error:
        raise Refusal(400, "invalid.date") from error
    if first >= last:
        raise Refusal(400, "invalid.date")
    return first, last


def tests_of(body: dict[str, Any]) -> list[Test]:
    """Return what a conversation must pass: all of them."""
    lists = (("segmentFilters", SEGMENT), ("conversationFilters", CONVERSATION))
    return [_test(one, known) for name, known in lists for one in _objects(body.get(name, []))]


def reference_tests(filters: object) -> list[Test]:
    """Return r4's filters, `{type, value}`, as tests."""
    tests = []
    for one in _objects(filters):
        only(one, ("type", "value"))
        tests.append(_matches(_known(REFERENCE, one["type"]), one["value"]))
    return tests


def _test(one: dict[str, Any], known: dict[str, Callable[[Past], object]]) -> Test:
    only(one, ("type", "predicates"))
    if one["type"] not in {"and", "or"}:
        raise Refusal(400)
    tests = [_predicate(predicate, known) for predicate in _objects(one["predicates"])]
    every = all if one["type"] == "and" else any
    return lambda past: every(test(past) for test in tests)


def _predicate(one: dict[str, Any], known: dict[str, Callable[[Past], object]]) -> Test:
    if one.get("type") == "metric":
        return _metric(one, known)
    only(one, ("type", "dimension", "operator"), ("value",))
    value_of = _known(known, one["dimension"])
    match one["type"], one["operator"]:
        case "dimension", "matches":
            return _matches(value_of, one.get("value"))
        case "dimension", "exists":
            return lambda past: value_of(past) is not None
        case "dimension", "notExists":
            return lambda past: value_of(past) is None
    raise Refusal(400)


def _metric(one: dict[str, Any], known: dict[str, Callable[[Past], object]]) -> Test:
    """Compare a metric of the conversation; those of segments are not kept here."""
    only(one, ("type", "metric", "range"))
    value_of = METRICS.get(one["metric"]) if known is CONVERSATION else None
    bounds = one["range"]
    if value_of is None or not isinstance(bounds, dict) or len(bounds) != 1:
        raise Refusal(400)
    ((bound, number),) = bounds.items()
    if bound not in {"gt", "lt"} or not isinstance(number, int | float):
        raise Refusal(400)
    sign = 1 if bound == "gt" else -1
    return lambda past: sign * (value_of(past) or 0) > sign * number


def _matches(value_of: Callable[[Past], object], wanted: object) -> Test:
    allowed = wanted if isinstance(wanted, list) else [wanted]
    if not allowed or not all(isinstance(one, str) for one in allowed):
        raise Refusal(400, "invalid.value")
    return lambda past: value_of(past) in allowed


def _known(known: dict[str, Callable[[Past], object]], name: object) -> Callable[[Past], object]:
    if name not in known:
        raise Refusal(400, "bad.request")
    return known[str(name)]


def _objects(value: object) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise Refusal(400)
    return value

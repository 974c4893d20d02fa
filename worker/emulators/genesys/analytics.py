"""Conversation details: the platform's query, jobs and multi-get, and the queries of r1, r3, r4."""

import asyncio
import re
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import orjson
from aiohttp import web

from worker.emulators.genesys.cloud import Endpoint, GenesysCloud
from worker.emulators.genesys.history import DIVISION, History, Past, as_platform, as_reference
from worker.emulators.genesys.replies import (
    Refusal,
    bearer,
    json_object,
    no_query,
    objects_in,
    only,
)

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
PAGE_SIZE = 100
"""Of the reference texts."""

SENTIMENT = {f"sentiment{one}" for one in ("OverallScore", "Positive", "Neutral", "Negative")}
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
        Endpoint("details_query", "POST", f"{BASE}/query", details_query, texts=frozenset(QUERIES)),
        Endpoint("details_job", "POST", f"{BASE}/jobs", _submit),
        # Before the one that takes any id.
        Endpoint("details_availability", "GET", f"{BASE}/jobs/availability", _availability),
        Endpoint("details_job_state", "GET", f"{BASE}/jobs/{{id}}", _state),
        Endpoint("details_job_results", "GET", f"{BASE}/jobs/{{id}}/results", _results),
        Endpoint("details_by_id", "GET", BASE, _by_ids),
    ]


async def details_query(cloud: GenesysCloud, request: web.Request) -> web.StreamResponse:
    """Answer in the form of the text whose token it has."""
    return await QUERIES[cloud.text_of(bearer(request))](cloud, request)


async def _of_platform(cloud: GenesysCloud, request: web.Request) -> web.StreamResponse:
    body = await json_object(request)
    only(body, (*JOB_BODY, "paging"), FILTERS)
    _check_order(body)
    history = cloud.history
    size, number = _paging(body["paging"], history.most_results)
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


def _paging(value: object, most_results: int) -> tuple[int, int]:
    if not isinstance(value, dict):
        raise Refusal(400)
    only(value, ("pageSize", "pageNumber"))
    size, number = value["pageSize"], value["pageNumber"]
    if not isinstance(size, int) or not isinstance(number, int) or number < 1:
        raise Refusal(400)
    if not 1 <= size <= 100:
        raise Refusal(400, "bad.request", "pageSize must be from 1 to 100")
    if size * number > most_results:
        raise Refusal(400, "bad.request", f"Pagination may not exceed {most_results} results")
    return size, number


async def _of_r4(cloud: GenesysCloud, request: web.Request) -> web.StreamResponse:
    body, history = await json_object(request), cloud.history
    only(body, ("query", "interval", "groupBy", "metrics", "filter"), ("pageToken",))
    query = body["query"]
    only(query, ("type", "timeRange"))
    only(query["timeRange"], ("start", "end"))
    if (query["type"], body["interval"]) != ("conversation", "PT1H"):
        raise Refusal(400)
    if not set(body["metrics"]) <= REPORT_METRICS:
        raise Refusal(400)
    times = span(query["timeRange"]["start"], query["timeRange"]["end"])
    found = _found(history, times, reference_tests(body["filter"]))
    number = _number(body.get("pageToken"))
    page = _page(history, found, number, PAGE_SIZE)
    answer: dict[str, Any] = {"results": [as_reference(past) for past in page]}
    if number * PAGE_SIZE < len(found):
        answer["nextPageToken"] = f"p{number + 1}"
    return _json(answer)


def _number(token: object) -> int:
    if token is None:
        return 1
    if not isinstance(token, str) or not re.fullmatch(r"p[1-9]\d{0,5}", token):
        raise Refusal(400)
    return int(token[1:])


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


async def _of_r1(cloud: GenesysCloud, request: web.Request) -> web.StreamResponse:
    """Answer the one conversation; the token of a page is in the URL."""
    body = await json_object(request, query="pageToken")
    only(body, ("dateFrom", "dateTo", "groupBy", "filter", "size"))
    if (body["groupBy"], body["size"]) != (["conversationId"], PAGE_SIZE):
        raise Refusal(400)
    (wanted,) = objects_in(body["filter"], 1)
    only(wanted, ("type", "value"))
    if wanted["type"] != "conversationId":
        raise Refusal(400)
    found = _started(cloud, wanted["value"], span(body["dateFrom"], body["dateTo"]))
    return _entities(cloud, found, _number(request.query.get("pageToken")))


async def _of_r3(cloud: GenesysCloud, request: web.Request) -> web.StreamResponse:
    """Answer the metrics of the one conversation; the token of a page is in the body."""
    body = await json_object(request)
    keys = ("dateFrom", "dateTo", "view", "metrics", "groupBy", "filter", "pageSize")
    only(body, keys, ("nextPageToken",))
    if (body["view"], body["groupBy"], body["pageSize"]) != ("sentiment", [], PAGE_SIZE):
        raise Refusal(400)
    if not isinstance(body["metrics"], list) or not set(body["metrics"]) <= SENTIMENT:
        raise Refusal(400)
    only(body["filter"], ("type", "clauses"))
    conversation, medium = objects_in(body["filter"]["clauses"], 2)
    wanted = conversation.get("in")
    if body["filter"]["type"] != "and" or medium != {"type": "medium", "in": ["chat"]}:
        raise Refusal(400)
    if conversation != {"type": "conversationId", "in": wanted} or not isinstance(wanted, list):
        raise Refusal(400)
    found = _started(cloud, wanted[0], span(body["dateFrom"], body["dateTo"]))
    scored = [{"metrics": _scored(cloud, one, body["metrics"])} for one in found]
    return _entities(cloud, scored, _number(body.get("nextPageToken")))


def _started(cloud: GenesysCloud, wanted: object, times: tuple[int, int]) -> list[dict[str, Any]]:
    """Return the conversation of that id if it started in that time."""
    if not isinstance(wanted, str):
        raise Refusal(400)
    record = _record(cloud, wanted)
    if record is None:
        return []
    started = datetime.fromisoformat(record["conversationStart"]).timestamp() * 1000
    return [record] if times[0] <= started < times[1] else []


def _entities(cloud: GenesysCloud, found: list[dict[str, Any]], number: int) -> web.Response:
    if number > cloud.empty_pages:
        return _json({"entities": found, "nextPageToken": None})
    return _json({"entities": [], "nextPageToken": f"p{number + 1}"})


QUERIES = {"platform": _of_platform, "r1": _of_r1, "r3": _of_r3, "r4": _of_r4}
"""By whose token asks."""


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


def _scored(cloud: GenesysCloud, record: dict[str, Any], asked: list[str]) -> list[dict[str, Any]]:
    spoken = cloud.speech.conversations.get(record["conversationId"])
    is_known = spoken and asyncio.get_running_loop().time() >= spoken.analysed_at
    known = spoken.metrics if spoken and is_known else {}
    return [{"name": name, "value": known[name]} for name in asked if name in known]


def _record(cloud: GenesysCloud, conversation_id: str) -> dict[str, Any] | None:
    ended = cloud.ended.get(conversation_id)
    return None if ended is None else ended.at(asyncio.get_running_loop().time())


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
    return [_test(one, known) for name, known in lists for one in objects_in(body.get(name, []))]


def reference_tests(filters: object) -> list[Test]:
    """Return r4's simple filters as tests."""
    tests = []
    for one in objects_in(filters):
        only(one, ("type", "path", "value", "operator"))
        is_list = {"eq": False, "in": True}.get(one["operator"])
        if one["type"] != "simple" or is_list is not isinstance(one["value"], list):
            raise Refusal(400)
        tests.append(_matches(_known(REFERENCE, one["path"]), one["value"]))
    return tests


def _test(one: dict[str, Any], known: dict[str, Callable[[Past], object]]) -> Test:
    only(one, ("type", "predicates"))
    if one["type"] not in {"and", "or"}:
        raise Refusal(400)
    tests = [_predicate(predicate, known) for predicate in objects_in(one["predicates"])]
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

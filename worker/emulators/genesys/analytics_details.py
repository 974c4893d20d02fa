"""Conversation details: the query by pages and the jobs of the platform, and r4's report query."""

import uuid
from collections.abc import Sequence
from typing import Any

import orjson
from aiohttp import web

from worker.emulators.genesys.analytics_by_id import reference_query
from worker.emulators.genesys.cloud import Endpoint, GenesysCloud
from worker.emulators.genesys.details_filters import (
    Test,
    interval,
    only,
    reference_tests,
    span,
    tests_of,
)
from worker.emulators.genesys.history import History, Past, as_platform, as_reference
from worker.emulators.genesys.replies import Refusal, json_object, no_query

BASE = "/api/v2/analytics/conversations/details"
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
    """Both forms of the query count as `details_query`."""
    return [
        Endpoint("details_query", "POST", f"{BASE}/query", details_query),
        Endpoint("details_job", "POST", f"{BASE}/jobs", _submit),
        # Before the one that takes any id.
        Endpoint("details_availability", "GET", f"{BASE}/jobs/availability", _availability),
        Endpoint("details_job_state", "GET", f"{BASE}/jobs/{{id}}", _state),
        Endpoint("details_job_results", "GET", f"{BASE}/jobs/{{id}}/results", _results),
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
    if history.is_too_heavy(*times):
        raise Refusal(history.too_heavy_status)
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

"""Strict reading of what a details query asks for."""

import re
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any

from worker.emulators.genesys.history import Past
from worker.emulators.genesys.replies import Refusal

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
}
REFERENCE = {
    "conversation.media.type": SEGMENT["mediaType"],
    "routing.queue.id": SEGMENT["queueId"],
    "originatingDirection": CONVERSATION["originatingDirection"],
    "conversationId": CONVERSATION["conversationId"],
}

_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


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

"""What a request to a sink does, read from the request alone: whose effect, and under which key."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import orjson

from worker.demo.environment import TABLE

CONVERSATION = re.compile(r"/conversations/([0-9a-f-]{36})/")


class Effect(NamedTuple):
    """Something the worker did to the world, at the time its sink had answered."""

    time: float
    """Wall clock of this process, as in the journal of the queue."""

    sink: str
    conversation_id: str
    """Empty for reports."""

    key: str
    """By which the sink distinguishes this effect from another; empty where it has none."""


class Request(NamedTuple):
    """As much of a request as an effect is read from."""

    upstream: str
    method: str
    path: str
    headers: Mapping[str, str]
    """Names in lower case."""

    body: bytes


def effects_of(request: Request, time: float) -> list[Effect]:
    """Return what the request does if it is accepted; nothing for questions."""
    read = {"aws": _aws, "genesys": _genesys}.get(request.upstream, _webhook)
    return [Effect(time, *effect) for effect in read(request)]


def start_of(request: Request, reply: bytes) -> tuple[str, float] | None:
    """Return which execution a reply to StartExecution names, and since when it runs.

    The same for a second request while the first one's execution runs: Step Functions answers it
    with success, and starts nothing.
    https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html
    """
    if not request.headers.get("x-amz-target", "").endswith(".StartExecution"):
        return None
    body = orjson.loads(reply)
    return body["executionArn"], body["startDate"]


def _aws(request: Request) -> Iterator[tuple[str, str, str]]:
    target = request.headers.get("x-amz-target", "").rpartition(".")[2]
    if target in _TARGETS:
        yield from _TARGETS[target](orjson.loads(request.body))
    elif request.method == "PUT":
        yield "objects", "", request.path


def _put_item(body: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    if body["TableName"] == TABLE:
        item = body["Item"]
        yield "records", item["conversationId"]["S"], item["eventTimestamp"]["S"]


def _start_execution(body: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    yield "executions", orjson.loads(body["input"])["conversationId"], body["name"]


def _put_events(body: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    for entry in body["Entries"]:
        detail, kind = orjson.loads(entry["Detail"]), entry["DetailType"]
        own = detail.get("forwardingId") or detail.get("reportId")
        yield f"bus {kind}", detail.get("conversationId", ""), own


_TARGETS = {
    "PutItem": _put_item,
    "StartExecution": _start_execution,
    "PutEvents": _put_events,
}


def _genesys(request: Request) -> Iterator[tuple[str, str, str]]:
    if request.method in ("PATCH", "PUT") and (found := CONVERSATION.search(request.path)):
        yield "attributes", found[1], ""


def _webhook(request: Request) -> Iterator[tuple[str, str, str]]:
    body = orjson.loads(request.body)
    conversation_id = (body.get("data") or body).get("conversationId", "")
    yield f"{request.upstream} webhook", conversation_id, request.headers.get("webhook-id", "")

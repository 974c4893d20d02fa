"""Replies in the vendor's words, the strict reading of requests, and answers that are faults."""

import asyncio
import math
import uuid
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

from aiohttp import web

from worker.emulators.genesys.cloud import Answer, Exceeded

CODES = {
    400: "bad.request",
    401: "bad.credentials",
    403: "not.authorized",
    404: "not.found",
    405: "bad.request",
    408: "client.timeout",
    409: "conflict",
    413: "request.entity.too.large",
    415: "unsupported.media.type",
    429: "too.many.requests.retry.after",
    500: "internal.server.error",
    503: "service.unavailable",
    504: "request.timeout",
}


class Refusal(Exception):
    """A request the endpoint will not take; becomes an ErrorBody."""

    def __init__(self, status: int, code: str | None = None, message: str | None = None) -> None:
        super().__init__(status, code)
        self.status = status
        self.code = code
        self.message = message


def error_body(
    status: int,
    code: str | None = None,
    message: str | None = None,
    headers: Mapping[str, str] | None = None,
    **more: Any,
) -> web.Response:
    """Return an ErrorBody with its correlation id in body and header, as the platform does.

    `more`: further fields of it, such as `details` or `limit`.
    """
    context_id = str(uuid.uuid4())
    body = {
        "message": message or HTTPStatus(status).phrase,
        "code": code or CODES.get(status, "internal.server.error"),
        "status": status,
        "contextId": context_id,
        "details": [],
        "errors": [],
        **more,
    }
    return web.json_response(
        body, status=status, headers={"ININ-Correlation-Id": context_id, **(headers or {})}
    )


def over_budget(exceeded: Exceeded) -> web.Response:
    """Return the 429 of an exhausted budget."""
    seconds = math.ceil(exceeded.seconds_left)
    message = f"Rate limit exceeded the maximum. Retry the request in [{seconds}] seconds"
    limit = {"namespace": "platform.api", "key": exceeded.key, "value": exceeded.most}
    headers = {"Retry-After": str(seconds)}
    return error_body(429, message=message, headers=headers, limit=limit)


def bearer(request: web.Request) -> str | None:
    """Return the token of the Authorization header."""
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    return token if kind == "Bearer" and token else None


async def json_object(request: web.Request, *, query: str = "") -> dict[str, Any]:
    """Return the body; raise Refusal if it is not a JSON object sent as such, without a query.

    `query`: the one parameter that the URL may have.
    """
    if set(request.query) - {query}:
        raise Refusal(400)
    if request.content_type != "application/json":
        raise Refusal(415)
    try:
        body = await request.json()
    except ValueError as error:
        raise Refusal(400) from error
    if not isinstance(body, dict):
        raise Refusal(400)
    return body


def only(body: dict[str, Any], required: Iterable[str], optional: Iterable[str] = ()) -> None:
    """Raise Refusal unless the object has these keys and no others."""
    required = set(required)
    if not isinstance(body, dict) or not required <= set(body) <= required | set(optional):
        raise Refusal(400)


def objects_in(value: object, number: int | None = None) -> list[dict[str, Any]]:
    """Return the list; raise Refusal unless it is one of objects, of that number."""
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise Refusal(400)
    if number is not None and len(value) != number:
        raise Refusal(400)
    return value


def no_query(request: web.Request) -> None:
    """Raise Refusal if the URL has a query: no endpoint used so far takes one."""
    if request.query_string:
        raise Refusal(400)


def missing_permission(*names: str) -> Answer:
    """Return the answer to a client whose role lacks these permissions."""

    async def answer(_: web.Request) -> web.StreamResponse:
        missing = f"[{', '.join(names)}]"
        message = f"Missing the following permission(s): {missing}"
        more = {"messageParams": {"permissions": missing}}
        return error_body(403, "missing.permissions", message, **more)

    return answer


async def html_502(_: web.Request) -> web.StreamResponse:
    """Answer as a gateway does when what it stands for is down."""
    page = "<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"
    return web.Response(status=502, text=page, content_type="text/html")


async def html_200(_: web.Request) -> web.StreamResponse:
    """Answer as a captive portal does."""
    return web.Response(text="<html><body>Please sign in</body></html>", content_type="text/html")


async def reset_mid_body(request: web.Request) -> web.StreamResponse:
    """Promise more than is sent, then cut the connection."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    response.content_length = 1000
    await response.prepare(request)
    await response.write(b'{"half":')
    if request.transport is not None:
        request.transport.abort()
    return response


async def hang(_: web.Request) -> web.StreamResponse:
    """Never answer; ends when the client or the server goes."""
    await asyncio.Event().wait()
    return web.Response()

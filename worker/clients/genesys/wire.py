"""What a reply of Genesys Cloud means: data, or the failure it names. Pure, both dialects.

Sources: GENESYS sheet sections 1 to 4; ErrorBody of PureCloudPlatformClientV2. The vendor's
`message` is never read: it may quote a rejected value, and so a customer.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import quote

import orjson

from worker.clients.exchange import Reply, Request
from worker.errors import Permanent, RateLimited, Rejected, Unauthorized, Unavailable, WorkerError
from worker.events.fields import UUID
from worker.resilience.retry import parse_retry_after

T = TypeVar("T")

REFUSED_PAUSE_SECONDS = 30.0
"""Pause after refused credentials: only a person mends them, and minting is itself limited."""

_CODE = re.compile(r"[a-z][a-z._-]{0,99}", re.IGNORECASE)
_CORRELATION_ID = re.compile(r"[\w-]{16,64}", re.ASCII)
_UNSAFE_IN_ID = re.compile(r"[/?#%\\\x00-\x1f\x7f-\x9f]|\.\.")
_TRY_LATER = {408, 425}


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One verb of a dialect: what to send, and how to read the answer."""

    request: Request
    read: Callable[[Reply], T]
    """Raises the failure the reply names."""


@dataclass(frozen=True, slots=True)
class Token:
    """An access token as issued."""

    value: str = field(repr=False)
    expires_in: float
    """Seconds of life, counted from the request."""


@dataclass(frozen=True, slots=True)
class Complaint:
    """The loggable part of an error reply."""

    code: str | None
    """ErrorBody `code`, or `error` of a token reply."""

    correlation_id: str | None
    """What Genesys support asks for: `contextId`, or the `ININ-Correlation-Id` header."""


@dataclass(frozen=True, slots=True)
class Budget:
    """`inin-ratelimit-*` of a reply."""

    count: float
    allowed: float
    reset_seconds: float


def decipher(reply: Reply) -> Any:
    """Return the JSON value of a success (None: empty body); raise what any other reply names."""
    if not 200 <= reply.status < 300:
        raise failure_of(reply)
    if not reply.body:
        return None
    try:
        return orjson.loads(reply.body)
    except orjson.JSONDecodeError:
        # A gateway's page under a 200. The decoder's own error quotes the document: not chained.
        raise Unavailable(f"genesys: unreadable reply ({reply.status})") from None


def object_of(reply: Reply) -> Mapping[str, Any]:
    """As `decipher`, for answers that are JSON objects; Unavailable for anything else."""
    value = decipher(reply)
    if not isinstance(value, dict):
        raise Unavailable(f"genesys: unreadable reply ({reply.status}, not an object)")
    return value


def failure_of(reply: Reply) -> WorkerError:
    """Return the failure that a reply outside 2xx names."""
    complaint = complaint_of(reply)
    text = f"genesys: {reply.status} {complaint.code or '-'} {complaint.correlation_id or '-'}"
    if reply.status == 429:
        return RateLimited(text, retry_after=pause_asked(reply))
    if refuses_token(reply):
        return Unauthorized(text)
    if reply.status == 401 or not 400 <= reply.status < 500 or reply.status in _TRY_LATER:
        # 3xx too: nothing redirects this API, so a proxy stands in between.
        return Unavailable(text, retry_after=_retry_after(reply))
    return Rejected(text, status=reply.status, code=complaint.code)


def refuses_token(reply: Reply) -> bool:
    """Tell whether the reply refuses our token, and not a data action's remote credentials."""
    return reply.status == 401 and complaint_of(reply).code != "invalid.credentials"


def complaint_of(reply: Reply) -> Complaint:
    """Return what an error reply says that may be logged; gateways' HTML says nothing."""
    body = _error_object(reply.body)
    return Complaint(
        code=_if_like(_CODE, body.get("code")) or _if_like(_CODE, body.get("error")),
        correlation_id=_if_like(_CORRELATION_ID, body.get("contextId"))
        or _if_like(_CORRELATION_ID, reply.headers.get("inin-correlation-id")),
    )


def pause_asked(reply: Reply) -> float | None:
    """Return the seconds a 429 asks for, never clipped: `Retry-After`, else the budget's reset.

    `inin-ratelimit-*` was withdrawn in 2021 for being wrong under load; some gateways still add it.
    """
    asked = _retry_after(reply)
    if asked is not None:
        return asked
    return parse_retry_after(reply.headers.get("inin-ratelimit-reset"), now=reply.received_at)


def budget_of(reply: Reply) -> Budget | None:
    """Return what a reply tells of the request budget; None when it tells nothing readable."""
    numbers = [
        float(text)
        for name in ("count", "allowed", "reset")
        if (text := reply.headers.get(f"inin-ratelimit-{name}", "")).isascii() and text.isdigit()
    ]
    return Budget(*numbers) if len(numbers) == 3 else None


def token_of(reply: Reply) -> Token:
    """Read the answer to a token request, whose errors are not ErrorBody.

    Raises RateLimited for the 400 that says so, and Unauthorized for every other refusal:
    no message is at fault when the client, its secret or its region is wrong.
    """
    if 200 <= reply.status < 300:
        return _issued(object_of(reply))
    if _minted_too_often(reply):
        raise RateLimited("genesys: token rate limit exceeded", retry_after=pause_asked(reply))
    failure = failure_of(reply)
    if isinstance(failure, Rejected | Unauthorized):
        code = complaint_of(reply).code or str(reply.status)
        raise Unauthorized(
            f"genesys refuses client credentials ({code})", retry_after=REFUSED_PAUSE_SECONDS
        )
    raise failure


def conversation_id_in_path(conversation_id: str) -> str:
    """Return the id if it is a UUID; raise Permanent otherwise. Quoting alone is not enough."""
    if UUID.fullmatch(conversation_id) is None:
        raise Permanent("conversation id is not a UUID")
    return conversation_id


def action_id_in_path(action_id: str) -> str:
    """Return a data action's id quoted for a path, e.g. `custom_-_<uuid>`.

    Raises Permanent for what could leave its place in the path: clients undo quoted dots.
    """
    if action_id in {"", "."} or _UNSAFE_IN_ID.search(action_id):
        raise Permanent("data action id cannot be part of a path")
    return quote(action_id, safe="")


def _retry_after(reply: Reply) -> float | None:
    return parse_retry_after(reply.headers.get("retry-after"), now=reply.received_at)


def _error_object(body: bytes) -> Mapping[str, Any]:
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def _if_like(shape: re.Pattern[str], value: object) -> str | None:
    """Pass a code without digits or an id longer than any phone number; drop all other text."""
    return value if isinstance(value, str) and shape.fullmatch(value) else None


def _minted_too_often(reply: Reply) -> bool:
    described = _error_object(reply.body).get("error_description")
    return isinstance(described, str) and described.startswith("rate limit exceeded")


def _issued(answer: Mapping[str, Any]) -> Token:
    value, life = answer.get("access_token"), answer.get("expires_in")
    if not isinstance(value, str) or not value.isascii() or not value.isprintable() or not value:
        raise Unavailable("genesys: token reply without access_token")
    if isinstance(life, bool) or not isinstance(life, int | float) or life <= 0:
        raise Unavailable("genesys: token reply without expires_in")
    return Token(value, float(life))

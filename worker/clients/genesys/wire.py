"""What a reply of Genesys Cloud means: data, or the failure it names. Pure, both dialects.

Sources: README.md, "Error bodies", and the headings beside it. Of the vendor's `message` only names
of permissions are read: it may quote a rejected value, and so a customer.

A reply whose `details` name an `ACTION.*` speaks of the system behind a data action, whatever its
status: neither of our token, nor of our request budget, nor of Genesys.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from msgspec import Struct, structs

from worker.clients.http_types import Reply, Request, json_of, no_way_through
from worker.errors import (
    Misconfigured,
    NotYet,
    Permanent,
    RateLimited,
    Rejected,
    Unauthorized,
    Unavailable,
    Unreadable,
    WorkerError,
)
from worker.events.fields import UUID
from worker.resilience.retry import parse_retry_after

T = TypeVar("T")

ANALYTICS = "analytics"
CONVERSATIONS = "conversations"
DATA_ACTION = "data_action"
FLOWS = "architect"
LOGIN = "login"
SPEECH = "speech"
"""The parts of Genesys that fail apart, each with a breaker of its own."""

REFUSED_PAUSE_SECONDS = 30.0
"""Pause after refused credentials: only a person can fix them, and minting is itself limited."""

MISSING_PERMISSION = re.compile(r"missing\.[a-z.]+|insufficient_scope", re.IGNORECASE)
"""Codes of a 403. `missing.permissions` and `missing.any.permissions` were seen; one for divisions
is likely. Not `not.authorized`, nor a 403 without a code: they may be about one conversation, which
must not hold up its job; of many, most stay on the queue by the limit of dead letters."""

REMOTE_CREDENTIALS = "ACTION.AUTHENTICATION"
WAY = "let firewall, proxy and gateway pass the worker's calls to the Genesys API"
NOT_LET_IN = {401, 405, 407}
TOO_LARGE = {500, 504}
"""What a question is answered with that asks for too much; less of it may be answered."""

NO_CONTENT = {202, 204}
MOST_DETAILS = 5

_CODE = re.compile(r"[a-z][a-z._-]{0,99}", re.IGNORECASE)
_FIELD = re.compile(r"[a-z][a-z_.-]{0,99}", re.IGNORECASE)
_LIMIT = re.compile(r"[a-z][\w.-]{0,99}", re.IGNORECASE | re.ASCII)
_PERMISSION = re.compile(r"\b[A-Za-z]{2,40}(?::[A-Za-z]{2,40}){1,3}\b")
_CORRELATION_ID = re.compile(r"[\w-]{16,64}", re.ASCII)
_SECONDS_SAID = re.compile(r"\[([0-9]{1,6})\] seconds")
_RETRIABLE = {408, 425}


class Call(Struct, Generic[T], frozen=True):
    """One verb of a dialect: what to send, and how to read the answer."""

    request: Request
    read: Callable[[Reply], T]
    """Raises the failure the reply names."""

    upstream: str = "platform"
    """The part of Genesys that answers, with a breaker of its own; `platform` is all the rest."""


@dataclass(frozen=True, slots=True)
class Token:
    """An access token as issued."""

    value: str = field(repr=False)
    expires_in: float
    """Seconds of life, counted from the request."""


class ErrorBody(Struct, frozen=True):
    """The loggable part of an error reply."""

    code: str | None
    """ErrorBody `code`, or `error` of a token reply."""

    correlation_id: str | None
    """What Genesys support asks for: `contextId`, or the `ININ-Correlation-Id` header."""

    action: str | None = None
    """`ACTION.*` of `details`: what the system behind a data action did."""

    limit: Mapping[str, str | int] | None = None
    """`namespace`, `key` and `value` of the limit that was met."""

    details: tuple[str, ...] = ()
    """Of `details`, the error codes with the names of their fields."""

    permissions: tuple[str, ...] = ()
    """Of a 403: names of permissions or scopes that are missing."""

    @property
    def is_limit_of_actions(self) -> bool:
        """Whether the limit is the organization's for data actions, and not our request budget."""
        key = str(self.limit.get("key", "")) if self.limit else ""
        return key.startswith("actions.") or key == "requests.volume.max"

    @property
    def is_remote_credentials(self) -> bool:
        """Whether a data action's credentials for the system behind it are refused."""
        return self.action == REMOTE_CREDENTIALS or (
            self.code is not None and self.code.lower().replace("_", ".") == "invalid.credentials"
        )


class Budget(Struct, frozen=True):
    """`inin-ratelimit-*` of a reply."""

    count: float
    allowed: float
    reset_seconds: float


def parse(reply: Reply) -> Any:
    """Return the JSON value of a success (None: empty body); raise what any other reply names."""
    if not 200 <= reply.status < 300:
        raise failure_of(reply)
    if not reply.body:
        return None
    return json_of("genesys", reply)


def object_of(reply: Reply) -> Mapping[str, Any]:
    """As `parse`, for answers that are JSON objects; Unreadable for anything else.

    NotYet for a 202 or 204 without a body: the platform is still at it.
    """
    value = parse(reply)
    if value is None and reply.status in NO_CONTENT:
        raise NotYet(f"genesys: no answer yet ({reply.status})", retry_after=_retry_after(reply))
    if not isinstance(value, dict):
        raise Unreadable(f"genesys: unreadable reply ({reply.status}, not an object)")
    return value


def objects_in(value: object) -> list[Mapping[str, Any]]:
    """Return the JSON objects of a list; an empty list for anything else."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def text_of(value: object) -> str | None:
    """Return a text that is not empty; None for anything else."""
    return value if isinstance(value, str) and value else None


def failure_of(reply: Reply) -> WorkerError:
    """Return the failure that a reply outside 2xx names."""
    body = error_body_of(reply)
    text = _text(reply, body)
    if body.action or body.is_remote_credentials:
        behind = f"{text} {body.action or 'remote credentials'}"
        return Unavailable(behind, retry_after=_retry_after(reply))
    if reply.status == 429:
        return _throttled(text, body, pause_asked(reply))
    if reply.status in NOT_LET_IN:
        return not_let_in(text, reply)
    if reply.status == 403 and body.code and MISSING_PERMISSION.fullmatch(body.code):
        return _missing_permission(text, body)
    if not 400 <= reply.status < 500 or reply.status in _RETRIABLE:
        # 3xx too: nothing redirects this API, so a proxy stands in between.
        return Unavailable(text, retry_after=_retry_after(reply))
    return Rejected(text, status=reply.status, code=body.code)


def not_let_in(text: str, reply: Reply) -> Misconfigured:
    """Return the problem of a request that did not get as far as what it asks for."""
    if reply.status == 407:
        return no_way_through(text)
    if reply.status == 401:
        return Unauthorized(text)
    remedy = f"check GENESYS_API_URL and GENESYS_DIALECT, and {WAY}"
    return Misconfigured(text, setting="GENESYS_API_URL", remedy=remedy)


def _text(reply: Reply, body: ErrorBody) -> str:
    return f"genesys: {reply.status} {body.code or '-'} {body.correlation_id or '-'}"


def refuses_token(reply: Reply) -> bool:
    """Return whether the reply refuses our token, and not a data action's remote credentials."""
    body = error_body_of(reply) if reply.status == 401 else None
    return body is not None and body.action is None and not body.is_remote_credentials


def error_body_of(reply: Reply) -> ErrorBody:
    """Return what an error reply says that may be logged; gateways' HTML says nothing."""
    body = _error_object(reply)
    parts = [body, *objects_in(body.get("errors"))]  # each of them an ErrorBody, too
    details = [one for part in parts for one in objects_in(part.get("details"))]
    return ErrorBody(
        code=_if_like(_CODE, body.get("code")) or _if_like(_CODE, body.get("error")),
        correlation_id=_if_like(_CORRELATION_ID, body.get("contextId"))
        or _if_like(_CORRELATION_ID, reply.headers.get("inin-correlation-id")),
        action=_remote_failure(details),
        limit=next(filter(None, (_limit(part.get("limit")) for part in parts)), None),
        details=tuple(_details(details)),
        permissions=tuple(_permissions(body)) if reply.status == 403 else (),
    )


def in_call(error: Misconfigured, request: Request) -> Misconfigured:
    """Return the problem with the name of the call that met it."""
    reason = f"{error.reason} ({request.method} {request.template})"
    return Misconfigured(
        reason, setting=error.setting, remedy=error.remedy, retry_after=error.retry_after
    )


def taking(permission: str, call: Call[T]) -> Call[T]:
    """Return the call whose missing permission has this name, where the reply gives it none."""

    def read(reply: Reply) -> T:
        if reply.status != 403 or not isinstance(failure_of(reply), Misconfigured):
            return call.read(reply)
        body = error_body_of(reply)
        named = structs.replace(body, permissions=body.permissions or (permission,))
        raise _missing_permission(_text(reply, named), named)

    return structs.replace(call, read=read)


def pause_asked(reply: Reply) -> float | None:
    """Return the seconds a 429 asks for, never clipped: `Retry-After`, else its words or the reset.

    `inin-ratelimit-*` was withdrawn in 2021 for being wrong under load; some gateways still add it,
    and others take `Retry-After` off.
    """
    said = _SECONDS_SAID.search(str(_error_object(reply).get("message")))
    reset = reply.headers.get("inin-ratelimit-reset")
    for text in (reply.headers.get("retry-after"), said and said[1], reset):
        asked = parse_retry_after(text, now=reply.received_at)
        if asked is not None:
            return asked
    return None


def budget_of(reply: Reply) -> Budget | None:
    """Return the request budget of a reply; None when it has none that can be read."""
    names = ("count", "allowed", "reset") if "inin-ratelimit-count" in reply.headers else ()
    numbers = [
        float(text)
        for name in names
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
    if isinstance(failure, Rejected | Misconfigured) and reply.status != 407:
        if code := error_body_of(reply).code:
            refused = Unauthorized(f"genesys refuses client credentials ({code})")
        else:
            reason = f"genesys login: {reply.status}, not in the words of Genesys"
            remedy = f"check GENESYS_ENVIRONMENT and GENESYS_LOGIN_URL, and {WAY}"
            refused = Unauthorized(reason, setting="GENESYS_ENVIRONMENT", remedy=remedy)
        raise refused.after(REFUSED_PAUSE_SECONDS)
    raise failure


def is_uuid(value: object) -> bool:
    """Return whether it is a UUID's text, which fits every path."""
    return isinstance(value, str) and UUID.fullmatch(value) is not None


def conversation_id_in_path(conversation_id: str) -> str:
    """Return the id if it is a UUID; raise Permanent otherwise."""
    return uuid_in_path("conversation", conversation_id)


def uuid_in_path(what: str, value: str | None) -> str:
    """Return the id if it is a UUID. Quoting alone is not enough: clients undo quoted dots."""
    if value is None or not is_uuid(value):
        raise Permanent(f"{what} id is not a UUID")
    return value


def _retry_after(reply: Reply) -> float | None:
    return parse_retry_after(reply.headers.get("retry-after"), now=reply.received_at)


def _error_object(reply: Reply) -> Mapping[str, Any]:
    try:
        value = json_of("genesys", reply)
    except Unreadable:
        return {}
    return value if isinstance(value, dict) else {}


def _if_like(shape: re.Pattern[str], value: object) -> str | None:
    """Pass a code without digits or an id longer than any phone number; drop all other text."""
    return value if isinstance(value, str) and shape.fullmatch(value) else None


def _remote_failure(details: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the first `ACTION.*` among the error codes of `details`."""
    codes = (_if_like(_CODE, detail.get("errorCode")) for detail in details)
    return next((code for code in codes if code and code.startswith("ACTION.")), None)


def _details(details: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield codes and fields, and nothing else: a detail may quote what it refuses."""
    for detail in details[:MOST_DETAILS]:
        words = (
            _if_like(_CODE, detail.get("errorCode")),
            _if_like(_FIELD, detail.get("fieldName")),
        )
        if any(words):
            yield " ".join(word for word in words if word)


def _throttled(text: str, body: ErrorBody, pause: float | None) -> WorkerError:
    """Return RateLimited, which pauses all calls; of a data action's own limit, only its message.

    Flows and other integrations run data actions, too, and use up that limit.
    """
    if body.limit is not None and body.is_limit_of_actions:
        return NotYet(f"{text} {body.limit['key']}", retry_after=pause)
    return RateLimited(text, retry_after=pause)


def _limit(value: object) -> Mapping[str, str | int] | None:
    if not isinstance(value, dict):
        return None
    names = {name: _if_like(_LIMIT, value.get(name)) for name in ("namespace", "key")}
    known: dict[str, str | int] = {name: text for name, text in names.items() if text is not None}
    number = value.get("value")
    if isinstance(number, int) and not isinstance(number, bool):
        known["value"] = number
    return known or None


def _permissions(body: Mapping[str, Any]) -> Iterator[str]:
    """Yield what looks like `domain:entity:action`, and nothing else of the text around it.

    The reference texts' scopes have two words; some permissions of the platform may have four.
    """
    parameters = body.get("messageParams")
    said = [body.get("message"), body.get("error_description"), body.get("description")]
    said += parameters.values() if isinstance(parameters, dict) else []
    texts = (text for text in said if isinstance(text, str))
    seen = dict.fromkeys(found for text in texts for found in _PERMISSION.findall(text))
    yield from list(seen)[:5]


def _missing_permission(text: str, body: ErrorBody) -> Misconfigured:
    names = ", ".join(body.permissions)
    return Misconfigured(
        f"{text}: {names or 'a permission'} is missing",
        setting="GENESYS_CLIENT_ID",
        remedy=f"give the OAuth client's role {names or 'the permission that this call needs'}",
    )


def _minted_too_often(reply: Reply) -> bool:
    said = map(_error_object(reply).get, ("error_description", "description"))
    return any(str(one).startswith("rate limit exceeded") for one in said)


def _issued(answer: Mapping[str, Any]) -> Token:
    value, life = answer.get("access_token"), _seconds(answer.get("expires_in"))
    if not isinstance(value, str) or not value.isascii() or not value.isprintable() or not value:
        raise Unreadable("genesys: token reply without access_token")
    if life is None or life <= 0:
        raise Unreadable("genesys: token reply without expires_in")
    return Token(value, life)


def _seconds(value: object) -> float | None:
    """Return a number, which some write as text."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}", value, re.ASCII):
        return float(value)
    return None if isinstance(value, bool) or not isinstance(value, int | float) else float(value)

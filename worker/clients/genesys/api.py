"""One call of the Genesys API: guarded, authorised, and asked once more when a token is refused.

The client-credentials token: one request at a time, renewed early, never in a storm. Minting is
limited by Genesys and answers a 400 when it is overdone (README.md, "Tokens"), so each failure also
closes the way to the token host for a while: 30 s after a refusal.

Calls of a report are retried in the background: giving one up would throw away all that was read.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import Context
from dataclasses import dataclass, field
from functools import partial
from math import inf
from typing import Any, Final, TypeVar

import structlog
from msgspec import Struct

from worker.clients.genesys.wire import (
    REFUSED_PAUSE_SECONDS,
    Call,
    Token,
    budget_of,
    error_body_of,
    in_call,
    not_let_in,
    refuses_token,
)
from worker.clients.http import HttpClient, Sender
from worker.clients.http_types import Reply, Request
from worker.errors import (
    BreakerOpen,
    Misconfigured,
    RateLimited,
    Transient,
    Unauthorized,
    Unavailable,
    WorkerError,
)
from worker.resilience import (
    PAUSE_CAP_SECONDS,
    Guard,
    Limiter,
    current_work,
    waiting_for,
    working_for,
)
from worker.telemetry import metrics

RENEW_BEFORE_SECONDS = 300.0
RENEW_BEFORE_SHARE = 0.1
"""The lesser of the two is kept as margin: the shortest life Genesys grants is 300 s."""

UNAVAILABLE_PAUSE_SECONDS = 1.0
"""Pause after a 5xx or a time-out of the token host."""

NOT_ISSUED = "genesys: no token yet"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Held:
    value: str = field(repr=False)
    renew_at: float
    expires_at: float


class _Pause(Struct, frozen=True):
    """No token request before `until`; a caller that needs one gets `failure` at once."""

    failure: Transient
    until: float
    asked: float | None = None
    """Seconds that a reply asked for, if it did."""


class Tokens:
    """Access tokens for any number of concurrent callers."""

    def __init__(
        self,
        http: HttpClient,
        request: Call[Token] | Callable[[], Call[Token]],
        clock: Callable[[], float] | None = None,
        *,
        guard: Guard | None = None,
        pause_cap_seconds: float = PAUSE_CAP_SECONDS,
    ) -> None:
        """`http`: the token host, `guard` its guard. `clock`: monotonic, unlike the time of day.

        `request`: made anew for each token where it is a function, as a secret may be rotated.

        `pause_cap_seconds`: how much of a pause is obeyed that a reply asks for.
        """
        self._http = http
        self._request = request if callable(request) else lambda: request
        self._guard = guard
        self._pause_cap_seconds = pause_cap_seconds
        self._clock = clock or asyncio.get_running_loop().time
        self._held: _Held | None = None
        self._refresh: asyncio.Task[str] | None = None
        self._probe: asyncio.Task[None] | None = None
        self._pause: _Pause | None = None
        self._token_was_refused = False
        self._replaced_at = -math.inf
        self._was_issued = False
        self._asked_seconds: float | None = None

    @property
    def problem(self) -> str | None:
        """Why the worker is not ready: our credentials are refused, or there was no token yet."""
        if (refusal := self.refusal) is not None:
            return refusal.reason
        return None if self._was_issued else NOT_ISSUED

    @property
    def refusal(self) -> Misconfigured | None:
        """The last refusal of our credentials, while it lasts: no job that needs them can work."""
        failure = self._pause and self._pause.failure
        return failure if isinstance(failure, Misconfigured) else None

    def asked_pause(self) -> tuple[float, float] | None:
        """Return the seconds left of a pause and those a reply asked for; None without one."""
        pause = self._pause
        if pause is None or pause.asked is None:
            return None
        left = max(0.0, pause.until - self._clock())
        return (left, pause.asked) if left or pause.asked > self._pause_cap_seconds else None

    def held(self) -> str | None:
        """Return a token with life left, renewing it near its end; None: `get` has to wait."""
        now, held = self._clock(), self._held
        if held is None or now >= held.expires_at:
            return None
        # The old one is good for minutes: no caller waits, and a failed renewal fails none.
        if now >= held.renew_at and self._paused(now) is None:
            self._refreshing(now)
        return held.value

    def wait(self) -> Awaitable[str] | None:
        """Return what is to be awaited for a token; None while one is held."""
        return None if self.held() else self.get()

    async def get(self) -> str:
        """As `held`, and waits; Unauthorized, RateLimited (minted too often) or Unavailable."""
        return self.held() or await self._issued(self._clock())

    def invalidate(self, token: str) -> None:
        """Drop the token an API call was refused with, unless another caller already did.

        At most one token in 30 s is replaced for that: if the new one is refused too, tokens are
        not what is wrong.
        """
        if self._held is None or self._held.value != token:
            return
        self._held = None
        self._token_was_refused = True
        wait_until = self._replaced_at + REFUSED_PAUSE_SECONDS
        if self._clock() < wait_until:
            reason = "genesys refuses the tokens it issues"
            self._pause = _Pause(Unauthorized(reason), wait_until)

    async def aclose(self) -> None:
        """End a token request still under way."""
        for task in filter(None, (self._probe, self._refresh)):
            task.cancel()
            await asyncio.wait([task])

    async def _issued(self, now: float) -> str:
        pause = self._paused(now)
        if pause is not None:
            raise pause.failure.after(pause.until - now)
        # Shielded: the request is shared, so the caller that started it may be cancelled.
        with waiting_for("token", self._clock):
            return await asyncio.shield(self._refreshing(now))

    def _paused(self, now: float) -> _Pause | None:
        return self._pause if self._pause is not None and now < self._pause.until else None

    def _refreshing(self, now: float) -> asyncio.Task[str]:
        if self._refresh is None:
            if self._token_was_refused:
                self._replaced_at, self._token_was_refused = now, False
            with working_for(()):  # for no message: all of them wait for it
                self._refresh = asyncio.create_task(self._fetch(now), name="genesys-token")
            self._refresh.add_done_callback(self._forget)
        return self._refresh

    def _forget(self, refresh: asyncio.Task[str]) -> None:
        self._refresh = None
        if not refresh.cancelled():
            refresh.exception()  # retrieved, also when every waiter was cancelled

    async def _fetch(self, now: float) -> str:
        try:
            token = await (self._guard.call(self._asked) if self._guard else self._asked())
        except BreakerOpen:
            raise
        except WorkerError as error:
            raise self._failed(error) from error
        margin = min(RENEW_BEFORE_SECONDS, token.expires_in * RENEW_BEFORE_SHARE)
        expires_at = now + token.expires_in
        self._held = _Held(token.value, renew_at=expires_at - margin, expires_at=expires_at)
        self._pause = None
        self._was_issued = True
        metrics.token_refresh.labels("ok").inc()
        metrics.token_expires.set(token.expires_in)
        log.info("genesys_token_issued", expires_in=token.expires_in)
        return token.value

    async def _asked(self) -> Token:
        call = self._request()
        reply = await self._http.send(call.request)
        try:
            return call.read(reply)
        except Transient as error:
            body = error_body_of(reply)
            self._asked_seconds = error.retry_after if isinstance(error, RateLimited) else None
            log.warning(
                "genesys_token_refused",
                status=reply.status,
                code=body.code,
                correlation_id=body.correlation_id,
                failure=type(error).__name__,
            )
            raise

    def _failed(self, error: WorkerError) -> Transient:
        """Close the way for a while; never Permanent, as no message is at fault here."""
        refused = isinstance(error, Misconfigured)
        known = error if isinstance(error, Misconfigured | RateLimited) else None
        failure = known or Unavailable(str(error))
        seconds = error.retry_after if isinstance(error, Transient) else None
        asked, self._asked_seconds = self._asked_seconds, None
        if seconds is None:
            seconds = REFUSED_PAUSE_SECONDS if known else UNAVAILABLE_PAUSE_SECONDS
        seconds = min(seconds, self._pause_cap_seconds)
        self._pause = _Pause(failure.after(None), self._clock() + seconds, asked)
        metrics.token_refresh.labels("refused" if refused else "error").inc()
        if refused and self._probe is None:
            # A context of its own: it is done for no message.
            probe = self._ask_again()
            self._probe = asyncio.create_task(probe, name="token-probe", context=Context())
        level = 40 if refused else 30  # refused, the daemon has come to a stop
        log.log(level, "genesys_token_failed", reason=str(error), pause_seconds=seconds)
        again = failure.after(seconds)
        again.upstream = error.upstream
        return again

    async def _ask_again(self) -> None:
        """Ask for a token until one is issued: no message may come to do it."""
        while self.refusal is not None and self._pause is not None:
            await asyncio.sleep(max(UNAVAILABLE_PAUSE_SECONDS, self._pause.until - self._clock()))
            with suppress(Transient):
                await self._issued(self._clock())
        self._probe = None


T = TypeVar("T")

LOUD_SECONDS = 60.0
"""Least time between two errors about the same credentials."""


class Api:
    """The API host behind its guards and its tokens."""

    def __init__(
        self,
        http: Sender,
        tokens: Tokens,
        guards: Mapping[str, Guard],
        limiter: Limiter | None = None,
        foreign: Callable[[Reply], bool] = lambda _: False,
    ) -> None:
        """`guards`: by upstream. `limiter`: theirs; it observes what replies say of the budget.

        `foreign`: whether Genesys did not write a refusal; no call reads such a reply.
        """
        self._limiter = limiter
        self._foreign = foreign
        self._http = http
        self._tokens = tokens
        self._guards: Final = guards
        self._clock = asyncio.get_running_loop().time
        self._loud_at = -inf

    async def run(self, call: Call[T], *, repeatable: bool = True, background: bool = False) -> T:
        """Send the call and return what its answer means; raise a `WorkerError` otherwise.

        `repeatable`: a second execution does no harm. `background`: gives way to live work.
        """
        attempt, guard = partial(self._once, call), self._guards[call.upstream]
        return await guard.call(
            attempt, first=self._tokens.wait, repeatable=repeatable, background=background
        )

    async def _once(self, call: Call[T]) -> T:
        reply = await self._authorised(call.request)
        try:
            if self._foreign(reply):
                raise not_let_in(f"genesys: {reply.status}, not in the words of Genesys", reply)
            return call.read(reply)
        except WorkerError as error:
            self._log_failure(call.request, reply, error)
            if isinstance(error, Misconfigured):
                raise in_call(error, call.request) from None
            raise

    async def _authorised(self, request: Request) -> Reply:
        """Send with a token, and if that is refused exactly once more, with a new one.

        Inside one attempt, so outside the request budget: a new token has its own 300 a minute.
        A refused request was not executed, so this is safe for calls that must not be repeated.
        """
        reply = await self._send(request)
        if not refuses_token(reply):
            return reply
        reply = await self._send(request)
        if refuses_token(reply):
            error = Unauthorized(
                "genesys refuses the token it just issued", retry_after=REFUSED_PAUSE_SECONDS
            )
            self._log_failure(request, reply, error)
            raise error
        return reply

    async def _send(self, request: Request) -> Reply:
        token = await self._tokens.get()
        reply = await self._http.send(request, {"Authorization": f"Bearer {token}"})
        if refuses_token(reply):
            self._tokens.invalidate(token)
        budget = budget_of(reply)
        if budget is not None and self._limiter is not None:
            self._limiter.observe(budget.count, budget.allowed, budget.reset_seconds)
        return reply

    def _log_failure(self, request: Request, reply: Reply, error: WorkerError) -> None:
        body = error_body_of(reply)
        fields: dict[str, Any] = {
            "endpoint": f"{request.method} {request.template}",
            "status": reply.status,
            "code": body.code,
            "correlation_id": body.correlation_id,
        }
        more = {"action_error": body.action, "limit": body.limit, "details": body.details or None}
        fields |= {name: value for name, value in more.items() if value is not None}
        log.warning("genesys_call_failed", failure=type(error).__name__, **fields)
        if body.is_remote_credentials and self._clock() - self._loud_at >= LOUD_SECONDS:
            self._loud_at = self._clock()
            remedy = "renew the credentials of the data action's integration in Genesys Cloud"
            log.error("data_action_credentials_expired", remedy=remedy, **fields)


BACKGROUND_RETRY_SECONDS = 300.0
"""Time one call may wait for budget or breaker."""

PAUSE_SECONDS = 1.0
"""Least wait before a call is made again."""


async def with_background_retry(api: Api, call: Call[T]) -> T:
    """Run a call after all live work, waiting for budget and breaker as long as it is worth it.

    A half-open breaker lets only chosen messages probe, and those that wait at a gate are chosen.
    A report is under way and at no gate; so, having waited, it chooses itself.
    """
    waited = 0.0
    while True:
        try:
            with _probing(having_waited=waited > 0):
                return await api.run(call, background=True)
        except (RateLimited, BreakerOpen) as error:
            waited += wait_of(error)
            if waited > BACKGROUND_RETRY_SECONDS:
                raise
            await asyncio.sleep(wait_of(error))


@contextmanager
def _probing(*, having_waited: bool) -> Iterator[None]:
    """Let what the block does pass a half-open breaker, if so."""
    works = [work for work in current_work() if having_waited and not work.probe]
    for work in works:
        work.probe = True
    try:
        yield
    finally:
        for work in works:
            work.probe = False


def wait_of(error: Transient) -> float:
    """Return the seconds to wait before the next try."""
    return max(PAUSE_SECONDS, error.retry_after or 0.0)

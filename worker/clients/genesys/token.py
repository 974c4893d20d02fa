"""The client-credentials token: one request at a time, renewed early, never in a storm.

Minting is limited by Genesys and answers a 400 when it is overdone (README.md, "Tokens"), so
each failure also closes the way to the token host for a while: 30 s after a refusal.
"""

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass, field

import structlog

from worker.clients.genesys.wire import REFUSED_PAUSE_SECONDS, Call, Token, complaint_of
from worker.clients.http import HttpClient
from worker.errors import (
    BreakerOpen,
    Misconfigured,
    RateLimited,
    Transient,
    Unauthorized,
    Unavailable,
    WorkerError,
)
from worker.resilience.guard import Guard
from worker.resilience.pause import PAUSE_CAP_SECONDS
from worker.resilience.work import waiting_for, working_for
from worker.telemetry import metrics

RENEW_BEFORE_SECONDS = 300.0
RENEW_BEFORE_SHARE = 0.1
"""The lesser of the two is kept in hand: the shortest life Genesys grants is 300 s."""

UNAVAILABLE_PAUSE_SECONDS = 1.0
"""Pause after a 5xx or a time-out of the token host."""

NOT_ISSUED = "genesys: no token yet"

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Held:
    value: str = field(repr=False)
    renew_at: float
    expires_at: float


@dataclass(frozen=True, slots=True)
class _Pause:
    """No token request before `until`; whoever needs one gets `reason` at once."""

    error: type[Transient]
    reason: str
    until: float
    asked: float | None = None
    """Seconds that a reply asked for, if it did."""


class Tokens:
    """Access tokens for any number of concurrent callers."""

    def __init__(
        self,
        http: HttpClient,
        request: Call[Token],
        clock: Callable[[], float] | None = None,
        *,
        guard: Guard | None = None,
        pause_cap_seconds: float = PAUSE_CAP_SECONDS,
    ) -> None:
        """`http`: the token host, `guard` its guard. `clock`: monotonic; its steps expire nothing.

        `pause_cap_seconds`: how much of a pause is obeyed that a reply asks for.
        """
        self._http = http
        self._request = request
        self._guard = guard
        self._pause_cap_seconds = pause_cap_seconds
        self._clock = clock or asyncio.get_running_loop().time
        self._held: _Held | None = None
        self._refresh: asyncio.Task[str] | None = None
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
        pause = self._pause
        if pause is None or pause.error is not Unauthorized:
            return None
        return Unauthorized(pause.reason)

    def asked_pause(self) -> tuple[float, float] | None:
        """Return the seconds left of a pause and those a reply asked for; None without one."""
        pause = self._pause
        if pause is None or pause.asked is None:
            return None
        left = max(0.0, pause.until - self._clock())
        return (left, pause.asked) if left or pause.asked > self._pause_cap_seconds else None

    async def get(self) -> str:
        """Return a token with life left.

        Raises Unauthorized (client refused), RateLimited (minted too often) or Unavailable.
        """
        now = self._clock()
        held = self._held
        if held is not None and now < held.renew_at:
            return held.value
        if held is not None and now < held.expires_at:
            # The old one is good for minutes: nobody waits, and a failed renewal hurts nobody.
            if self._paused(now) is None:
                self._refreshing(now)
            return held.value
        return await self._issued(now)

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
            self._pause = _Pause(Unauthorized, reason, wait_until)

    async def aclose(self) -> None:
        """End a token request still under way."""
        if self._refresh is not None:
            self._refresh.cancel()
            await asyncio.wait([self._refresh])

    async def _issued(self, now: float) -> str:
        pause = self._paused(now)
        if pause is not None:
            raise pause.error(pause.reason, retry_after=pause.until - now)
        # Shielded: the request is everybody's, so the one who started it may be cancelled.
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
        reply = await self._http.send(self._request.request)
        try:
            return self._request.read(reply)
        except Transient as error:
            complaint = complaint_of(reply)
            self._asked_seconds = error.retry_after if isinstance(error, RateLimited) else None
            log.warning(
                "genesys_token_refused",
                status=reply.status,
                code=complaint.code,
                correlation_id=complaint.correlation_id,
                failure=type(error).__name__,
            )
            raise

    def _failed(self, error: WorkerError) -> Transient:
        """Close the way for a while; never Permanent, as no message is at fault here."""
        refused = isinstance(error, Unauthorized)
        kind = type(error) if isinstance(error, Unauthorized | RateLimited) else Unavailable
        seconds = error.retry_after if isinstance(error, Transient) else None
        asked, self._asked_seconds = self._asked_seconds, None
        if seconds is None:
            seconds = UNAVAILABLE_PAUSE_SECONDS if kind is Unavailable else REFUSED_PAUSE_SECONDS
        seconds = min(seconds, self._pause_cap_seconds)
        self._pause = _Pause(kind, str(error), self._clock() + seconds, asked)
        metrics.token_refresh.labels("refused" if refused else "error").inc()
        level = 40 if refused else 30  # refused, the daemon has come to a stop
        log.log(level, "genesys_token_failed", reason=str(error), pause_seconds=seconds)
        failure = kind(str(error), retry_after=seconds)
        failure.upstream = error.upstream
        return failure

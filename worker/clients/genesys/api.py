"""One call of the Genesys API: guarded, authorised, and asked once more when a token is refused."""

import asyncio
from collections.abc import Mapping
from math import inf
from typing import Any, Final, TypeVar

import structlog

from worker.clients.genesys.token import Tokens
from worker.clients.genesys.wire import (
    REFUSED_PAUSE_SECONDS,
    Call,
    budget_of,
    complaint_of,
    in_call,
    refuses_token,
)
from worker.clients.http import HttpClient
from worker.clients.http_types import Reply, Request
from worker.errors import Misconfigured, Unauthorized, WorkerError
from worker.resilience.guard import Guard
from worker.resilience.limiter import Limiter

T = TypeVar("T")
log = structlog.get_logger(__name__)

LOUD_SECONDS = 60.0
"""Least time between two errors about the same credentials."""


class Api:
    """The API host behind its guards and its tokens."""

    def __init__(
        self,
        http: HttpClient,
        tokens: Tokens,
        guards: Mapping[str, Guard],
        limiter: Limiter | None = None,
    ) -> None:
        """`guards`: by upstream. `limiter`: theirs; it is told what replies say of the budget."""
        self._limiter = limiter
        self._http = http
        self._tokens = tokens
        self._guards: Final = guards
        self._clock = asyncio.get_running_loop().time
        self._loud_at = -inf

    async def run(self, call: Call[T], *, repeatable: bool = True, background: bool = False) -> T:
        """Send the call and return what its answer means; raise a `WorkerError` otherwise.

        `repeatable`: a second execution does no harm. `background`: gives way to live work.
        """

        async def attempt() -> T:
            return await self._once(call)

        return await self._guards[call.upstream].call(
            attempt, first=self._tokens.get, repeatable=repeatable, background=background
        )

    async def _once(self, call: Call[T]) -> T:
        reply = await self._authorised(call.request)
        try:
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
        complaint = complaint_of(reply)
        told: dict[str, Any] = {
            "endpoint": f"{request.method} {request.template}",
            "status": reply.status,
            "code": complaint.code,
            "correlation_id": complaint.correlation_id,
        }
        more = {"action_error": complaint.action, "limit": complaint.limit}
        told |= {name: value for name, value in more.items() if value is not None}
        log.warning("genesys_call_failed", failure=type(error).__name__, **told)
        if complaint.is_remote_credentials and self._clock() - self._loud_at >= LOUD_SECONDS:
            self._loud_at = self._clock()
            remedy = "renew the credentials of the data action's integration in Genesys Cloud"
            log.error("data_action_credentials_expired", remedy=remedy, **told)

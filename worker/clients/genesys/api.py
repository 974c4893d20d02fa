"""One call of the Genesys API: guarded, authorised, and asked once more when a token is refused."""

from typing import TypeVar

import structlog

from worker.clients.exchange import Reply, Request
from worker.clients.genesys.token import Tokens
from worker.clients.genesys.wire import (
    REFUSED_PAUSE_SECONDS,
    Call,
    budget_of,
    complaint_of,
    refuses_token,
)
from worker.clients.http import HttpClient
from worker.errors import Unauthorized, WorkerError
from worker.resilience.guard import Guard
from worker.resilience.limiter import Limiter

T = TypeVar("T")
log = structlog.get_logger(__name__)


class Api:
    """The API host behind its guard and its tokens."""

    def __init__(
        self, http: HttpClient, tokens: Tokens, guard: Guard, limiter: Limiter | None = None
    ) -> None:
        """`limiter`: the one inside `guard`; it is told what replies say of the budget."""
        self._limiter = limiter
        self._http = http
        self._tokens = tokens
        self._guard = guard

    async def run(self, call: Call[T], *, repeatable: bool = True, background: bool = False) -> T:
        """Send the call and return what its answer means; raise a `WorkerError` otherwise.

        `repeatable`: a second execution does no harm. `background`: gives way to live work.
        """

        async def attempt() -> T:
            return await self._once(call)

        return await self._guard.call(attempt, repeatable=repeatable, background=background)

    async def _once(self, call: Call[T]) -> T:
        reply = await self._authorised(call.request)
        try:
            return call.read(reply)
        except WorkerError as error:
            _log_failure(call.request, reply, error)
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
            _log_failure(request, reply, error)
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


def _log_failure(request: Request, reply: Reply, error: WorkerError) -> None:
    complaint = complaint_of(reply)
    log.warning(
        "genesys_call_failed",
        endpoint=f"{request.method} {request.template}",
        status=reply.status,
        code=complaint.code,
        correlation_id=complaint.correlation_id,
        failure=type(error).__name__,
    )

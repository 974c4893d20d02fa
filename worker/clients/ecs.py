"""ECS: asks the agent to leave this task alone while it does work that is long to repeat.

https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-scale-in-protection-endpoint.html
"""

import asyncio
import math
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from contextvars import Context
from typing import Any

import orjson
import structlog

from worker.clients.http import HttpClient, HttpLimits
from worker.clients.http_types import Reply, Request
from worker.errors import Unavailable
from worker.resilience import best_effort

AGENT_LIMITS = HttpLimits(total_seconds=5, connect_seconds=2, reply_bytes=64 * 1024)
"""The agent asks ECS before it answers; a report waits for that, but not for long."""

PATH = "/task-protection/v1/state"
EFFECT = "task_protection"

MARGIN_SECONDS = 300
"""Between the longest run and the end of its protection: to settle its message."""

MAX_MINUTES = 2880
"""ECS protects for 48 hours at most; work that is still going on then is renewed before."""

RETRY_SECONDS = 30
"""When the agent is asked again after it failed."""

_CODE = re.compile(r"[A-Za-z0-9_.]{1,64}")

log = structlog.get_logger(__name__)


def expiry_minutes(longest_run_seconds: float) -> int:
    """Return how long to protect, in whole minutes, for runs of up to this length."""
    return min(MAX_MINUTES, math.ceil((longest_run_seconds + MARGIN_SECONDS) / 60))


class TaskProtection:
    """Scale-in protection of the task this process is in; it never fails the work it protects.

    Asked for when the first run begins and dropped when the last one ends, not per message:
    ECS throttles UpdateTaskProtection.
    """

    def __init__(self, http: HttpClient, *, minutes: int) -> None:
        """`http`: to ECS_AGENT_URI. `minutes`: until ECS ends a protection that is not renewed."""
        self._http = http
        self._minutes = minutes
        self._running = 0
        self._idle = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def while_busy(self) -> AsyncIterator[None]:
        """Protect the task for the length of the block; enters once ECS was asked."""
        self._running += 1
        try:
            if self._running == 1:
                await self._begin()
            yield
        finally:
            self._running -= 1
            if not self._running:
                # The keeper gives it back: a run that was cancelled must not wait for the agent.
                self._idle.set()

    async def aclose(self) -> None:
        """Stop renewing, and wait for what was asked last."""
        self._idle.set()
        if self._keeper:
            await asyncio.wait({self._keeper})

    async def _begin(self) -> None:
        self._idle, asked = asyncio.Event(), asyncio.Event()
        keeping = self._keep(self._keeper, self._idle, asked)
        # A context of its own: its lines belong to no single message.
        self._keeper = asyncio.create_task(keeping, name="task_protection", context=Context())
        await asked.wait()

    async def _keep(
        self, before: asyncio.Task[None] | None, idle: asyncio.Event, asked: asyncio.Event
    ) -> None:
        """Protect until idle, one keeper after the other: what is asked last must win."""
        try:
            if before:
                await asyncio.wait({before})
            while not idle.is_set():
                protected = await self._ask(enabled=True)
                asked.set()
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._minutes * 30 if protected else RETRY_SECONDS):
                        await idle.wait()
        finally:
            asked.set()
        if not self._running:  # else the next keeper waits already, and protects anew
            await self._ask(enabled=False)

    async def _ask(self, *, enabled: bool) -> bool:
        """Return whether ECS did it."""
        wish: dict[str, Any] = {"ProtectionEnabled": enabled}
        if enabled:
            wish["ExpiresInMinutes"] = self._minutes
        async with best_effort(EFFECT):
            request = Request(method="PUT", path=PATH, template=PATH, json=wish)
            _check(await self._http.send(request))
            log.info("task_protection_set", enabled=enabled, minutes=wish.get("ExpiresInMinutes"))
            return True
        return False


def _check(reply: Reply) -> None:
    """Raise Unavailable for a refusal: by status, or by a 200 whose body reports a failure."""
    try:
        body = orjson.loads(reply.body)
    except ValueError:
        body = None
    match body:
        case {"failure": {"Reason": str(code)}} | {"error": {"Code": str(code)}}:
            raise Unavailable(f"{EFFECT}: {code if _CODE.fullmatch(code) else 'unreadable code'}")
        case {"protection": {}} if reply.status == 200:
            return
    raise Unavailable(f"{EFFECT}: {reply.status}")

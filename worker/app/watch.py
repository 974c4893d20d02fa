"""What is known of the running worker: readiness, /status, and the depth of its queues."""

import asyncio
import time
from contextlib import suppress

import structlog

from worker.app.genesys import GenesysParts
from worker.app.guards import Guards
from worker.app.intake import Intake
from worker.errors import WorkerError
from worker.intake.queue import QueueError
from worker.ops.health import Check
from worker.ops.status import Snapshot
from worker.settings import Sqs
from worker.telemetry import metrics

log = structlog.get_logger(__name__)

SAMPLE_SECONDS = 30
POLL_MARGIN_SECONDS = 60
"""Silence of the receives, beyond the length of a poll, that makes the worker not ready."""


class Watch:
    """Reads the parts; nothing here acts on them."""

    def __init__(
        self, settings: Sqs, intake: Intake, guards: Guards, genesys: GenesysParts
    ) -> None:
        self._settings = settings
        self._intake = intake
        self._guards = guards
        self._genesys = genesys
        self._clock = asyncio.get_running_loop().time
        self._started_at = self._clock()
        self._hidden_on_queue = 0

    def checks(self) -> dict[str, Check]:
        """Return what readiness depends on, by name."""
        return {
            "queue": self._queue_problem,
            "genesys": self._token_problem,
            "parking": self._parking_problem,
        }

    def snapshot(self) -> Snapshot:
        """Return what /status is made of; called from the server's thread, so it only reads."""
        consumer = self._intake.consumer
        success = metrics.last_success._value.get()  # noqa: SLF001  a gauge has no public getter
        return Snapshot(
            draining=consumer.slots.closed,
            in_flight=consumer.in_flight,
            concurrency=consumer.slots.count,
            uptime_seconds=self._clock() - self._started_at,
            pollers=consumer.pollers,
            paused=consumer.valve.last.why,
            suspect_alone=consumer.valve.careful,
            blocked_groups=self._blocked_groups(),
            hidden=self._intake.room.hidden,
            hidden_on_queue=self._hidden_on_queue,
            last_receive_seconds_ago=self._ago(consumer.polls.answered_at),
            last_message_seconds_ago=self._ago(consumer.polls.message_at),
            receive_error=consumer.polls.problem,
            open_breakers=self._guards.open_breakers(),
            asked_pauses=self._guards.asked_pauses(),
            rate_limited_seconds=self._genesys.limiter.spent_for(),
            token_problem=self._token_problem(),
            last_success_seconds_ago=time.time() - success if success else None,
        )

    async def run(self) -> None:
        """Sample the queues and the token, for ever; a failure costs a sample."""
        while True:
            try:
                await self._sample()
            except QueueError as error:
                log.debug("queue_sample_failed", code=error.code)
            await self._ask_for_a_token()
            await asyncio.sleep(SAMPLE_SECONDS)

    async def _ask_for_a_token(self) -> None:
        """Find out about refused credentials, or their mending, while no message asks."""
        with suppress(WorkerError):  # told by the client itself, and by readiness
            await self._genesys.tokens.get()

    async def _sample(self) -> None:
        queue = self._intake.queue
        now = await queue.attributes()
        for state in ("visible", "in_flight", "delayed"):
            metrics.queue_messages.labels(state).set(getattr(now, state))
        hidden = now.in_flight + now.delayed
        # Leases, not handlers at work: what only waits for its delete is in hand, too.
        self._hidden_on_queue = max(0, hidden - len(self._intake.leases))
        if self._settings.visibility_seconds is None:
            # The queue's own may be changed while we run; what is in hand keeps its old lease.
            self._intake.leases.visibility_seconds = now.visibility_seconds
        if url := self._settings.dead_letter_queue_url:
            metrics.dlq_messages.set((await queue.attributes(str(url))).visible)

    def _queue_problem(self) -> str | None:
        polls, slots = self._intake.consumer.polls, self._intake.consumer.slots
        if polls.problem:
            return f"receive fails: {polls.problem}"
        silence = self._clock() - (polls.answered_at or self._started_at)
        # A full house does not poll, nor does a paused or a careful one: none of them is dead.
        valve = self._intake.consumer.valve
        paused = valve.last.state != "flow" or valve.careful
        if (
            slots.free
            and not paused
            and silence > self._settings.wait_seconds + POLL_MARGIN_SECONDS
        ):
            return f"no receive has ended for {silence:.0f} s"
        return None

    def _parking_problem(self) -> str | None:
        return self._intake.park_limit.reached_text

    def _blocked_groups(self) -> dict[str, str]:
        lanes = self._intake.consumer.lanes
        return dict(list(lanes.blocked.items())[:10]) if lanes else {}

    def _token_problem(self) -> str | None:
        return self._genesys.tokens.problem

    def _ago(self, moment: float | None) -> float | None:
        return None if moment is None else self._clock() - moment

"""What the console does with dead letters: reads, dry runs, redrives and deletes.

One run at a time: what one reads is invisible to another. A redrive or a delete is made of a dry
run that has ended, and takes no message that came later.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from math import inf
from typing import Any, Literal

import structlog

from worker.cli.dlq import configured_urls, dead_letter_queues
from worker.cli.dlq.reader import DEFAULT_TIMING, DeadLetter, Timing, depth_of, reading
from worker.cli.dlq.redrive import Addresses, Filter, Order, Tally, carry_out
from worker.clients.aws import MAX_BATCH, Queue, QueueError, fault_called
from worker.errors import ConfigurationError, WorkerError
from worker.telemetry import audit_logger

Action = Literal["redrive", "delete"]
State = Literal["running", "stopping", "stopped", "failed", "ended"]

KEPT_RUNS = 50
KEPT_BYTES = 64 * 1024 * 1024
"""Of bodies that a reading keeps in memory, so that they can be shown."""

END_SECONDS = 15.0
"""For the batch in flight, when the console ends."""

log = structlog.get_logger(__name__)


class Busy(Exception):
    """Another run is not over, or a trace reads the queues."""


class Stopped(Exception):
    """A run was stopped between two batches."""


@dataclass(slots=True, kw_only=True, eq=False)
class Run:
    """One pass over the dead-letter queues, and how far it is."""

    number: int
    order: Order | None = None
    """What is done with what is selected; None: only read, and kept to be shown."""

    limit: int = 0
    """Messages that a reading keeps at most."""

    of: "Run | None" = None
    """The dry run that this one applies."""

    applied_by: "Run | None" = None
    """The run that did what this dry run has shown; once, since it shows what is no longer so."""

    by: str = ""
    """Address of who asked for it."""

    tally: Tally = field(default_factory=Tally)
    found: list[DeadLetter] = field(default_factory=list)
    state: State = "running"
    problem: str = ""
    began_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    seconds: float = 0.0
    """Its length; known once it is over."""

    _began: float = field(default_factory=time.monotonic)

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come of it."""
        return self.state not in {"running", "stopping"}

    @property
    def changes(self) -> bool:
        """Whether it redrives or deletes, and does not only read."""
        return self.order is not None and self.order.apply

    @property
    def can_be_applied(self) -> bool:
        """Whether it is a dry run that selected something, and was not applied."""
        ready = self.state == "ended" and self.applied_by is None
        return ready and self._dry_order is not None and self.to_do > 0

    @property
    def to_do(self) -> int:
        """Messages that are moved or deleted if it is applied."""
        return self.tally.causes.total - self.tally.unaddressed.total()

    def applied(self, rate: float) -> Order:
        """Return the order to do what a dry run has shown. Raises ValueError of any other run."""
        if (order := self._dry_order) is None or not self.can_be_applied:
            raise ValueError("not a dry run that has ended")
        return replace(order, apply=True, rate=rate)

    def elapsed(self) -> float:
        """Return for how long it runs, or ran, in seconds."""
        return self.seconds if self.is_over else time.monotonic() - self._began

    def over(self, state: State, problem: str = "") -> None:
        """End it."""
        self.seconds = time.monotonic() - self._began
        self.state, self.problem = state, problem

    @property
    def _dry_order(self) -> Order | None:
        return self.order if self.order and not self.order.apply else None


class DeadLetters:
    """All runs over the dead-letter queues."""

    def __init__(
        self,
        queues: Callable[[], AbstractAsyncContextManager[Sequence[Queue]]],
        addresses: Addresses,
        timing: Timing = DEFAULT_TIMING,
    ) -> None:
        """`queues` opens the dead-letter queues; `addresses`: where what they have may go back."""
        self._queues = queues
        self._addresses = addresses
        self.timing = timing
        self._task: asyncio.Task[None] | None = None
        self._kept_out = False
        self.runs: list[Run] = []
        """The latest, in order."""

        self.reading: Run | None = None
        """The last that was read and kept."""

    @property
    def active(self) -> Run | None:
        """The run that is not over."""
        return next((run for run in self.runs if not run.is_over), None)

    @contextmanager
    def without_runs(self) -> Iterator[None]:
        """Keep runs out while another reads the queues. Raises Busy."""
        if self._kept_out or self.active:
            raise Busy
        self._kept_out = True
        try:
            yield
        finally:
            self._kept_out = False

    def changed_since(self, run: Run) -> bool:
        """Whether a run after that one changed the queues."""
        return any(
            later.number > run.number and later.changes and later.tally.done for later in self.runs
        )

    def find(self, number: int) -> Run | None:
        """Return the run of that number, if it is still remembered."""
        return next((run for run in self.runs if run.number == number), None)

    def read(self, limit: int, by: str) -> Run:
        """Begin to read so many messages. Raises Busy."""
        run = self._begin(Run(number=self._next(), limit=limit, by=by))
        if self.reading is not None:
            # Bodies are personal data: kept no longer than they can be shown.
            self.reading.found = []
        self.reading = run
        return run

    def dry_run(self, action: Action, only: Filter, rate: float, by: str) -> Run:
        """Begin to count what would be redriven or deleted. Raises Busy."""
        order = Order(
            action=action,
            addresses=self._addresses,
            only=only,
            apply=False,
            before=time.time(),
            rate=rate,
            timing=self.timing,
        )
        return self._begin(Run(number=self._next(), order=order, by=by))

    def apply(self, dry_run: Run, rate: float, by: str) -> Run:
        """Begin to do what a dry run has shown, at a rate. Raises Busy and ValueError."""
        order = dry_run.applied(rate)
        run = self._begin(Run(number=self._next(), order=order, of=dry_run, by=by))
        dry_run.applied_by = run
        return run

    def stop(self, run: Run, by: str) -> None:
        """Let the run end after the batch in flight; no message is between two queues then."""
        if run.is_over:
            return
        run.state = "stopping"
        if run.changes:
            audit_logger().info("dead_letter_change_stop_requested", run=run.number, by=by)

    async def close(self) -> None:
        """Stop what runs, and wait for it; what SQS still hides is visible within a minute."""
        if self._task is None:
            return
        if run := self.active:
            self.stop(run, "the end of the console")
        await asyncio.wait({self._task}, timeout=END_SECONDS)
        self._task.cancel()
        await asyncio.wait({self._task})

    def _next(self) -> int:
        return self.runs[-1].number + 1 if self.runs else 1

    def _begin(self, run: Run) -> Run:
        if self._kept_out or self.active:
            raise Busy
        self.runs = [*self.runs, run][-KEPT_RUNS:]
        self._task = asyncio.create_task(self._run(run))
        self._task.add_done_callback(_log_failure)
        return run

    async def _run(self, run: Run) -> None:
        if run.changes:
            audit_logger().info("dead_letter_change_started", **_audited(run))
        try:
            await self._over_queues(run)
            run.over("stopped" if run.state == "stopping" else "ended")
        except Stopped:
            run.over("stopped")
        except QueueError as error:
            run.over("failed", f"{error}; {fault_called(error.code).remedy}")
        except ConfigurationError as error:
            run.over("failed", "; ".join(error.problems))
        except (WorkerError, OSError) as error:
            run.over("failed", str(error) or type(error).__name__)
        finally:
            if not run.is_over:  # unforeseen, and logged below; or cancelled at the end
                run.over("failed", "ended before it was done; the log says why")
            if run.changes:
                audit_logger().info("dead_letter_change_ended", **_audited(run))

    async def _over_queues(self, run: Run) -> None:
        async with self._queues() as queues:
            run.tally.depth = sum([await depth_of(queue) for queue in queues])
            for queue in queues:
                if run.order is None:
                    await self._keep(queue, run)
                else:
                    await carry_out(queue, run.order, run.tally, _unless_stopped(run))

    async def _keep(self, queue: Queue, run: Run) -> None:
        """Read and keep what is there, up to the limit."""
        kept = sum(_bytes_of(one) for one in run.found)
        go_on = _unless_stopped(run)
        async with reading(queue, before=inf, timing=self.timing) as reader:
            while (left := run.limit - len(run.found)) > 0 and kept < KEPT_BYTES:
                if not (batch := await reader.next(min(left, MAX_BATCH))):
                    break
                kept += sum(_bytes_of(one) for one in batch)
                run.found += batch
                run.tally.causes.add(batch)
                go_on(run.tally)


def _unless_stopped(run: Run) -> Callable[[Tally], None]:
    """Return what is called between two batches, and ends a run that was stopped."""

    def go_on(_: Tally) -> None:
        if run.state == "stopping":
            raise Stopped

    return go_on


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("console_run_failed", exc_info=error)


def _bytes_of(dead_letter: DeadLetter) -> int:
    return len(dead_letter.message.body)


def _audited(run: Run) -> dict[str, Any]:
    """Return what the log says of a run that changes something: no body, no attribute."""
    if run.order is None:
        return {}
    return {
        "run": run.number,
        "action": run.order.action,
        "fingerprint": run.order.only.fingerprint,
        "message_id": run.order.only.message,
        "rate": run.order.rate,
        "by": run.by,
        "state": run.state,
        "selected": run.tally.causes.total,
        "done": run.tally.done,
        "failed": run.tally.not_sent + run.tally.not_deleted,
    }


def open_dead_letters() -> tuple[DeadLetters | None, Sequence[str]]:
    """Return the dead-letter queues of the environment, or which settings are missing."""
    try:
        addresses = Addresses(queues=configured_urls().queues)
        return DeadLetters(dead_letter_queues, addresses), ()
    except ConfigurationError as error:
        return None, error.problems

"""What was sent and what became of it, live and as the final table."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import aiohttp
import orjson
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from worker.demo.environment import PREFIX, Environment
from worker.demo.process import WorkerFailed, WorkerProcess
from worker.demo.traffic import Effects, Planned


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of message in the final table."""

    kind: str
    queue: str
    sent: int
    done: int
    retried: int
    dead_lettered: int
    p50: float
    p99: float
    """Seconds from send to delete."""


class SentMessages:
    """The messages of a scenario, by message id; an event on two queues is two messages."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._planned: dict[str, Planned] = {}
        self._queues: dict[str, str] = {}
        self._calls_before = _calls(environment)
        self._calls: int | None = None
        self._sent_at: dict[str, float] = {}
        self._first_record = len(environment.sqs.journal.records)

    def send(self, planned: Planned) -> None:
        """Put a message on its queues."""
        for url, message_id in self._environment.put(planned.body, planned.queue_of):
            self._planned[message_id] = planned
            self._queues[message_id] = url.rpartition("/")[2]
            self._sent_at[message_id] = time.time()

    def __len__(self) -> int:
        return len(self._planned)

    def unsettled(self) -> int:
        """Return how many messages are not deleted yet."""
        return self._environment.waiting()

    def settled(self) -> None:
        """Count the calls of the worker up to now: what it does later is for other messages."""
        self._calls = _calls(self._environment) - self._calls_before

    def calls_per_thousand(self) -> float:
        """Return the SQS calls of the worker per 1,000 of these messages."""
        calls = (
            _calls(self._environment) - self._calls_before if self._calls is None else self._calls
        )
        return 1000 * calls / max(1, len(self))

    def rows(self) -> list[Row]:
        """Return the final table, a row per kind and queue."""
        took = self._seconds()
        ids: dict[tuple[str, str], list[str]] = {}
        for key, planned in self._planned.items():
            ids.setdefault((planned.kind, self._queues[key]), []).append(key)
        return [self._row(*which, ids[which], took) for which in sorted(ids)]

    def _row(self, kind: str, queue: str, ids: list[str], took: dict[str, float]) -> Row:
        times = sorted(took[key] for key in ids if key in took) or [0.0]
        receives = self._environment.sqs.journal.receives
        dead_lettered = sum(
            self._planned[key].disposition == "dead-lettered" and key in took for key in ids
        )
        return Row(
            kind=kind,
            queue=queue,
            sent=len(ids),
            done=sum(key in took for key in ids) - dead_lettered,
            retried=sum(receives[key] > 1 for key in ids),
            dead_lettered=dead_lettered,
            p50=times[len(times) // 2],
            p99=times[min(len(times) - 1, len(times) * 99 // 100)],
        )

    def _seconds(self) -> dict[str, float]:
        """Return the time from send to delete of each message that was deleted."""
        took: dict[str, float] = {}
        for record in self._environment.sqs.journal.records[self._first_record :]:
            if record.action.startswith("DeleteMessage") and record.outcome == "ok":
                for message_id in record.message_ids:
                    took[message_id] = record.time - self._sent_at.get(message_id, record.time)
        return took


def _calls(environment: Environment) -> int:
    wanted = ("ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility")
    counts: Counter[str] = environment.sqs.counts
    return sum(count for name, count in counts.items() if name.startswith(wanted))


POLL_SECONDS = 0.25


class Progress:
    """Shows how far it is, and what the worker itself says about it."""

    def __init__(self, console: Console, sent: SentMessages, worker: WorkerProcess) -> None:
        self.fault = ""
        self._sent = sent
        self._worker = worker
        self._console = console
        self._live = Live(console=console, refresh_per_second=8, transient=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._live.stop()

    async def run(self) -> None:
        """Refresh until cancelled; without a terminal, a line now and then."""
        said = ""
        while True:
            why = await self._why()
            line = Text(f"{len(self._sent) - self._sent.unsettled()}/{len(self._sent)} settled")
            line.append(f"  {why}", style="cyan")
            if self.fault:
                line.append(f"  fault: {self.fault}", style="bold yellow")
            self._live.update(line)
            if not self._console.is_terminal and self.fault and self.fault != said:
                self._console.print(f"fault: {self.fault}; {why}")
                said = self.fault
            await asyncio.sleep(POLL_SECONDS)

    async def _why(self) -> str:
        try:
            return str(orjson.loads(await self._worker.page("/status"))["why"])
        except (aiohttp.ClientError, WorkerFailed, orjson.JSONDecodeError, KeyError):
            return ""


def print_results(
    console: Console, sent: SentMessages, effects: Sequence[Effects], environment: Environment
) -> None:
    """Print what was sent and what came of it."""
    console.print(_messages(sent, several=bool(environment.job_queues)))
    console.print(_effects(effects))
    genesys = ", ".join(
        f"{name} {count}" for name, count in sorted(environment.genesys.counts.items())
    )
    console.print(f"Genesys requests: {genesys}")
    console.print(f"SQS calls per 1,000 messages: {sent.calls_per_thousand():.0f}")


def _messages(sent: SentMessages, *, several: bool) -> Table:
    # Narrow: with its eight columns it shall be read on eighty characters, too.
    table = Table(
        title="Messages",
        title_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    for name in ("event", "queue")[: 2 if several else 1]:
        table.add_column(name)
    for name in ("sent", "done", "retried", "dead-\nlettered", "p50 s", "p99 s"):
        table.add_column(name, justify="right")
    for row in sent.rows():
        names = (row.kind, row.queue.removeprefix(PREFIX)) if several else (row.kind,)
        counts = (row.sent, row.done, row.retried, row.dead_lettered)
        table.add_row(*names, *map(str, counts), f"{row.p50:.2f}", f"{row.p99:.2f}")
    return table


def _effects(effects: Sequence[Effects]) -> Table:
    table = Table(title="Effects, each exactly once", title_justify="left")
    table.add_column("sink")
    for name in ("expected", "found"):
        table.add_column(name, justify="right")
    table.add_column("result")
    for found in effects:
        result = "[green]ok[/]" if found.right else f"[red]WRONG {', '.join(found.wrong[:3])}[/]"
        table.add_row(found.sink, str(found.expected), str(found.found), result)
    return table

"""What was sent, what went wrong and what became of it: live, and as the final tables."""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any, Self

import aiohttp
import orjson
from rich import progress
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from worker.demo import Effects, Planned
from worker.demo.environment import PREFIX, Environment
from worker.demo.process import WorkerFailed, WorkerProcess


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


@dataclass(frozen=True, slots=True)
class FaultRecord:
    """A fault as it went; times are seconds since 1970."""

    name: str
    began_at: float
    ended_at: float
    settled_at: float
    """When every message sent until then was settled."""


class SentMessages:
    """The messages of a scenario, by message id; an event on two queues is two messages."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._planned: dict[str, Planned] = {}
        self._queues: dict[str, str] = {}
        self.began_at = time.time()
        self.faults: list[FaultRecord] = []
        """What went wrong on the way, in order."""

        self._calls_before = _calls(environment)
        self._calls: int | None = None
        self._genesys: Counter[str] | None = None
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
        self._genesys = Counter(self._environment.genesys.counts)

    def calls_per_thousand(self) -> float:
        """Return the SQS calls of the worker per 1,000 of these messages."""
        calls = (
            _calls(self._environment) - self._calls_before if self._calls is None else self._calls
        )
        return 1000 * calls / max(1, len(self))

    def genesys_requests(self) -> Counter[str]:
        """Return how many requests Genesys had by the time that all was settled."""
        return Counter(self._environment.genesys.counts) if self._genesys is None else self._genesys

    def rows(self) -> list[Row]:
        """Return the final table, a row per kind and queue."""
        took = self._seconds()
        ids: dict[tuple[str, str], list[str]] = {}
        for key, planned in self._planned.items():
            ids.setdefault((planned.kind, self._queues[key]), []).append(key)
        return [self._row(*which, ids[which], took) for which in sorted(ids)]

    def _row(self, kind: str, queue: str, ids: list[str], took: dict[str, float]) -> Row:
        gone = [key for key in ids if key in took]
        times = sorted(took[key] for key in gone) or [0.0]
        dead_lettered = sum(self._planned[key].disposition == "dead-lettered" for key in gone)
        return Row(
            kind=kind,
            queue=queue,
            sent=len(ids),
            done=len(gone) - dead_lettered,
            retried=sum(self._environment.sqs.journal.receives[key] > 1 for key in ids),
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

    def __init__(
        self, console: Console, sent: SentMessages, worker: WorkerProcess, total: int
    ) -> None:
        """`total`: how many messages there will be."""
        self.fault = ""
        self._sent = sent
        self._worker = worker
        self._console = console
        self._bar = progress.Progress(
            progress.BarColumn(bar_width=20),
            progress.MofNCompleteColumn(),
            progress.TextColumn(
                "{task.description}",
                table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis"),
            ),
            console=console,
            transient=True,
            expand=True,
            # Where lines cannot be drawn again, it would be an empty line at the end.
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("", total=total)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._bar.stop()

    async def run(self) -> None:
        """Refresh until cancelled; without a terminal, a line when a fault begins."""
        printed = ""
        while True:
            why = await self._why()
            settled = len(self._sent) - self._sent.unsettled()
            fault = f"[bold yellow]fault: {escape(self.fault)}[/]  " if self.fault else ""
            text = f"{fault}[cyan]{escape(why)}[/]"
            self._bar.update(self._task, completed=settled, description=text)
            if not self._console.is_terminal and self.fault and self.fault != printed:
                self._console.print(f"fault: {self.fault}; {why}", markup=False)
                printed = self.fault
            await asyncio.sleep(POLL_SECONDS)

    async def _why(self) -> str:
        try:
            return why(orjson.loads(await self._worker.page("/status"))["queues"])
        except (aiohttp.ClientError, WorkerFailed, orjson.JSONDecodeError, KeyError):
            return ""


CALM = {"empty": 2, "moving": 1, "waiting": 1}
"""States of a queue that are no news."""


def why(queues: Sequence[Mapping[str, Any]]) -> str:
    """Return why queues move or not, failing ones first, and none that has nothing to do."""
    shown = sorted(queues, key=lambda queue: CALM.get(queue["state"], 0))
    sentences = [
        f"{queue['name'].removeprefix(PREFIX)}: {queue['why']}"
        for queue in shown
        if queue["state"] != "empty"
    ]
    return " ".join(sentences) or "Idle."


def print_results(
    console: Console,
    sent: SentMessages,
    effects: Sequence[Effects],
    environment: Environment,
    log: Sequence[Mapping[str, Any]],
) -> None:
    """Print what was sent, what went wrong and what came of it. `log`: the worker's lines."""
    console.print(_messages(sent, several=bool(environment.job_queues)))
    console.print(_faults(sent, log))
    console.print(effects_table(effects))
    requests = sorted(sent.genesys_requests().items())
    console.print(f"Genesys requests: {', '.join(f'{name} {count}' for name, count in requests)}")
    console.print(f"SQS calls per 1,000 messages: {sent.calls_per_thousand():.0f}")


FIGURES = ("sent", "done", "retried", "dead-\nlettered", "p50 s", "p99 s")


def _messages(sent: SentMessages, *, several: bool) -> Table:
    # Narrow: with its eight columns it shall be read on eighty characters, too.
    table = Table(
        *("event", "queue")[: 2 if several else 1],
        *(Column(name, justify="right") for name in FIGURES),
        title="Messages",
        title_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    for row in sent.rows():
        names = (row.kind, row.queue.removeprefix(PREFIX)) if several else (row.kind,)
        counts = (row.sent, row.done, row.retried, row.dead_lettered)
        table.add_row(*names, *map(str, counts), f"{row.p50:.2f}", f"{row.p99:.2f}")
    return table


def _faults(sent: SentMessages, log: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(title="Faults", title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("at s", justify="right")
    table.add_column("fault")
    for name in ("lasted s", "settled\nafter s"):
        table.add_column(name, justify="right")
    table.add_column("what the worker did")
    for one in sent.faults:
        seconds = (one.began_at - sent.began_at, one.ended_at - one.began_at)
        at, lasted = (f"{value:.1f}" for value in seconds)
        done = "; ".join(reactions(log, one.began_at, one.settled_at))
        after = f"{one.settled_at - one.ended_at:.1f}"
        table.add_row(at, escape(one.name), lasted, after, escape(done))
    return table


def reactions(log: Sequence[Mapping[str, Any]], since: float, until: float) -> Iterator[str]:
    """Say what the worker logged between two moments, each kind of thing once."""
    ours = (line for line in log if "timestamp" in line)  # a job may print JSON of its own
    lines = [line for line in ours if since <= _moment(line) <= until]
    closings = [line for line in lines if line.get("state") == "closed"]
    if opened := _counted(lines, "breaker_opened", "upstream"):
        yield f"breaker of {', '.join(opened)} opened"
    if closed := _counted(closings, "gate_changed", "queue"):
        yield f"queue {', '.join(name.removeprefix(PREFIX) for name in closed)} held"
    if refused := sum(_counted(lines, "genesys_call_failed", "endpoint").values()):
        yield f"failed Genesys calls: {refused}"
    failed = sum(_counted(lines, "event_failed", "job").values())
    yield f"runs tried again: {failed}" if failed else "no run failed"


def _counted(lines: Sequence[Mapping[str, Any]], event: str, field: str) -> Counter[str]:
    return Counter(str(line.get(field, "")) for line in lines if line.get("event") == event)


def _moment(line: Mapping[str, Any]) -> float:
    return datetime.fromisoformat(str(line["timestamp"])).timestamp()


def effects_table(effects: Sequence[Effects]) -> Table:
    """Return what each sink holds against what it must hold."""
    table = Table(title="Effects, each exactly once", title_justify="left")
    table.add_column("sink")
    for name in ("expected", "found"):
        table.add_column(name, justify="right")
    table.add_column("result")
    for found in effects:
        result = "[green]ok[/]" if found.right else f"[red]WRONG {', '.join(found.wrong[:3])}[/]"
        table.add_row(found.sink, str(found.expected), str(found.found), result)
    return table

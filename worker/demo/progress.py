"""What a terminal shows of the demo: a live line on the way, two tables at the end."""

import asyncio
from collections.abc import Sequence
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
from worker.demo.plan import Effects
from worker.demo.process import WorkerFailed, WorkerProcess
from worker.demo.sent_messages import SentMessages

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
    table.add_column("verdict")
    for found in effects:
        verdict = (
            "[green]right[/]" if found.right else f"[red]WRONG {', '.join(found.wrong[:3])}[/]"
        )
        table.add_row(found.sink, str(found.expected), str(found.found), verdict)
    return table

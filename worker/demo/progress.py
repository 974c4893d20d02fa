"""The live line of the demo."""

import asyncio
from types import TracebackType
from typing import Self

import aiohttp
import orjson
from rich.console import Console
from rich.live import Live
from rich.text import Text

from worker.demo.ledger import Sent
from worker.demo.process import WorkerFailed, WorkerProcess

LOOK_SECONDS = 0.25


class Progress:
    """Shows how far it is, and what the worker itself says about it."""

    def __init__(self, console: Console, sent: Sent, worker: WorkerProcess) -> None:
        self.trouble = ""
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
            if self.trouble:
                line.append(f"  trouble: {self.trouble}", style="bold yellow")
            self._live.update(line)
            if not self._console.is_terminal and self.trouble and self.trouble != said:
                self._console.print(f"trouble: {self.trouble}; {why}")
                said = self.trouble
            await asyncio.sleep(LOOK_SECONDS)

    async def _why(self) -> str:
        try:
            return str(orjson.loads(await self._worker.page("/status"))["why"])
        except (aiohttp.ClientError, WorkerFailed, orjson.JSONDecodeError, KeyError):
            return ""

"""The bare loop on our client that does the least a worker must: what of our cost is Python itself.

Each event is opened by the worker's own reader and handled in a task of its own, within a deadline,
with a counter and a histogram. There is no lease, idempotency store,
drain, outcome, log field nor slot.
"""

import asyncio
import time

from prometheus_client import Counter, Histogram

from tests.benchmarks.bare_loop import Message, run
from tests.support.reading import reader
from worker.app.daemon import spare_collections

DEADLINE_SECONDS = 30
handled = Counter("handled", "Messages handled.", ["handler"]).labels("voice")
duration = Histogram("duration", "One run.", ["handler"]).labels("voice")
open_events = reader()


async def work(messages: list[Message]) -> None:
    """Work on messages side by side."""
    await asyncio.gather(*(_one(message) for message in messages))


async def _one(message: Message) -> None:
    began = time.perf_counter()
    open_events(message["Body"])
    async with asyncio.timeout(DEADLINE_SECONDS):
        await _handle()
    duration.observe(time.perf_counter() - began)
    handled.inc()


async def _handle() -> None:
    pass


if __name__ == "__main__":
    spare_collections()
    run(work)

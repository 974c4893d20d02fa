"""What a no-op message costs in process: the real intake on a queue that answers at once.

No socket, no serialising of SQS's JSON: what is left is lease, delivery, idempotency, settlement,
acks and metrics, with the event opened in full. Each round is a process of its own.

One machine gave 28 us, 34 and 41 to the same commit within a week, so read the ratio: beside
the intake, in the same process, stands the least that any asyncio consumer does with a message.
"""

import asyncio
import json
import sys
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from hashlib import sha256

from tests.benchmarks.events import event
from tests.benchmarks.findings import Findings, Spread, Table, ratio
from tests.benchmarks.size import Size
from worker.app.context import new_context
from worker.app.daemon import spare_collections
from worker.app.intake import build_idempotency, join_intake, reading_of
from worker.app.jobs import load_settings
from worker.cli.run import fast_loop
from worker.clients.aws.sqs import Message, QueueAttributes
from worker.events.origin import Result
from worker.intake.queue import OpenQueue
from worker.intake.router import Route
from worker.jobs.voice.events import VoiceScored
from worker.telemetry.logs import configure_logging

SETTINGS = {
    "SQS_QUEUE_URL": "http://127.0.0.1/000000000000/events",
    "HANDLERS": "voice",
    "GENESYS_CLIENT_ID": "id",
    "GENESYS_CLIENT_SECRET": "secret",
    "GENESYS_ACTION_ID": "action",
    "DYNAMODB_TABLE": "table",
}
MESSAGES = 30_000


class InstantQueue:
    """Gives messages as fast as they are asked for, and takes each delete."""

    url = SETTINGS["SQS_QUEUE_URL"]

    def __init__(self, messages: int) -> None:
        self.emptied = asyncio.Event()
        self._left = messages
        self._undeleted = messages
        # Each message an event of its own, 30 MB of them: a second copy would be a duplicate, whose
        # handler is not called. Made beforehand: that is no part of the intake.
        self._bodies = [event(number) for number in range(messages)]

    async def receive(
        self, at_most: int, *, wait_seconds: int, visibility_seconds: int | None
    ) -> list[Message]:
        """Return what is asked for while there is some; then wait for the last delete."""
        if self._left:
            await asyncio.sleep(0)
        else:  # not for as long as SQS would: ten seconds a round in which nothing is measured
            with suppress(TimeoutError):
                await asyncio.wait_for(self.emptied.wait(), wait_seconds)
        count = min(at_most, self._left)
        self._left -= count
        now, sent = asyncio.get_running_loop().time(), time.time()
        return [self._message(self._left + number, now, sent) for number in range(count)]

    async def delete(self, receipts: Sequence[str]) -> list[None]:
        """Take them all."""
        self._undeleted -= len(receipts)
        if not self._undeleted:
            self.emptied.set()
        return [None] * len(receipts)

    async def change_visibility(self, receipts: Sequence[tuple[str, int]]) -> list[None]:
        """Take them all."""
        return [None] * len(receipts)

    async def attributes(self, url: str | None = None) -> QueueAttributes:
        """Return those of an ordinary queue."""
        return QueueAttributes(visibility_seconds=30)

    def age_seconds(self, sent_at: float) -> float:
        """Return no age."""
        return 0.0

    def _message(self, number: int, now: float, sent: float) -> Message:
        key = str(number)
        body = self._bodies[number]
        return Message(id=key, receipt=key, body=body, received_at=now, sent_at=sent)


async def no_op(_: VoiceScored) -> Result:
    """Do nothing."""
    return Result.OK


async def run(messages: int) -> float:
    """Return the CPU microseconds of a message."""
    settings = load_settings(SETTINGS)
    async with AsyncExitStack() as stack:
        queue = InstantQueue(messages)
        routes = {"voice": Route(job="voice", run=no_op, proof="sink")}
        [binding] = settings.queues()
        opened = OpenQueue(binding, queue, await queue.attributes(), 30)
        context = new_context(settings, stack)
        idempotency, marks = await build_idempotency(context)
        reading = reading_of(settings)
        intake = join_intake(context, routes, [opened], reading, idempotency, marks)
        [consumer] = intake.consumers
        spare_collections()
        began = time.process_time()
        consuming = asyncio.create_task(consumer.run())
        await queue.emptied.wait()
        used = time.process_time() - began
        intake.permits.close()
        await consumer.drain(1)
        await consuming
    return used / messages * 1e6


async def least(messages: int) -> float:
    """Return the CPU microseconds of a message in its own task, parsed and known by a hash.

    By the standard library, on the same loop: no lease, no retry, no metric, no deadline.
    """
    queue, tasks, seen = InstantQueue(messages), set[asyncio.Task[None]](), set[str]()

    async def one(message: Message) -> None:
        envelope = json.loads(message.body)
        seen.add(sha256(f"{envelope['id']}|{message.id}".encode()).hexdigest())
        await no_op(envelope)

    began = time.process_time()
    while batch := await queue.receive(10, wait_seconds=0, visibility_seconds=None):
        for message in batch:
            task = asyncio.create_task(one(message))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        await queue.delete([message.receipt for message in batch])
    await asyncio.gather(*tasks)
    return (time.process_time() - began) / messages * 1e6


async def both(messages: int) -> tuple[float, float]:
    """Return the CPU microseconds of a message in the intake, and of the least around it."""
    before = await least(messages)
    ours = await run(messages)
    return ours, (before + await least(messages)) / 2


async def measure(size: Size) -> Findings:
    """Measure it in several processes."""
    rounds = [await _round() for _ in range(size.rounds)]
    ours, bare = ([one[place] for one in rounds] for place in (0, 1))
    return Findings(
        tables=[
            Table(
                "in_process",
                "A no-op message in process, on a queue that answers at once",
                ["CPU, µs a message", "of the least, µs", "times the least"],
                [[Spread(ours), Spread(bare), ratio(ours, bare)]],
            )
        ]
    )


async def _round() -> tuple[float, float]:
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-m", __name__, str(MESSAGES), stdout=asyncio.subprocess.PIPE
    )
    out, _ = await child.communicate()
    ours, bare = map(float, out.split())
    return ours, bare


if __name__ == "__main__":
    configure_logging("warning", "json")
    with asyncio.Runner(loop_factory=fast_loop()) as runner:
        print(*runner.run(both(int(sys.argv[1]) if len(sys.argv) > 1 else MESSAGES)))  # noqa: T201

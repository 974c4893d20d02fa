"""The bare loop on the worker's own AWS client: what of the worker's cost is SQS itself."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from typing import Any

from worker.app.jobs import load_settings
from worker.cli.run import fast_loop
from worker.clients.aws.session import AwsSession, ClientLimits

LOOPS = -(-int(os.environ["BENCH_CONCURRENCY"]) // 10)
LIMITS = ClientLimits(pool=LOOPS + 1, read_seconds=30, attempts=1)

Message = dict[str, Any]
Work = Callable[[list[Message]], Awaitable[None]]


async def nothing(_: list[Message]) -> None:
    """Do no work at all."""


async def loop(sqs: Any, url: str, work: Work) -> None:
    """Receive ten, work on them, delete them in one call."""
    while True:
        answer = await sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=10)
        if messages := answer.get("Messages"):
            await work(messages)
            entries = [
                {"Id": str(place), "ReceiptHandle": message["ReceiptHandle"]}
                for place, message in enumerate(messages)
            ]
            await sqs.delete_message_batch(QueueUrl=url, Entries=entries)


async def main(work: Work) -> None:
    """Receive, work and delete, until the end of the process."""
    settings = load_settings()
    async with AwsSession(settings.aws.region, settings.aws.transport).client("sqs", LIMITS) as sqs:
        url = str(settings.sqs.queue_url)
        await asyncio.gather(*(loop(sqs, url, work) for _ in range(LOOPS)))


def run(work: Work) -> None:
    """Run it on the worker's own event loop."""
    with asyncio.Runner(loop_factory=fast_loop()) as runner:
        runner.run(main(work))


if __name__ == "__main__":
    run(nothing)

"""The bare loop on the worker's own AWS client: what of the worker's cost is SQS itself."""

import asyncio
import os
from typing import Any

from worker.cli.run import fast_loop
from worker.clients.aws.session import AwsSession, ClientLimits
from worker.settings import load_settings

LOOPS = -(-int(os.environ["BENCH_CONCURRENCY"]) // 10)
LIMITS = ClientLimits(pool=LOOPS + 1, read_seconds=30, attempts=1)


async def main() -> None:
    """Receive and delete, until the end of the process."""
    settings = load_settings()
    async with AwsSession(settings.aws).client("sqs", LIMITS) as sqs:
        await asyncio.gather(*(loop(sqs, str(settings.sqs.queue_url)) for _ in range(LOOPS)))


async def loop(sqs: Any, url: str) -> None:
    """Receive ten, delete them in one call."""
    while True:
        answer = await sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=10)
        if messages := answer.get("Messages"):
            entries = [
                {"Id": str(place), "ReceiptHandle": message["ReceiptHandle"]}
                for place, message in enumerate(messages)
            ]
            await sqs.delete_message_batch(QueueUrl=url, Entries=entries)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=fast_loop()) as runner:
        runner.run(main())

"""The bare loop: receive ten, work on them side by side, delete them in one call. Nothing else."""

import asyncio

import uvloop
from aiobotocore.session import get_session
from botocore.config import Config
from work import CONCURRENCY, ENDPOINT, QUEUE_URL, work_async

LOOPS = -(-CONCURRENCY // 10)


async def main():
    config = Config(max_pool_connections=LOOPS + 1)
    async with get_session().create_client("sqs", endpoint_url=ENDPOINT, config=config) as sqs:
        await asyncio.gather(*(loop(sqs) for _ in range(LOOPS)))


async def loop(sqs):
    while True:
        answer = await sqs.receive_message(
            QueueUrl=QUEUE_URL, MaxNumberOfMessages=10, WaitTimeSeconds=10
        )
        if messages := answer.get("Messages"):
            await asyncio.gather(*(work_async(message["Body"]) for message in messages))
            entries = [
                {"Id": str(place), "ReceiptHandle": message["ReceiptHandle"]}
                for place, message in enumerate(messages)
            ]
            await sqs.delete_message_batch(QueueUrl=QUEUE_URL, Entries=entries)


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())

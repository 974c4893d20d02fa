"""taskiq-aio-sqs: `taskiq worker taskiq_peer:broker`, and `python taskiq_peer.py` to send."""

import asyncio

from taskiq_aio_sqs import SQSBroker
from work import ENDPOINT, QUEUE, events, work_async

broker = SQSBroker(QUEUE or "bench", endpoint_url=ENDPOINT, max_number_of_messages=10)


@broker.task(task_name="event")
async def event(text: str) -> None:
    await work_async(text)


async def send():
    await broker.startup()
    for text in events():
        await event.kiq(text)
    await broker.shutdown()


if __name__ == "__main__":
    asyncio.run(send())

"""/status of a whole worker: is its sentence true of the queue?"""

import json

import aioboto3

from tests.service.conftest import sample
from worker.demo.stage import AWS_KEYS


async def test_messages_that_wait_hidden_for_their_retry_are_told_from_an_empty_queue(
    stage, start_worker, eventually
):
    stage.sqs.send(stage.queue_url, sample("events/platform/sta_sentiment.json"))
    async with sqs_of(stage) as sqs:
        await sqs.receive_message(QueueUrl=stage.queue_url, VisibilityTimeout=600)

    async with start_worker() as worker:

        async def says_so():
            why = json.loads(await worker.page("/status"))["why"]
            return why.startswith("Waiting: nothing in hand, 1 messages of the queue are hidden")

        await eventually(says_so)


def sqs_of(stage):
    return aioboto3.Session().client(
        "sqs",
        endpoint_url=stage.sqs.endpoint_url,
        region_name=AWS_KEYS["AWS_REGION"],
        aws_access_key_id="x",
        aws_secret_access_key="x",
    )

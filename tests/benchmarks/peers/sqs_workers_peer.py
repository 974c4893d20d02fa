"""sqs-workers: one process, ten messages after each other. It has no setting for more."""

import boto3
from sqs_workers import RawQueue, SQSEnv
from work import ENDPOINT, QUEUE, QUEUE_URL, work

env = SQSEnv(
    sqs_client=boto3.client("sqs", endpoint_url=ENDPOINT),
    sqs_resource=boto3.resource("sqs", endpoint_url=ENDPOINT),
)
queue = env.queue(QUEUE, RawQueue, queue_url=QUEUE_URL)


@queue.raw_processor()
def process(message):
    work(message.body)


if __name__ == "__main__":
    queue.process_queue()

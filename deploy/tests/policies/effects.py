"""What is missing of the effects that a round should have."""  # noqa: INP001  a script's folder

import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator

import traffic
from cloud import FIREHOSE_PREFIX, STREAM, SUBSCRIBER, Cloud

from worker.emulators import WebhookSink

LARGE = "0ca11000-0000-4000-8000-000000000009"
"""A conversation whose details are more than an execution's input may be: they go to S3."""

UNKNOWN = "0ca11000-0000-4000-8000-000000000008"
"""One that analytics does not know yet: its message is tried again later."""

LINK = re.compile(r"http[^\"\\\\]*Signature=[^\"\\\\]*")
"""A signed link within JSON within JSON."""


def missing(cloud: Cloud, crm: WebhookSink) -> Iterator[str]:
    """Yield a sentence for each effect that is not there."""
    yield from _without_record(cloud)
    yield from _without_execution(cloud)
    yield from _without_files(cloud)
    yield from _without_messages(cloud)
    if not _forwarded(cloud):
        yield "nothing forwarded"
    if not crm.taken:
        yield "no webhook"
    if not _opens(cloud):
        yield "no link to the report that opens"


def _without_record(cloud: Cloud) -> Iterator[str]:
    table = cloud.environment()["DYNAMODB_TABLE"]
    if not cloud.client("dynamodb").scan(TableName=table)["Items"]:
        yield "no voice record"


def _without_execution(cloud: Cloud) -> Iterator[str]:
    arn = cloud.environment()["STEP_FUNCTIONS_ARN"]
    found = cloud.client("stepfunctions").list_executions(stateMachineArn=arn)["executions"]
    for conversation in (traffic.CALL, traffic.CHAT, LARGE):
        if not any(conversation in one["name"] for one in found):
            yield f"no execution for {conversation}"


def _without_files(cloud: Cloud) -> Iterator[str]:
    found = cloud.client("s3").list_objects_v2(Bucket=cloud.environment()["REPORT_BUCKET"])
    keys = [one["Key"] for one in found.get("Contents", [])]
    for prefix, what in (("reports/by-hand/", "report"), ("call-details/", "large details")):
        if not any(key.startswith(prefix) for key in keys):
            yield f"no {what}"


def _without_messages(cloud: Cloud) -> Iterator[str]:
    environment = cloud.environment()
    if _depth(cloud, SUBSCRIBER) < 2:
        yield "no events on the bus"
    if not _depth(cloud, _name(environment["SQS_DEAD_LETTER_QUEUE_URL"])):
        yield "no dead letter"
    if sum(_depth(cloud, _name(url)) for url in cloud.queues().values()) > 1:  # UNKNOWN's stays
        yield "messages are left on the queue"


def _forwarded(cloud: Cloud) -> bool:
    if cloud.forward_to.startswith("firehose:"):
        bucket = cloud.environment()["REPORT_BUCKET"]
        found = cloud.client("s3").list_objects_v2(Bucket=bucket, Prefix=FIREHOSE_PREFIX)
        return bool(found["KeyCount"])
    stream = cloud.client("kinesis")
    shard = stream.get_shard_iterator(
        StreamName=STREAM, ShardId="shardId-000000000000", ShardIteratorType="TRIM_HORIZON"
    )
    return bool(stream.get_records(ShardIterator=shard["ShardIterator"])["Records"])


def _opens(cloud: Cloud) -> bool:
    """Whether the link in the event on the bus opens: with its signer's permissions."""
    sqs = cloud.client("sqs")
    url = sqs.get_queue_url(QueueName=SUBSCRIBER)["QueueUrl"]
    found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0)
    link = LINK.search(json.dumps(found.get("Messages", [])))
    try:
        return link is not None and bool(urllib.request.urlopen(link[0]).read())  # noqa: S310  ours
    except urllib.error.HTTPError:
        return False


def _name(url: str) -> str:
    return url.rpartition("/")[2]


def _depth(cloud: Cloud, queue: str) -> int:
    sqs = cloud.client("sqs")
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]
    found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
    return sum(int(found[name]) for name in names)

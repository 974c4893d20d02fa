"""The no-op message in a Lambda with Powertools: its batch processor, and its parser.

Invoked in process, as the runtime does with what the pollers received: batches of as many records
as named, each event opened by a pydantic model. Prints the CPU microseconds of a record.

    python powertools_peer.py RECORDS-AN-INVOCATION RECORDS
"""

import json
import sys
import time
from datetime import datetime
from uuid import UUID

from aws_lambda_powertools.utilities.batch import (
    BatchProcessor,
    EventType,
    process_partial_response,
)
from aws_lambda_powertools.utilities.parser import BaseModel, parse
from pydantic import Field
from work import events, work

ARN = "arn:aws:sqs:us-east-1:000000000000:bench"
WARM = 0.1


class EventBody(BaseModel):
    conversation_id: UUID = Field(alias="conversationId")
    communication_id: UUID = Field(alias="communicationId")
    score: float = Field(alias="sentimentOverallScore")


class Detail(BaseModel):
    topic: str = Field(alias="topicName")
    timestamp: datetime
    body: EventBody = Field(alias="eventBody")


class Event(BaseModel):
    id: str
    detail_type: str = Field(alias="detail-type")
    source: str
    account: str
    time: datetime
    detail: Detail


processor = BatchProcessor(event_type=EventType.SQS)


def handle(record):
    parse(event=record.body, model=Event)
    work(record.body)


def handler(event, context=None):
    return process_partial_response(
        event=event, record_handler=handle, processor=processor, context=context
    )


def record(number, body):
    return {
        "messageId": f"40000000-0000-4000-8000-{number:012}",
        "receiptHandle": f"handle-{number}",
        "body": body,
        "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": "1545082649183"},
        "messageAttributes": {},
        "md5OfBody": "",
        "eventSource": "aws:sqs",
        "eventSourceARN": ARN,
        "awsRegion": "us-east-1",
    }


def invocations(each, bodies):
    """Return payloads as the runtime gets them, as JSON."""
    for first in range(0, len(bodies), each):
        batch = enumerate(bodies[first : first + each], first)
        yield json.dumps({"Records": [record(number, body) for number, body in batch]})


def invoke(payloads):
    """Return the CPU seconds of so many invocations, the runtime's JSON included."""
    began = time.process_time()
    for payload in payloads:
        reply = json.loads(json.dumps(handler(json.loads(payload))))
        if reply["batchItemFailures"]:
            sys.exit(f"{reply}")
    return time.process_time() - began


if __name__ == "__main__":
    each, count = map(int, sys.argv[1:])
    payloads = list(invocations(each, events()[:count]))
    warm = int(len(payloads) * WARM)
    invoke(payloads[:warm])
    records = count - warm * each
    sys.stdout.write(f"{1e6 * invoke(payloads[warm:]) / records}\n")

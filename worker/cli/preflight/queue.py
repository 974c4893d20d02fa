"""The queues and their dead-letter queues: attributes against the settings, and permissions."""

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from itertools import chain
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from worker.app.queue_findings import Finding, judge_dead_letters, judge_queue
from worker.cli.preflight.faults import fault_of
from worker.cli.preflight.rows import Row, fail, ok, warn
from worker.clients.aws.errors import kind_of
from worker.clients.aws.sqs import QueueAttributes, attributes_of
from worker.settings import Settings
from worker.settings.bindings import name_of


async def check_queues(sqs: Any, settings: Settings) -> list[Row]:
    """Check every queue with its dead-letter queue; with several, each row names the queue."""
    urls, dead_letters = settings.sqs.queue_urls, settings.sqs.dead_letter_queue_urls
    rows = await asyncio.gather(
        *(_check_queue(sqs, settings, url) for url in urls),
        *(_check_sending(sqs, url) for url in dead_letters),
    )
    names = [*_names(urls), *_names(dead_letters)]
    return list(chain.from_iterable(map(_named, rows, names)))


def _names(urls: tuple[str, ...]) -> list[str]:
    return [name_of(url) if len(urls) > 1 else "" for url in urls]


def _named(rows: Iterable[Row], name: str) -> list[Row]:
    return [replace(row, name=f"{name}: {row.name}") if name else row for row in rows]


async def _check_queue(sqs: Any, settings: Settings, url: str) -> list[Row]:
    attributes = await _attributes(sqs, url)
    if isinstance(attributes, Row):
        return [attributes]
    rows = [
        _kind(attributes),
        *_rows(judge_queue(attributes, settings)),
        *await _permissions(sqs, url),
    ]
    dead_letter_url = settings.dead_letter_queue_for(url)
    if dead_letter_url is None:
        return [*rows, *_rows(judge_dead_letters(attributes, None))]
    dead_letters = await _attributes(sqs, dead_letter_url, "dead-letter queue")
    if isinstance(dead_letters, Row):
        return [*rows, dead_letters]
    return [*rows, *_rows(judge_dead_letters(attributes, dead_letters))]


def _rows(findings: Iterable[Finding]) -> list[Row]:
    return [Row(one.name, one.state, one.found, one.remedy) for one in findings]


def _kind(attributes: QueueAttributes) -> Row:
    waiting = attributes.visible
    if attributes.fifo:
        return ok("queue", f"FIFO: groups in parallel, one after another within; {waiting} visible")
    return ok("queue", f"standard; {waiting} messages visible")


async def _attributes(sqs: Any, url: str, name: str = "queue") -> QueueAttributes | Row:
    try:
        reply = await sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
    except (ClientError, BotoCoreError) as error:
        fault = fault_of(error)
        return fail(name, fault.code, fault.remedy)
    attributes = attributes_of(reply)
    return attributes or fail(name, "an answer without attributes", "is this SQS?")


async def _permissions(sqs: Any, url: str) -> list[Row]:
    """Try what changes nothing: calls that ask for what SQS cannot do.

    A receive that could succeed is no such call: with any wait and any visibility it counts as a
    receive of real messages.
    """
    nothing = "worker-check"
    calls = {
        "sqs:ReceiveMessage": sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=11),
        "sqs:DeleteMessage": sqs.delete_message(QueueUrl=url, ReceiptHandle=nothing),
        "sqs:ChangeMessageVisibility": sqs.change_message_visibility(
            QueueUrl=url, ReceiptHandle=nothing, VisibilityTimeout=0
        ),
    }
    return [await _permission(action, call) for action, call in calls.items()]


async def _check_sending(sqs: Any, dead_letter_url: str) -> list[Row]:
    """Try to send a dead letter that is to come in sixteen minutes: SQS delays none so long."""
    action = "sqs:SendMessage to the dead-letter queue"
    call = sqs.send_message(QueueUrl=dead_letter_url, MessageBody="worker check", DelaySeconds=960)
    row = await _permission(action, call, taken="took a message it should have refused")
    return [row]


async def _permission(action: str, call: Any, taken: str = "") -> Row:
    try:
        await call
    except ClientError as error:
        fault = fault_of(error)
        if kind_of(fault.code) not in {"receipt", "refused"}:
            return fail(action, fault.code, fault.remedy)
    except BotoCoreError as error:
        return fail(action, fault_of(error).code, fault_of(error).remedy)
    else:
        if taken:
            return warn(action, taken, "delete it")
    return ok(action, "allowed")

"""What AWS would let the worker do: calls that it must refuse for their content alone.

Such a call changes nothing. And as AWS decides whether a call is allowed before it reads what is in
it, the refusal shows whether the same call would be let through. That order is not documented, and
was not tried on an account.
"""

import asyncio
from base64 import b64encode
from collections.abc import Awaitable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import md5
from itertools import chain
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from worker.app.queues import check_dead_letters, check_queue
from worker.clients.aws.errors import REFUSALS, Fault, fault_called, fault_of, kind_of
from worker.clients.aws.sqs import QueueAttributes, attributes_of
from worker.findings import Finding, fail, ok, warn
from worker.jobs.reports.files import folder
from worker.jobs.workflow.executions import Execution
from worker.settings import Settings
from worker.settings.bindings import name_of

MARK = "worker-check"
"""Name of what is never made: if a service takes it all the same, it can be found."""

NO_JSON = "worker check: this is no JSON, on purpose"


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is called."""

    name: str
    """Of the row."""

    action: str
    """The permission it takes, in IAM's words."""

    setting: str
    """Where its name or ARN comes from."""


async def refusal_of(call: Awaitable[Any]) -> Fault | None:
    """Return what a call was refused for; None when it was not."""
    try:
        await call
    except REFUSALS as error:
        return fault_of(error)
    return None


def refused(target: Target, fault: Fault) -> Finding:
    """Return the row of a call that was refused for another reason than its content."""
    if fault.is_denied:
        return fail(target.name, f"{fault.code} to {target.action}", fault.remedy)
    if fault.is_missing:
        return fail(target.name, fault.code, f"check {target.setting}, the account and the region")
    return fail(target.name, fault.code, fault.remedy)


KEY = {"S": MARK}
"""Of the item that is never written."""


async def check_identity(sts: Any) -> Finding:
    """Ask STS who we are; a network without a route to STS is not our fault."""
    name = "AWS credentials"
    try:
        identity = await sts.get_caller_identity()
    except ClientError as error:
        return fail(name, fault_of(error).code, fault_of(error).remedy)
    except BotoCoreError as error:
        fault = fault_of(error)
        if fault.code.endswith(("TimeoutError", "ConnectionError")):
            return warn(name, f"STS: {fault.code}", "none, if the checks below are ok")
        return fail(name, fault.code, fault.remedy)
    return ok(name, str(identity.get("Arn", "?")))


def check_region(settings: Settings) -> list[Finding]:
    """Compare the queue's region with ours; a signature for the wrong one is refused."""
    region = settings.aws.region
    theirs = dict.fromkeys(filter(None, map(_region_of, settings.sqs.queue_urls)))
    return [
        fail("AWS region", f"AWS_REGION is {region}, the queue's {one}", "use the queue's region")
        for one in theirs
        if region not in (None, one)
    ]


def _region_of(queue_url: str) -> str | None:
    parts = (urlsplit(queue_url).hostname or "").split(".")
    return parts[1] if parts[0] == "sqs" and "amazonaws" in parts else None


async def check_table(dynamodb: Any, table: str) -> Finding:
    """Try to write a voice record."""
    key = {"conversationId": KEY, "eventTimestamp": KEY}
    remedy = "partition key conversationId (S), sort key eventTimestamp (S)"
    return await _try_item("DynamoDB table", dynamodb, table, key, remedy)


async def check_idempotency_table(dynamodb: Any, table: str) -> Finding:
    """Try to write a claim."""
    remedy = "partition key id (S), no sort key, TTL on expiresAt"
    return await _try_item("idempotency table", dynamodb, table, {"id": KEY}, remedy)


async def _try_item(
    name: str, dynamodb: Any, table: str, key: dict[str, Any], remedy: str
) -> Finding:
    """Try a write that its own condition forbids: one call for name, permission and keys."""
    first = next(iter(key))
    impossible = f"attribute_exists({first}) AND attribute_not_exists({first})"
    fault = await refusal_of(
        dynamodb.put_item(TableName=table, Item=key, ConditionExpression=impossible)
    )
    if fault is None:
        return warn(name, "took an item it should have refused", f"delete the item {MARK}")
    if fault.code == "ConditionalCheckFailedException":
        return ok(name, "writable, key schema as expected")
    if fault.code == "ValidationException":
        return fail(name, "unexpected key schema", remedy)
    return fail(name, fault.code, fault.remedy)


REPORTS = Target(name="report bucket", action="s3:PutObject", setting="REPORT_BUCKET")
DETAILS = Target(
    name="call details bucket", action="s3:PutObject", setting="WORKFLOW_DETAILS_BUCKET"
)

REPORT_KEY = folder(MARK, datetime(1970, 1, 1, tzinfo=UTC)) + MARK
DETAILS_KEY = Execution(MARK, {}).details_key()
"""Keys as the handlers make them: permissions are granted by prefix."""

MD5_OF_NOTHING = b64encode(md5(b"", usedforsecurity=False).digest()).decode()
CRC32_OF_NOTHING = "AAAAAA=="
"""Valid in themselves: S3 has to read the body, past all permissions, to find them wrong. Two, as
directory buckets check the second one only."""

REFUSED_BODY = "BadDigest"
"""https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html."""


async def check_report_bucket(s3: Any, bucket: str) -> Finding:
    """Try to write a report."""
    return await _try_object(s3, REPORTS, bucket, REPORT_KEY)


async def check_details_bucket(s3: Any, bucket: str) -> Finding:
    """Try to write call details."""
    return await _try_object(s3, DETAILS, bucket, DETAILS_KEY)


async def _try_object(s3: Any, target: Target, bucket: str, key: str) -> Finding:
    """Try to put an object whose checksums are those of another one."""
    fault = await refusal_of(
        s3.put_object(
            Bucket=bucket,
            Key=key,
            Body=MARK.encode(),
            ContentMD5=MD5_OF_NOTHING,
            ChecksumCRC32=CRC32_OF_NOTHING,
        )
    )
    if fault is None:
        return warn(target.name, "took an object it should have refused", f"delete {key} in it")
    if fault.code == REFUSED_BODY:
        return ok(target.name, f"writable under {key.partition('/')[0]}/")
    return refused(target, fault)


BUS = Target(name="event bus", action="events:PutEvents", setting="EVENT_BUS_NAME")

ALWAYS_THERE = "default"
REFUSED_DETAIL = "MalformedDetail"
"""https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEventsResultEntry.html."""


async def check_bus(events: Any, bus: str, puts: Collection[tuple[str, str]]) -> Finding:
    """Try to put an event of each source and detail-type, with a detail that none can have."""
    entries = [
        {"EventBusName": bus, "Source": source, "DetailType": detail_type, "Detail": NO_JSON}
        for source, detail_type in puts
    ]
    try:
        reply = await events.put_events(Entries=entries)
    except REFUSALS as error:
        return refused(BUS, fault_of(error))
    sources = ", ".join(dict.fromkeys(source for source, _ in puts))
    return _refusal(reply.get("Entries", [])) or await _existence(events, bus, sources)


def _refusal(answers: Collection[Mapping[str, Any]]) -> Finding | None:
    """Return what is wrong with the answers to the entries; None when all were refused."""
    codes = {answer.get("ErrorCode") for answer in answers}
    if None in codes:
        remedy = "warn the owners of the rules on it: an event of worker check came through"
        return warn(BUS.name, "took an event it should have refused", remedy)
    if codes == {REFUSED_DETAIL}:
        return None
    others = sorted(map(str, codes - {REFUSED_DETAIL})) or ["no answer to an entry"]
    return refused(BUS, fault_called(others[0]))


async def _existence(events: Any, bus: str, sources: str) -> Finding:
    """Check that the bus exists, which PutEvents does not do: it takes events for any name.

    https://github.com/aws/aws-cli/issues/9186. The worker itself needs no permission for this read,
    so that lacking it is no fault.
    """
    found = f"would take events of {sources}"
    if bus == ALWAYS_THERE:
        return ok(BUS.name, found)
    fault = await refusal_of(events.describe_event_bus(Name=bus))
    if fault is None:
        return ok(BUS.name, found)
    if fault.is_missing:
        remedy = f"check {BUS.setting}, the account and the region"
        return fail(BUS.name, "does not exist: what is put on it is lost without an error", remedy)
    return ok(BUS.name, f"{found}; existence not verified ({fault.code})")


STATE_MACHINE = Target(
    name="state machine", action="states:StartExecution", setting="STEP_FUNCTIONS_ARN"
)

REFUSED_INPUT = "InvalidExecutionInput"
"""https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html."""


async def check_state_machine(stepfunctions: Any, arn: str) -> Finding:
    """Try to start an execution of an input that no execution can have."""
    fault = await refusal_of(
        stepfunctions.start_execution(stateMachineArn=arn, name=MARK, input=NO_JSON)
    )
    if fault is None:
        return warn(
            STATE_MACHINE.name,
            "started an execution it should have refused",
            f"stop the execution {MARK}",
        )
    if fault.code == REFUSED_INPUT:
        return ok(STATE_MACHINE.name, "exists, and may be started")
    return refused(STATE_MACHINE, fault)


async def check_queues(sqs: Any, settings: Settings) -> list[Finding]:
    """Check every queue with its dead-letter queue; with several, each finding names the queue."""
    urls, dead_letters = settings.sqs.queue_urls, settings.sqs.dead_letter_queue_urls
    rows = await asyncio.gather(
        *(_check_queue(sqs, settings, url) for url in urls),
        *(_check_sending(sqs, url) for url in dead_letters),
    )
    names = [*_names(urls), *_names(dead_letters)]
    return list(chain.from_iterable(map(_named, rows, names)))


def _names(urls: tuple[str, ...]) -> list[str]:
    return [name_of(url) if len(urls) > 1 else "" for url in urls]


def _named(rows: Iterable[Finding], name: str) -> list[Finding]:
    return [replace(row, name=f"{name}: {row.name}") if name else row for row in rows]


async def _check_queue(sqs: Any, settings: Settings, url: str) -> list[Finding]:
    attributes = await _attributes(sqs, url)
    if isinstance(attributes, Finding):
        return [attributes]
    rows = [
        _kind(attributes),
        *_rows(check_queue(attributes, settings)),
        *await _permissions(sqs, url),
    ]
    dead_letter_url = settings.dead_letter_queue_for(url)
    if dead_letter_url is None:
        return [*rows, *_rows(check_dead_letters(attributes, None))]
    dead_letters = await _attributes(sqs, dead_letter_url, "dead-letter queue")
    if isinstance(dead_letters, Finding):
        return [*rows, dead_letters]
    return [*rows, *_rows(check_dead_letters(attributes, dead_letters))]


def _rows(findings: Iterable[Finding]) -> list[Finding]:
    return [Finding(one.name, one.state, one.found, one.remedy) for one in findings]


def _kind(attributes: QueueAttributes) -> Finding:
    waiting = attributes.visible
    if attributes.fifo:
        return ok("queue", f"FIFO: groups in parallel, each in order; {waiting} messages visible")
    return ok("queue", f"standard; {waiting} messages visible")


async def _attributes(sqs: Any, url: str, name: str = "queue") -> QueueAttributes | Finding:
    try:
        reply = await sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
    except (ClientError, BotoCoreError) as error:
        fault = fault_of(error)
        return fail(name, fault.code, fault.remedy)
    attributes = attributes_of(reply)
    return attributes or fail(name, "an answer without attributes", "check SQS_QUEUE_URL: not SQS")


async def _permissions(sqs: Any, url: str) -> list[Finding]:
    """Try calls that ask for what SQS cannot do: they change nothing.

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


async def _check_sending(sqs: Any, dead_letter_url: str) -> list[Finding]:
    """Try to send a dead letter that is delayed by sixteen minutes: SQS allows fifteen."""
    action = "sqs:SendMessage to the dead-letter queue"
    call = sqs.send_message(QueueUrl=dead_letter_url, MessageBody="worker check", DelaySeconds=960)
    row = await _permission(action, call, taken="took a message it should have refused")
    return [row]


async def _permission(action: str, call: Any, taken: str = "") -> Finding:
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

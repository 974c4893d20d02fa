"""What AWS would let us do, found out by calls that it must refuse for their content alone.

Such a call changes nothing. And as AWS decides whether a call is allowed before it reads what is in
it, the refusal shows whether the same call would be let through. That order is not documented, and
was not tried on an account.
"""

from base64 import b64encode
from collections.abc import Awaitable, Collection, Mapping
from hashlib import md5
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from worker.clients.aws.errors import CALL_ERRORS, Fault, fault_called, fault_of
from worker.clients.aws.session import AwsService
from worker.findings import Finding, Permission, fail, ok, warn
from worker.telemetry.scrub import escape

MARK = "worker-check"
"""Name of what is never made: if a service takes it all the same, it can be found."""

NO_JSON = "worker check: this is no JSON, on purpose"


class Probe(Struct, frozen=True, kw_only=True):
    """A call whose content no service takes."""

    name: str
    """Of the finding."""

    action: str
    """The permission it takes, in IAM's words."""

    setting: str
    """Where the name or ARN of what is called comes from."""

    refusal: str
    """AWS's code for the content: then the call was allowed."""

    found: str
    """What is found then."""

    taken: str = "took what it should have refused"
    """What is found when it was not refused at all."""

    remedy: str = ""
    """What to do about that."""

    resource: str = ""
    """ARN of what was called; empty where it is not known."""

    def about(self, finding: Finding) -> Finding:
        """Return the finding as one of this permission."""
        permission = Permission(action=self.action, setting=self.setting, resource=self.resource)
        return replace(finding, permission=permission)


async def run(probe: Probe, call: Awaitable[Any]) -> Finding:
    """Await the call and return what its refusal shows."""
    fault = await fault_raised(call)
    if fault is None:
        return probe.about(warn(probe.name, probe.taken, probe.remedy))
    if fault.code == probe.refusal:
        return probe.about(ok(probe.name, probe.found))
    return refused(probe, fault)


async def fault_raised(call: Awaitable[Any]) -> Fault | None:
    """Return what a call was refused for; None when it was not."""
    try:
        await call
    except CALL_ERRORS as error:
        return fault_of(error)
    return None


def refused(probe: Probe, fault: Fault) -> Finding:
    """Return the finding of a call that was refused for another reason than its content."""
    if fault.is_denied:
        return probe.about(fail(probe.name, *denied(fault, probe.action)))
    if fault.is_missing:
        remedy = f"check {probe.setting}, the account and the region"
        return probe.about(fail(probe.name, fault.code, remedy))
    return probe.about(fail(probe.name, fault.code, fault.remedy))


def denied(fault: Fault, action: str) -> tuple[str, str]:
    """Return what to say of a denial, and what to do about it.

    The action is the call's own unless AWS names another, e.g. that of the resource's key; of its
    own it writes `sqs:receivemessage`.
    """
    if fault.action.lower() not in {"", action.lower()}:
        action = fault.action
    said = f"; AWS: {escape(fault.denial)}" if fault.denial else ""
    remedy = f"allow the role {action}, and check the resource's own policy"
    return f"{fault.code} to {action}{said}", remedy


async def put_item(
    name: str, dynamodb: AwsService, table: str, keys: Collection[str], schema: str
) -> Finding:
    """Try to put an item by a write that its own condition forbids.

    One call for the name of the table, the permission and the keys, which are texts. `schema`:
    what the table needs, for people.
    """
    first = next(iter(keys))
    impossible = f"attribute_exists({first}) AND attribute_not_exists({first})"
    probe = _of_table(name, dynamodb, "dynamodb:PutItem", "writable, key schema as expected")
    fault = await fault_raised(
        dynamodb.client.put_item(
            TableName=table,
            Item={key: {"S": MARK} for key in keys},
            ConditionExpression=impossible,
        )
    )
    if fault is None:
        return probe.about(warn(name, probe.taken, probe.remedy))
    if fault.code == probe.refusal:
        return probe.about(ok(name, probe.found))
    if fault.code == "ValidationException":
        return probe.about(fail(name, "unexpected key schema", schema))
    return refused(probe, fault)


IMPOSSIBLE = "attribute_exists(id) AND attribute_not_exists(id)"
KEY = {"id": {"S": MARK}}


async def update_item(name: str, dynamodb: AwsService, table: str) -> Finding:
    """Try to change an item by a write that its own condition forbids; the key is `id`, a text."""
    probe = _of_table(name, dynamodb, "dynamodb:UpdateItem", "may be updated, key as expected")
    call = dynamodb.client.update_item(
        TableName=table, Key=KEY, UpdateExpression="REMOVE used", ConditionExpression=IMPOSSIBLE
    )
    return await run(probe, call)


async def delete_item(name: str, dynamodb: AwsService, table: str) -> Finding:
    """Try to delete an item by a write that its own condition forbids; the key is `id`, a text."""
    probe = _of_table(name, dynamodb, "dynamodb:DeleteItem", "items may be deleted")
    call = dynamodb.client.delete_item(TableName=table, Key=KEY, ConditionExpression=IMPOSSIBLE)
    return await run(probe, call)


async def query(name: str, dynamodb: AwsService, table: str, key: str) -> Finding:
    """Read the items of a partition that nothing is in. `key`: the partition key, a text."""
    probe = _of_table(name, dynamodb, "dynamodb:Query", "")
    fault = await fault_raised(
        dynamodb.client.query(
            TableName=table,
            KeyConditionExpression="#key = :none",
            ExpressionAttributeNames={"#key": key},
            ExpressionAttributeValues={":none": {"S": MARK}},
            Limit=1,
        )
    )
    return refused(probe, fault) if fault else probe.about(ok(name, "may be queried"))


def _of_table(name: str, dynamodb: AwsService, action: str, found: str) -> Probe:
    return Probe(
        name=name,
        action=action,
        setting=dynamodb.setting or "the table's name",
        refusal="ConditionalCheckFailedException",
        found=found,
        taken="took a write it should have refused",
        remedy=f"delete the item {MARK}",
    )


MD5_OF_NOTHING = b64encode(md5(b"", usedforsecurity=False).digest()).decode()
CRC32_OF_NOTHING = "AAAAAA=="
"""Valid in themselves: S3 has to read the body, past all permissions, to find them wrong. Two, as
directory buckets check the second one only."""

S3_ARN = "arn:aws:s3:::"
REFUSED_BODY = "BadDigest"
"""https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html."""


async def put_object(name: str, s3: AwsService, bucket: str, key: str) -> Finding:
    """Try to put an object whose checksums are those of another one.

    `key`: as the job makes them, for permissions are granted by prefix.
    """
    probe = Probe(
        name=name,
        action="s3:PutObject",
        setting=s3.setting or "the bucket's name",
        refusal=REFUSED_BODY,
        found=f"writable under {key.partition('/')[0]}/",
        taken="took an object it should have refused",
        remedy=f"delete {key} in it",
        # Of an access point the ARN is in place of the bucket's name.
        resource=f"{bucket}/object/{key}"
        if bucket.startswith("arn:")
        else f"{S3_ARN}{bucket}/{key}",
    )
    call = s3.client.put_object(
        Bucket=bucket,
        Key=key,
        Body=MARK.encode(),
        ContentMD5=MD5_OF_NOTHING,
        ChecksumCRC32=CRC32_OF_NOTHING,
    )
    return await run(probe, call)


ALWAYS_THERE = "default"
BUS_NAME = "the bus's name"
REFUSED_DETAIL = "MalformedDetail"
"""https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEventsResultEntry.html."""


async def put_events(
    name: str, events: AwsService, bus: str, puts: Collection[tuple[str, str]]
) -> Finding:
    """Try to put an event of each source and detail-type, with a detail that none can have."""
    sources = ", ".join(dict.fromkeys(source for source, _ in puts))
    probe = Probe(
        name=name,
        action="events:PutEvents",
        setting=events.setting or BUS_NAME,
        refusal=REFUSED_DETAIL,
        found=f"would take events of {sources}",
    )
    entries = [
        {"EventBusName": bus, "Source": source, "DetailType": detail_type, "Detail": NO_JSON}
        for source, detail_type in puts
    ]
    try:
        reply = await events.client.put_events(Entries=entries)
    except CALL_ERRORS as error:
        return refused(probe, fault_of(error))
    answered = _of_entries(probe, reply.get("Entries", []))
    return answered if answered.state == "fail" else await _existence(answered, events, bus)


def _of_entries(probe: Probe, answers: Collection[Mapping[str, Any]]) -> Finding:
    """Return what the answers to the entries say; ok when all were refused."""
    codes = {answer.get("ErrorCode") for answer in answers}
    if None in codes:
        remedy = "warn the owners of the rules on it: an event of worker check came through"
        return probe.about(warn(probe.name, "took an event it should have refused", remedy))
    if codes == {REFUSED_DETAIL}:
        return probe.about(ok(probe.name, probe.found))
    others = sorted(map(str, codes - {REFUSED_DETAIL})) or ["no answer to an entry"]
    return refused(probe, fault_called(others[0]))


async def _existence(answered: Finding, events: AwsService, bus: str) -> Finding:
    """Check that the bus exists, which PutEvents does not do: it takes events for any name.

    https://github.com/aws/aws-cli/issues/9186. The worker itself needs no permission for this read,
    so that lacking it is no fault.
    """
    if bus == ALWAYS_THERE:
        return answered
    fault = await fault_raised(events.client.describe_event_bus(Name=bus))
    if fault is None:
        return answered
    if fault.is_missing:
        remedy = f"check {events.setting or BUS_NAME}, the account and the region"
        found = "does not exist: what is put on it is lost without an error"
        return replace(fail(answered.name, found, remedy), permission=answered.permission)
    return replace(answered, found=f"{answered.found}; existence not verified ({fault.code})")

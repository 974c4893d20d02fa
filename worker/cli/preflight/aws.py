"""Who we are to AWS, and whether the tables take what we write."""

from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError

from worker.cli.preflight.dry import MARK, refusal_of
from worker.cli.preflight.faults import fault_of
from worker.cli.preflight.rows import Row, fail, ok, warn
from worker.settings import Settings

KEY = {"S": MARK}
"""Of the item that is never written."""


async def check_identity(sts: Any) -> Row:
    """Ask STS who we are; a network without a way to STS is not a fault of ours."""
    name = "AWS credentials"
    try:
        identity = await sts.get_caller_identity()
    except ClientError as error:
        return fail(name, fault_of(error).code, fault_of(error).remedy)
    except BotoCoreError as error:
        fault = fault_of(error)
        if fault.code.endswith(("TimeoutError", "ConnectionError")):
            return warn(name, f"STS: {fault.code}", "none, if the checks below are well")
        return fail(name, fault.code, fault.remedy)
    return ok(name, str(identity.get("Arn", "?")))


def check_region(settings: Settings) -> list[Row]:
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


async def check_table(dynamodb: Any, table: str) -> Row:
    """Try to write a voice record."""
    key = {"conversationId": KEY, "eventTimestamp": KEY}
    remedy = "partition key conversationId (S), sort key eventTimestamp (S)"
    return await _try_write("DynamoDB table", dynamodb, table, key, remedy)


async def check_ledger(dynamodb: Any, table: str) -> Row:
    """Try to write a claim."""
    remedy = "partition key id (S), no sort key, TTL on expiresAt"
    return await _try_write("ledger table", dynamodb, table, {"id": KEY}, remedy)


async def _try_write(name: str, dynamodb: Any, table: str, key: dict[str, Any], remedy: str) -> Row:
    """Try a write that its own condition forbids: tells name, permission and keys in one call."""
    first = next(iter(key))
    impossible = f"attribute_exists({first}) AND attribute_not_exists({first})"
    fault = await refusal_of(
        dynamodb.put_item(TableName=table, Item=key, ConditionExpression=impossible)
    )
    if fault is None:
        return warn(name, "took an item it should have refused", f"delete the item {MARK}")
    if fault.code == "ConditionalCheckFailedException":
        return ok(name, "writable, keys as expected")
    if fault.code == "ValidationException":
        return fail(name, "its keys are others", remedy)
    return fail(name, fault.code, fault.remedy)

"""Checks of AWS that are no job's: credentials, region, queues, idempotency table, event bus."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable
from functools import partial
from itertools import chain
from typing import Any

from msgspec.structs import replace

from worker.app.context import AppContext
from worker.app.findings import check_dead_letters, check_queue
from worker.app.jobs import known_jobs
from worker.clients.aws import (
    CALL_ERRORS,
    AwsService,
    ClientLimits,
    Fault,
    QueueAttributes,
    attributes_of,
    fault_of,
    kind_of,
    probes,
)
from worker.findings import Checks, Finding, Permission, fail, ok, untried, warn
from worker.ops import counted
from worker.settings import Settings, queue_name

QUEUES, DEAD_LETTERS = "SQS_QUEUE_URL", "SQS_DEAD_LETTER_QUEUE_URL"
"""Settings with the URLs of queues."""

READ = "sqs:GetQueueAttributes"
IDENTITY = "AWS credentials"
PERMISSION = "AWS permission"
"""Name of the findings of permissions that are not tried."""

LIMITS = ClientLimits(pool=2, read_seconds=5, attempts=2)


def aws_checks(settings: Settings) -> Checks:
    """Return those that are needed, in the order of their findings."""
    on = sorted(settings.enabled_jobs())
    checks = {
        IDENTITY: _with(check_identity, "sts"),
        "queue": _with(partial(check_queues, settings=settings), "sqs"),
    }
    if table := settings.idempotency.table:
        ask = partial(check_idempotency_table, table=table)
        checks["idempotency table"] = _with(ask, "dynamodb", "LEDGER_TABLE")
    if settings.genesys.fleet_requests_per_minute and (table := settings.budget_table):
        setting = "BUDGET_TABLE" if settings.budget.table else "LEDGER_TABLE"
        ask = partial(check_budget_table, table=table)
        checks["budget table"] = _with(ask, "dynamodb", setting)
    if puts := [put for name in on for put in known_jobs()[name].bus_events]:
        ask = partial(check_bus, bus=settings.event_bus.name, puts=puts)
        checks["event bus"] = _with(ask, "events", "EVENT_BUS_NAME")
    return checks


def _with(
    ask: Callable[[AwsService], Awaitable[list[Finding]]], service: str, setting: str | None = None
) -> Callable[[AppContext], Awaitable[list[Finding]]]:
    async def check(context: AppContext) -> list[Finding]:
        return await ask(await context.aws_service(service, LIMITS, setting))

    return check


async def check_identity(sts: AwsService) -> list[Finding]:
    """Ask STS who we are; a network without a route to STS is not our fault."""
    name = IDENTITY
    try:
        identity = await sts.client.get_caller_identity()
    except CALL_ERRORS as error:
        fault = fault_of(error)
        if fault.code.endswith(("TimeoutError", "ConnectionError")):
            return [warn(name, f"STS: {fault.code}", "none, if the checks below are ok")]
        return [fail(name, fault.code, fault.remedy)]
    return [ok(name, str(identity.get("Arn", "?")))]


async def check_idempotency_table(dynamodb: AwsService, table: str) -> list[Finding]:
    """Try to write a claim, to change and to drop one; a table that is wrong is one finding."""
    name, schema = "idempotency table", "partition key id (S), no sort key, TTL on expiresAt"
    written = await probes.put_item(name, dynamodb, table, ("id",), schema)
    if written.state != "ok":
        return [written]
    changed = await probes.update_item(name, dynamodb, table)
    return [written, changed, await probes.delete_item(name, dynamodb, table)]


async def check_budget_table(dynamodb: AwsService, table: str) -> list[Finding]:
    """Try to draw a lease, by a write that its own condition forbids."""
    return [await probes.update_item("budget table", dynamodb, table)]


async def check_bus(
    events: AwsService, bus: str, puts: Collection[tuple[str, str]]
) -> list[Finding]:
    """Try to put an event of each source and detail-type."""
    return [await probes.put_events("event bus", events, bus, puts)]


async def check_queues(service: AwsService, settings: Settings) -> list[Finding]:
    """Check every queue with its dead-letter queue; with several, each finding names the queue."""
    sqs = service.client
    urls, dead_letters = settings.sqs.queue_urls, settings.sqs.dead_letter_queue_urls
    rows = await asyncio.gather(
        *(_check_queue(sqs, settings, url) for url in urls),
        *(_check_dead_letters(sqs, url) for url in dead_letters),
    )
    names = [*_names(urls), *_names(dead_letters)]
    return list(chain.from_iterable(map(_named, rows, names)))


def _names(urls: tuple[str, ...]) -> list[str]:
    return [queue_name(url) if len(urls) > 1 else "" for url in urls]


def _named(rows: Iterable[Finding], name: str) -> list[Finding]:
    return [replace(row, name=f"{name}: {row.name}") if name else row for row in rows]


async def _check_queue(sqs: Any, settings: Settings, url: str) -> list[Finding]:
    attributes = await _attributes(sqs, url)
    if isinstance(attributes, Fault):
        row = _refused("queue", attributes, Permission(action=READ, setting=QUEUES))
        # Who may not read them may well be allowed the rest, or lack more of it.
        return [row, *(await _permissions(sqs, url) if attributes.is_denied else ())]
    rows = [
        _kind(attributes),
        *check_queue(attributes, settings),
        *await _permissions(sqs, url),
        *_key(attributes, "kms:Decrypt", QUEUES),
    ]
    dead_letter_url = settings.dead_letter_queue_for(url)
    if dead_letter_url is None:
        return [*rows, *check_dead_letters(attributes, None)]
    dead_letters = await _attributes(sqs, dead_letter_url)
    if isinstance(dead_letters, Fault):
        permission = Permission(action=READ, setting=DEAD_LETTERS)
        return [*rows, _refused("dead-letter queue", dead_letters, permission)]
    rows += check_dead_letters(attributes, dead_letters)
    return [*rows, *_key(dead_letters, "kms:GenerateDataKey", DEAD_LETTERS)]


def _kind(attributes: QueueAttributes) -> Finding:
    waiting = counted(attributes.visible, "message")
    if attributes.fifo:
        return ok("queue", f"FIFO: groups in parallel, each in order; {waiting} visible")
    return ok("queue", f"standard; {waiting} visible")


async def _attributes(sqs: Any, url: str) -> QueueAttributes | Fault:
    try:
        reply = await sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
    except CALL_ERRORS as error:
        return fault_of(error)
    attributes = attributes_of(reply)
    return attributes or Fault("an answer without attributes", "check its URL: this is not SQS")


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
    return [await _permission(action, action, QUEUES, call) for action, call in calls.items()]


def _key(attributes: QueueAttributes, action: str, setting: str) -> list[Finding]:
    """Return the permission on the key of a queue: a call that is refused never comes to the key.

    AWS's own key of SQS is for everyone of the account.
    """
    key = attributes.key
    if key is None or key.endswith("alias/aws/sqs"):
        return []
    permission = Permission(
        action=action, setting=setting, resource=key if key.startswith("arn:") else ""
    )
    found = untried(PERMISSION, f"{action} ({setting}): its key is {key}", "")
    return [replace(found, permission=permission)]


async def _check_dead_letters(sqs: Any, url: str) -> list[Finding]:
    """Try to send a dead letter that is delayed by sixteen minutes: SQS allows fifteen."""
    action = "sqs:SendMessage"
    call = sqs.send_message(QueueUrl=url, MessageBody="worker check", DelaySeconds=960)
    taken = "took a message it should have refused"
    name = f"{action} to the dead-letter queue"
    return [await _permission(name, action, DEAD_LETTERS, call, taken)]


async def _permission(name: str, action: str, setting: str, call: Any, taken: str = "") -> Finding:
    fault = await probes.fault_raised(call)
    permission = Permission(action=action, setting=setting)
    if fault is not None and kind_of(fault.code) not in {"receipt", "refused"}:
        return _refused(name, fault, permission)
    if fault is None and taken:
        return replace(warn(name, taken, "delete it"), permission=permission)
    return replace(ok(name, "allowed"), permission=permission)


def _refused(name: str, fault: Fault, permission: Permission) -> Finding:
    said = (fault.code, fault.remedy)
    if fault.is_denied:
        said = probes.denied(fault, permission.action)
    return replace(fail(name, *said), permission=permission)

"""What `worker check` asks for forwarding: whether the target would take events.

A batch without any event is refused by every service for that alone, and were it taken, nothing
would have been sent.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from pydantic import HttpUrl

from worker.api import Context, Finding, fail, ok, probes, reach, warn
from worker.jobs.forward import (
    Destination,
    ForwardSettings,
    Kind,
    destination_of,
    loop_of,
    open_service,
)
from worker.jobs.forward.targets import SETTING, SOURCE

TARGET = "forward target"
"""Name of the findings."""

REFUSED_BATCH = {
    "ValidationException",
    "InvalidArgumentException",
    "EmptyBatchRequest",
    "AWS.SimpleQueueService.EmptyBatchRequest",
}


async def check_target(context: Context, settings: ForwardSettings) -> list[Finding]:
    """Ask the target for what it must refuse."""
    to = destination_of(settings.forward_to or "")
    if problem := loop_of(to, context.queue_urls):
        return [fail(TARGET, problem.removeprefix(f"{SETTING}: "), f"check {SETTING}")]
    return await _CHECKS[to.kind](context, to)


async def _s3(context: Context, to: Destination) -> list[Finding]:
    key = f"{to.prefix}{probes.MARK}/{probes.MARK}"
    return [await probes.put_object(TARGET, await open_service(context, "s3"), to.name, key)]


async def _kinesis(context: Context, to: Destination) -> list[Finding]:
    client = (await open_service(context, "kinesis")).client
    put = client.put_records(StreamName=to.name, Records=[])
    read = partial(client.describe_stream_summary, StreamName=to.name)
    return [await _batch("kinesis:PutRecords", put, read)]


async def _firehose(context: Context, to: Destination) -> list[Finding]:
    client = (await open_service(context, "firehose")).client
    put = client.put_record_batch(DeliveryStreamName=to.name, Records=[])
    read = partial(client.describe_delivery_stream, DeliveryStreamName=to.name)
    return [await _batch("firehose:PutRecordBatch", put, read)]


async def _sqs(context: Context, to: Destination) -> list[Finding]:
    client = (await open_service(context, "sqs")).client
    put = client.send_message_batch(QueueUrl=to.name, Entries=[])
    read = partial(client.get_queue_attributes, QueueUrl=to.name, AttributeNames=["QueueArn"])
    return [await _batch("sqs:SendMessage", put, read)]


async def _batch(action: str, put: Awaitable[Any], read: Callable[[], Awaitable[Any]]) -> Finding:
    """Put a batch of nothing, and read whether there is a target: the first may not show it.

    `read`: a call that the job needs no permission for; lacking it is no fault.
    """
    probe = probes.Probe(name=TARGET, action=action, setting=SETTING, refusal="", found="")
    fault = await probes.fault_raised(put)
    if fault is not None and fault.code not in REFUSED_BATCH:
        return probes.refused(probe, fault)
    fault = await probes.fault_raised(read())
    if fault is None:
        return probe.about(ok(TARGET, f"exists, and {action} is allowed"))
    if fault.is_missing:
        return probes.refused(probe, fault)
    found = f"{action} is allowed; existence not verified ({fault.code})"
    return probe.about(ok(TARGET, found))


async def _bus(context: Context, to: Destination) -> list[Finding]:
    events = await open_service(context, "events")
    found = await probes.put_events(TARGET, events, to.name, [(SOURCE, probes.MARK)])
    return [found, *await _rules_back(context, events.client, to.name)]


async def _rules_back(context: Context, events: Any, bus: str) -> list[Finding]:
    """Warn of rules by which what is forwarded would come back, for ever.

    Both reads need permissions that the job has no other use for.
    """
    sqs = await context.aws("sqs")
    rules: list[str] = []

    async def find() -> None:
        for url in context.queue_urls:
            reply = await sqs.client.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
            arn = reply["Attributes"]["QueueArn"]
            named = await events.list_rule_names_by_target(TargetArn=arn, EventBusName=bus)
            rules.extend(named["RuleNames"])

    fault = await probes.fault_raised(find())
    remedy = f"let no rule from this bus to a queue of SQS_QUEUE_URL match the source {SOURCE}"
    if fault is not None:
        found = f"whether it feeds the worker's own queue is not verified ({fault.code})"
        return [warn(TARGET, found, remedy)]
    if rules:
        found = f"feeds the worker's own queue by the rules {', '.join(sorted(rules))}"
        return [warn(TARGET, found, remedy)]
    return []


async def _webhook(_: Context, to: Destination) -> list[Finding]:
    return [await reach(SETTING, HttpUrl(to.name))]


_CHECKS: dict[Kind, Callable[[Context, Destination], Awaitable[list[Finding]]]] = {
    "s3": _s3,
    "kinesis": _kinesis,
    "firehose": _firehose,
    "sqs": _sqs,
    "bus": _bus,
    "webhook": _webhook,
}

"""Forward: events of any type, as they came, to S3, Kinesis, Firehose, SQS, a bus or a webhook."""

from collections.abc import Awaitable, Callable, Sequence

from pydantic import HttpUrl

from worker.api import AwsService, Bus, ClientLimits, ConfigurationError, Context, EventType, Job
from worker.jobs.forward.handler import Forwarded, ForwardEvents, Target, read
from worker.jobs.forward.settings import (
    Destination,
    ForwardSettings,
    Kind,
    destination_of,
    same_queue,
)
from worker.jobs.forward.targets import (
    SETTING,
    BatchLimits,
    ToBus,
    ToS3,
    ToWebhook,
    to_firehose,
    to_kinesis,
    to_sqs,
)

UPSTREAM = "forward"
"""Of the target, whatever its kind."""

AWS_LIMITS = ClientLimits(pool=10, read_seconds=10, attempts=3)


async def build(context: Context, settings: ForwardSettings) -> ForwardEvents:
    """Return the handler and its target."""
    if settings.forward_to is None:
        raise ConfigurationError([f"{SETTING}: is not set"])
    destination = destination_of(settings.forward_to)
    if problem := loop_of(destination, context.queue_urls):
        raise ConfigurationError([problem])
    target = await _OPENERS[destination.kind](context, settings, destination)
    context.on_close(target.aclose)
    return ForwardEvents(target)


def loop_of(to: Destination, queue_urls: Sequence[str]) -> str | None:
    """Return why forwarding would never end: its target is a queue of the worker's own."""
    if to.kind == "sqs" and any(same_queue(to.name, url) for url in queue_urls):
        return f"{SETTING}: names a queue of SQS_QUEUE_URL: each event would come back for ever"
    return None


async def open_service(context: Context, service: str) -> AwsService:
    """Return the service that the target is of."""
    return await context.aws(service, AWS_LIMITS, setting=SETTING, upstream=UPSTREAM)


async def _s3(context: Context, settings: ForwardSettings, to: Destination) -> Target:
    s3 = await open_service(context, "s3")
    limits = BatchLimits(
        # A message keeps its permit while it waits. The other half is for those that come in
        # meanwhile; a batch of all permits could wait for events that cannot come.
        events=max(1, context.concurrency // 2),
        content_bytes=settings.forward_batch_bytes,
        seconds=settings.forward_batch_seconds,
    )
    return ToS3(s3, to.name, to.prefix, limits)


async def _kinesis(context: Context, _: ForwardSettings, to: Destination) -> Target:
    return to_kinesis(await open_service(context, "kinesis"), to.name)


async def _firehose(context: Context, _: ForwardSettings, to: Destination) -> Target:
    return to_firehose(await open_service(context, "firehose"), to.name)


async def _sqs(context: Context, _: ForwardSettings, to: Destination) -> Target:
    return to_sqs(await open_service(context, "sqs"), to.name)


async def _bus(context: Context, _: ForwardSettings, to: Destination) -> Target:
    return ToBus(Bus(await open_service(context, "events"), to.name, context.random))


async def _webhook(context: Context, _: ForwardSettings, to: Destination) -> Target:
    hook = await context.webhook(UPSTREAM, HttpUrl(to.name), setting=SETTING)
    if hook is None:
        raise ConfigurationError([f"{SETTING}: names no webhook"])
    return ToWebhook(hook)


_OPENERS: dict[Kind, Callable[[Context, ForwardSettings, Destination], Awaitable[Target]]] = {
    "s3": _s3,
    "kinesis": _kinesis,
    "firehose": _firehose,
    "sqs": _sqs,
    "bus": _bus,
    "webhook": _webhook,
}


def _effects(event: Forwarded) -> dict[str, str]:
    return {"deliveryId": event.origin.dedupe_key}


JOB = Job(
    name="forward",
    summary="forwards events as they are to S3, Kinesis, Firehose, SQS, a bus or a webhook",
    events=(EventType(kind=Forwarded, types="forward_types", platform=read, reference=read),),
    settings=ForwardSettings,
    build=build,
    requires=("FORWARD_TYPES", "FORWARD_TO"),
    needs=(UPSTREAM,),
    aws_services=("s3", "kinesis", "firehose", "sqs", "events"),
    aws_actions={
        "s3:PutObject": SETTING,
        "kinesis:PutRecords": SETTING,
        "firehose:PutRecordBatch": SETTING,
        "sqs:SendMessage": SETTING,
        "events:PutEvents": SETTING,
    },
    effects=_effects,
    without_backfill="events as they came are nowhere but on the bus: replay its archive",
    checks={"forward target": "worker.jobs.forward.checks:check_target"},
    demo="worker.jobs.forward.demo:demo",
)

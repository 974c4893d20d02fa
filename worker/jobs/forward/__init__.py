"""Forward: events of any type, as they came, to S3, Kinesis, Firehose, SQS, a bus or a webhook."""

import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, HttpUrl, TypeAdapter, ValidationError

from worker.api import (
    AwsService,
    Bus,
    ClientLimits,
    ConfigurationError,
    Context,
    EventType,
    Globs,
    Job,
    JobSettings,
    Seconds,
    Url,
)
from worker.jobs.forward.handler import Forwarded, ForwardEvents, Target, read
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

Kind = Literal["s3", "kinesis", "firehose", "sqs", "bus", "webhook"]

FORMS = (
    "s3://bucket/prefix, kinesis:stream, firehose:stream, "
    "sqs:https://queue-url, bus:name or https://webhook"
)
EXAMPLE = "s3://my-bucket/genesys"

_URL: TypeAdapter[HttpUrl] = TypeAdapter(Url)
_BUCKET = re.compile(
    r"(?P<name>[a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?P<prefix>/[A-Za-z0-9!_.*'()=/-]{0,400})?"
)
_REGION = re.compile(r"(?<![a-z0-9])[a-z]{2}(-[a-z]+){1,3}-[0-9]{1,2}(?![0-9a-z])")
_NAMES: dict[Kind, re.Pattern[str]] = {
    "kinesis": re.compile(r"[A-Za-z0-9_.-]{1,128}"),
    "firehose": re.compile(r"[A-Za-z0-9_.-]{1,64}"),
    "bus": re.compile(r"[A-Za-z0-9_.:/-]{1,400}"),
}


@dataclass(frozen=True, slots=True)
class Destination:
    """FORWARD_TO, read."""

    kind: Kind
    name: str
    """Of the bucket, the stream or the bus; the URL of the queue or the webhook."""

    prefix: str = ""
    """Of S3 keys: empty, or text that ends in a slash."""


def same_queue(one: str, other: str) -> bool:
    """Return whether two URLs name one queue.

    Account and name are in the path. Of hosts SQS has several for each region, and networks add
    their own, so they only distinguish queues where both name a region.
    """
    paths = [urlsplit(url).path.rstrip("/") for url in (one, other)]
    regions = {found[0] for url in (one, other) if (found := _REGION.search(urlsplit(url).netloc))}
    return paths[0] == paths[1] and len(regions) < 2


def destination_of(text: str) -> Destination:
    """Read FORWARD_TO. Raises ValueError, without its text, for what is none of the forms."""
    scheme, colon, rest = text.partition(":")
    if colon and (read := _READERS.get(scheme)) and (found := read(text, rest)):
        return found
    raise ValueError(f"must be one of {FORMS}; e.g. {EXAMPLE}")


def _read_bucket(_: str, rest: str) -> Destination | None:
    found = _BUCKET.fullmatch(rest.removeprefix("//")) if rest.startswith("//") else None
    if found is None:
        return None
    prefix = (found["prefix"] or "").strip("/")
    return Destination("s3", found["name"], prefix and f"{prefix}/")


def _read_named(kind: Kind) -> Callable[[str, str], Destination | None]:
    def read(_: str, rest: str) -> Destination | None:
        return Destination(kind, rest) if _NAMES[kind].fullmatch(rest) else None

    return read


def _read_queue(_: str, rest: str) -> Destination | None:
    return Destination("sqs", _read_url(rest))


def _read_webhook(text: str, _: str) -> Destination | None:
    return Destination("webhook", _read_url(text))


def _read_url(text: str) -> str:
    try:
        return str(_URL.validate_python(text))
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
    raise ValueError(f"its URL: {fault}; the forms are {FORMS}; e.g. {EXAMPLE}")


_READERS = {
    "s3": _read_bucket,
    "kinesis": _read_named("kinesis"),
    "firehose": _read_named("firehose"),
    "bus": _read_named("bus"),
    "sqs": _read_queue,
    "https": _read_webhook,
    "http": _read_webhook,  # of this machine; the check of URLs refuses all others
}


def _checked(text: str) -> str:
    destination_of(text)
    return text


class ForwardSettings(JobSettings):
    """Forwarding of events as they are."""

    forward_types: Globs = ()
    """Types that are forwarded, by glob, e.g. `v2.users.*.presence`. Unset: none, and the job is
    off."""

    forward_to: Annotated[str, AfterValidator(_checked)] | None = None
    """Where they go: `s3://bucket/prefix`, `kinesis:stream`, `firehose:stream`, `sqs:` before the
    URL of a queue, `bus:name`, or the URL of a webhook; never a queue or a bus that the worker
    itself takes events from."""

    forward_batch_bytes: Annotated[int, Field(ge=1024, le=67_108_864)] = 5_242_880
    """With S3: events are written once so many bytes of them wait, before compression; at the
    latest when half of SQS_CONCURRENCY wait."""

    forward_batch_seconds: Annotated[Seconds, Field(le=60)] = 5
    """With S3: longest time an event waits for others to share its object; its handler's deadline
    does not run meanwhile."""


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

"""Settings of forwarding: which events, and where they go."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, HttpUrl, TypeAdapter, ValidationError

from worker.api import Globs, JobSettings, Seconds, Url

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


def _bucket(_: str, rest: str) -> Destination | None:
    found = _BUCKET.fullmatch(rest.removeprefix("//")) if rest.startswith("//") else None
    if found is None:
        return None
    prefix = (found["prefix"] or "").strip("/")
    return Destination("s3", found["name"], prefix and f"{prefix}/")


def _named(kind: Kind) -> Callable[[str, str], Destination | None]:
    def read(_: str, rest: str) -> Destination | None:
        return Destination(kind, rest) if _NAMES[kind].fullmatch(rest) else None

    return read


def _queue(_: str, rest: str) -> Destination | None:
    return Destination("sqs", _url(rest))


def _webhook(text: str, _: str) -> Destination | None:
    return Destination("webhook", _url(text))


def _url(text: str) -> str:
    try:
        return str(_URL.validate_python(text))
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")
    raise ValueError(f"its URL: {fault}; the forms are {FORMS}; e.g. {EXAMPLE}")


_READERS = {
    "s3": _bucket,
    "kinesis": _named("kinesis"),
    "firehose": _named("firehose"),
    "bus": _named("bus"),
    "sqs": _queue,
    "https": _webhook,
    "http": _webhook,  # of this machine; the check of URLs refuses all others
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

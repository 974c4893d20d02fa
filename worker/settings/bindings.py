"""Which queue carries the events of which jobs: the forms of SQS_QUEUE_URL, and their rules.

Pure: texts in, bindings and problems out. Job and queue names are shown, hosts and paths are not.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Annotated

from msgspec import Struct
from pydantic import AfterValidator, TypeAdapter, ValidationError

from worker.settings.fields import Url

EXAMPLE = "https://sqs.eu-west-1.amazonaws.com/111122223333/events"
BOUND_EXAMPLE = "voice=https://…/voice,attributes+sentiment=https://…/chats"

_URL = TypeAdapter[object](Url)
_ARN = re.compile(r"arn:([\w-]+):sqs:([\w-]+):(\d{12}):([\w.-]{1,80})")
_DOMAINS = {
    "aws": "amazonaws.com",
    "aws-us-gov": "amazonaws.com",
    "aws-cn": "amazonaws.com.cn",
    "aws-eusc": "amazonaws.eu",
}
"""Of AWS's partitions, as ARNs name them."""

_PRINTABLE_NAME = re.compile(r"[\w.-]{1,80}")


class Entry(Struct, frozen=True):
    """One part of SQS_QUEUE_URL as it is written: `jobs=URL`, or a URL alone."""

    jobs: tuple[str, ...]
    """Empty: not bound."""

    url: str

    @property
    def name(self) -> str:
        """The queue's name, or its place when the URL ends in something else."""
        return name_of(self.url)

    def __str__(self) -> str:
        return f"{'+'.join(self.jobs)}={self.url}" if self.jobs else self.url


class QueueBinding(Struct, frozen=True):
    """A queue and the jobs whose events it carries."""

    url: str
    name: str
    """The last part of the URL."""

    jobs: tuple[str, ...]
    """The jobs bound to it; all that are on when it is not bound."""

    bound: bool
    """Whether SQS_QUEUE_URL names the jobs of this queue."""

    @property
    def fifo(self) -> bool:
        """Whether it is a FIFO queue."""
        return is_fifo(self.url)


def name_of(url: str) -> str:
    """Return the name of a queue, the last part of its URL."""
    name = url.rstrip("/").rpartition("/")[2]
    return name if _PRINTABLE_NAME.fullmatch(name) else "queue"


def is_fifo(url: str) -> bool:
    """Whether this is the URL of a FIFO queue."""
    return url.endswith(".fifo")


def entries_of(text: str) -> tuple[Entry, ...]:
    """Split the text of SQS_QUEUE_URL. No URL of SQS contains a comma."""
    return tuple(_entry(part) for raw in text.split(",") if (part := raw.strip()))


def _entry(part: str) -> Entry:
    names, equals, url = part.partition("=")
    # An `=` behind `://` belongs to the URL: no name of a job contains a colon.
    if not equals or ":" in names:
        return Entry((), part)
    return Entry(tuple(name.strip() for name in names.split("+")), url.strip())


def queue_url(text: str) -> str:
    """Return the URL of one queue in its normal form, also from its ARN. Raises ValueError."""
    if (arn := _ARN.fullmatch(text)) and arn[1] in _DOMAINS:
        return f"https://sqs.{arn[2]}.{_DOMAINS[arn[1]]}/{arn[3]}/{arn[4]}"
    try:
        url = str(_URL.validate_python(text))
    except ValidationError as error:
        raise ValueError(_fault(text, error)) from None
    # Such as the console's address of the queue, which takes requests and answers with a page.
    if re.search(r"[?#]|://[^/]*/*$", url):
        raise ValueError("is no URL of a queue, which ends with the queue's name")
    return url


def _checked(text: str) -> str:
    """Return the text with each URL in its normal form. Raises ValueError that names all faults."""
    entries, faults = [], []
    given = entries_of(text)
    for position, entry in enumerate(given, start=1):
        try:
            entries.append(Entry(entry.jobs, queue_url(entry.url)))
        except ValueError as error:
            which = f"entry {position} " if len(given) > 1 else ""
            faults.append(f"{which}{error}")
    if not given:
        faults.append("names no queue")
    if faults:
        raise ValueError(f"{'; '.join(faults)}; e.g. {EXAMPLE}")
    return ",".join(map(str, entries))


def _fault(url: str, error: ValidationError) -> str:
    if "://" not in url:
        return "is neither the URL of a queue nor its ARN"
    return error.errors(include_url=False)[0]["msg"].removeprefix("Value error, ")


def _unbound(text: str) -> str:
    if any(entry.jobs for entry in entries_of(text)):
        raise ValueError(f"takes URLs without jobs; e.g. {EXAMPLE}")
    return _checked(text)


QueueUrls = Annotated[str, AfterValidator(_checked)]
"""One URL, or several, each bound to its jobs."""

DeadLetterUrls = Annotated[str, AfterValidator(_unbound)]
"""One URL, or two: of a standard queue and of a FIFO queue."""


def bindings_of(text: str, on: tuple[str, ...]) -> tuple[QueueBinding, ...]:
    """Return the queues, those that are not bound with all jobs that are on."""
    return tuple(
        QueueBinding(entry.url, entry.name, entry.jobs or on, bool(entry.jobs))
        for entry in entries_of(text)
    )


def binding_problems(
    entries: Sequence[Entry], lacking: Mapping[str, Sequence[str]], on: Collection[str]
) -> Iterator[str]:
    """Yield what is wrong between the queues and the jobs.

    `lacking`: each known job with the settings it lacks; `on`: the jobs that run.
    """
    yield from _repeated_urls(entries)
    yield from _repeated_names(entries)
    bound = [entry for entry in entries if entry.jobs]
    if not bound:
        if len(entries) > 1:
            yield f"several queues must be bound to their jobs, e.g. {BOUND_EXAMPLE}"
        return
    for entry in entries:
        if not entry.jobs:
            yield f"queue {entry.name} is bound to no job, others are; e.g. {BOUND_EXAMPLE}"
    yield from _jobs_that_cannot_be_bound(bound, lacking, on)
    yield from _jobs_without_one_queue(bound, on)


def _repeated_urls(entries: Sequence[Entry]) -> Iterator[str]:
    for url, times in Counter(entry.url for entry in entries).items():
        if times > 1:
            yield (
                f"queue {name_of(url)} is named {times} times; join its jobs by +, "
                "e.g. attributes+sentiment=https://…/chats"
            )


def _repeated_names(entries: Sequence[Entry]) -> Iterator[str]:
    for name, times in Counter(
        entry.name for entry in {e.url: e for e in entries}.values()
    ).items():
        if times > 1:
            # Not distinguished by account: the name stands in metrics, alarms and failure records.
            yield (
                f"{times} queues of different accounts or regions are named {name}, and the worker "
                "distinguishes queues by name; run a worker for each"
            )


def _jobs_that_cannot_be_bound(
    bound: Sequence[Entry], lacking: Mapping[str, Sequence[str]], on: Collection[str]
) -> Iterator[str]:
    for entry in bound:
        for job in dict.fromkeys(entry.jobs):
            shown = job if _PRINTABLE_NAME.fullmatch(job) else "?"
            if job not in lacking:
                yield f"queue {entry.name}: {shown} is not a job; jobs: {', '.join(lacking)}"
            elif job not in on:
                why = f"it lacks {', '.join(lacking[job])}" if lacking[job] else "not in HANDLERS"
                yield f"queue {entry.name} is bound to {job}, which is off: {why}"


def _jobs_without_one_queue(bound: Sequence[Entry], on: Collection[str]) -> Iterator[str]:
    times = Counter(job for entry in bound for job in entry.jobs)
    for job, count in times.items():
        if count > 1 and job in on:
            yield f"job {job} is bound {count} times; one queue carries all its events"
    for job in on:
        if job not in times:
            yield (
                f"job {job} is on and bound to no queue, so its events would never be taken; "
                f"add {job}=https://…, or name the jobs that are to run in HANDLERS"
            )


def dead_letter_problems(entries: Sequence[Entry], dead_letters: Sequence[Entry]) -> Iterator[str]:
    """Yield what is wrong between the queues and their dead-letter queues, if there are any."""
    queues = {entry.url for entry in entries}
    for url in dict.fromkeys(entry.url for entry in dead_letters):
        if url in queues:
            yield f"queue {name_of(url)} is in SQS_QUEUE_URL, too: dead letters would come back"
    if not dead_letters:
        return
    for fifo in (False, True):
        here = [entry for entry in dead_letters if is_fifo(entry.url) == fifo]
        served = [entry.name for entry in entries if is_fifo(entry.url) == fifo]
        yield from _kind_problems("FIFO" if fifo else "standard", served, here)


def _kind_problems(kind: str, served: Sequence[str], here: Sequence[Entry]) -> Iterator[str]:
    if len(here) > 1:
        yield f"names {len(here)} {kind} queues; one serves all {kind} queues"
    if served and not here:
        yield (
            f"no {kind} queue is named for {', '.join(dict.fromkeys(served))}: SQS wants both "
            "of one kind; separate one of each kind by a comma"
        )

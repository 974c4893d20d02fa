"""Rules that hold between settings of different fields. Pure: groups in, problems out."""

from collections.abc import Iterator, Mapping

from worker.settings.bindings import binding_problems, dead_letter_problems, entries_of
from worker.settings.fields import Group
from worker.settings.process import Handlers
from worker.settings.queue import Handler, Retry, Sqs
from worker.settings.upstreams import Genesys

EXTENSIONS_PER_SECOND = 200
"""Leases the heartbeat can surely extend: 20 connections, ten entries a call, one second each."""


def heartbeat_capacity(visibility_seconds: float) -> int:
    """Return how many leases one heartbeat can keep.

    Leases are extended before half of their time is gone. The round over all of them gets half of
    that: a round that takes longer meets leases which ended while they waited for their turn.
    """
    return int(EXTENSIONS_PER_SECOND * visibility_seconds / 4)


def broken_rules(
    groups: Mapping[str, Group], lacking: Mapping[str, tuple[str, ...]]
) -> Iterator[str]:
    """Yield a line for each broken rule; a rule whose groups did not load is not checked.

    `lacking`: each known job with the settings it lacks.
    """
    for rule in (_drain, _heartbeat, _dead_letters, _genesys, _backoff):
        yield from rule(groups)
    yield from _bindings(groups, lacking)


def _bindings(groups: Mapping[str, Group], lacking: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    match groups:
        case {"sqs": Sqs() as sqs, "handlers": Handlers(handlers=named)}:
            on = named or tuple(job for job, needs in lacking.items() if not needs)
            entries = entries_of(sqs.queue_url)
            for problem in binding_problems(entries, lacking, on) if on else ():
                yield f"SQS_QUEUE_URL: {problem}"
            if len(entries) > sqs.concurrency:
                yield (
                    f"SQS_CONCURRENCY: must be at least {len(entries)}, the number of queues in "
                    "SQS_QUEUE_URL — each is polled on a permit of its own"
                )


def _dead_letters(groups: Mapping[str, Group]) -> Iterator[str]:
    match groups:
        case {"sqs": Sqs() as sqs}:
            entries = entries_of(sqs.queue_url)
            dead_letters = entries_of(sqs.dead_letter_queue_url or "")
            for problem in dead_letter_problems(entries, dead_letters):
                yield f"SQS_DEAD_LETTER_QUEUE_URL: {problem}"


def _drain(groups: Mapping[str, Group]) -> Iterator[str]:
    match groups:
        case {"sqs": Sqs() as sqs} if sqs.wait_seconds >= sqs.drain_seconds:
            yield (
                "SQS_WAIT_SECONDS: must be less than SQS_DRAIN_SECONDS — a running poll is never "
                "cut, so it would eat the whole shutdown"
            )


def _heartbeat(groups: Mapping[str, Group]) -> Iterator[str]:
    match groups:
        case {"sqs": Sqs(visibility_seconds=int(visibility)) as sqs}:
            if sqs.concurrency > (capacity := heartbeat_capacity(visibility)):
                yield (
                    f"SQS_CONCURRENCY: must be at most {capacity} with this SQS_VISIBILITY_SECONDS "
                    "— the heartbeat could not extend more leases in time"
                )


def _genesys(groups: Mapping[str, Group]) -> Iterator[str]:
    match groups:
        case {"genesys": Genesys() as genesys, "handler": Handler() as handler}:
            if genesys.deadline_seconds >= handler.deadline_seconds:
                yield (
                    "GENESYS_DEADLINE_SECONDS: must be less than HANDLER_DEADLINE_SECONDS — the "
                    "handler would be cancelled before the call gives up"
                )
            if genesys.timeout_seconds > genesys.deadline_seconds:
                yield "GENESYS_TIMEOUT_SECONDS: must not exceed GENESYS_DEADLINE_SECONDS"


def _backoff(groups: Mapping[str, Group]) -> Iterator[str]:
    match groups:
        case {"retry": Retry() as retry} if retry.base_seconds > retry.cap_seconds:
            yield "RETRY_BASE_SECONDS: must not exceed RETRY_CAP_SECONDS"

"""What becomes of a message: Done, Retry or Park. Pure."""

import hashlib
import traceback
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePath
from random import Random

from worker.errors import BreakerOpen, Permanent, Transient, Unavailable
from worker.resilience.retry import full_jitter


@dataclass(frozen=True, slots=True)
class Done:
    """Every effect is there, or nothing was to be done."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a run failed, in words that may leave the process."""

    reason: str
    error_class: str
    fingerprint: str
    """Equal for equal causes: twelve hex digits over handler, class and place or reason."""

    handler: str | None = None


@dataclass(frozen=True, slots=True)
class Retry:
    """Show the message again; `after` seconds when somebody named a time."""

    failure: Failure
    after: float | None = None
    outage: bool = False
    """An upstream failed or was not asked: the same would happen to any other message."""


@dataclass(frozen=True, slots=True)
class Park:
    """Copy the message to the dead-letter queue, then delete it."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class Release:
    """Show the message at once to others: its run was cancelled before it came to an end."""


Outcome = Done | Retry | Park


def outcome_of(error: Exception, *, handler: str | None = None) -> Retry | Park:
    """Return Park for Permanent, Retry for everything else: a lost message is worse than a second.

    What nobody foresaw is retried too: until its age passes the horizon a fix may be deployed.
    """
    if isinstance(error, Permanent):
        return Park(_failure(error, error.reason, error.reason, handler))
    if isinstance(error, Transient):
        failure = _failure(error, error.reason, error.reason, handler)
        return Retry(failure, error.retry_after, isinstance(error, Unavailable | BreakerOpen))
    # The text of a foreign exception may quote customer data: only its class and place are told.
    place = _place(error)
    return Retry(_failure(error, f"unforeseen {type(error).__name__} at {place}", place, handler))


def foreseen(error: Exception) -> bool:
    """Whether the error is one of ours, so that no traceback is needed."""
    return isinstance(error, Transient | Permanent)


def worst(outcomes: Iterable[Outcome]) -> Outcome:
    """Join the outcomes of one message's handlers: Retry before Park before Done.

    Retry comes first, since parking deletes the message that the other handler still needs; of
    several retries the one that comes back soonest.
    """
    found = list(outcomes)
    if retries := [outcome for outcome in found if isinstance(outcome, Retry)]:
        return min(retries, key=lambda retry: retry.after or 0)
    parks = [outcome for outcome in found if isinstance(outcome, Park)]
    return parks[0] if parks else Done()


def backoff_seconds(attempt: int, *, base: float, cap: float, random: Random) -> float:
    """Return the wait after that many failed attempts: jittered between `base` and `cap`.

    `base` is added to the full jitter: a message that comes straight back burns a receive and
    meets the same outage.
    """
    return min(cap, base + full_jitter(attempt, base=base, cap=cap, random=random))


def _failure(error: Exception, reason: str, place: str, handler: str | None) -> Failure:
    mark = f"{handler}|{type(error).__name__}|{place}".encode()
    return Failure(
        reason=reason[:500],
        error_class=type(error).__name__,
        fingerprint=hashlib.sha256(mark).hexdigest()[:12],
        handler=handler,
    )


def _place(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "worker" in PurePath(frame.filename).parts] or frames
    return f"{PurePath(ours[-1].filename).name}:{ours[-1].name}" if ours else "unknown"

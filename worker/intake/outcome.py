"""What becomes of a message: Done, Retry, Blocked, Deferred, DeadLetter or Released. Pure.

And how often it failed by itself, and since when: apart from SQS's receive count, for
`ApproximateReceiveCount` also counts the receives of outages, drains and scheduled retries.
"""

import hashlib
import re
import traceback
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import PurePath
from random import Random

from msgspec import Struct, structs

from worker.errors import (
    BreakerOpen,
    LeaseLost,
    Misconfigured,
    Permanent,
    RateLimited,
    Transient,
    Unavailable,
)

_VARIABLE = re.compile(r"[0-9a-fA-F][0-9a-fA-F-]{15,}|\d{5,}")
"""What differs from message to message in a reason: ids of conversations and of replies."""


class Done(Struct, frozen=True):
    """Every effect is there, or nothing was to be done."""


class Failure(Struct, frozen=True):
    """Why a run failed, as text that may leave the process."""

    reason: str
    error_class: str
    fingerprint: str
    """Equal for equal causes: twelve hex digits over job, class and place or reason."""

    job: str | None = None


class Retry(Struct, frozen=True):
    """Make the message visible again; `after` seconds when a time was named."""

    failure: Failure
    after: float | None = None
    own: bool = True
    """Whether the message itself is to blame: only its own failures end its retries."""

    outage: bool = False
    """An upstream failed: while that is known to be down, the message waits."""


class Blocked(Struct, frozen=True):
    """The job cannot run now, and no message is at fault: an open breaker, a wrong setting."""

    failure: Failure
    after: float | None = None


class Deferred(Struct, frozen=True):
    """Make the message visible again after that time, unrun: its cause is at its dead-letter limit.

    Another message of the cause tries.
    """

    seconds: float


class DeadLetter(Struct, frozen=True):
    """Copy the message to the dead-letter queue, then delete it."""

    failure: Failure


class Released(Struct, frozen=True):
    """Make the message visible to others at once: its run was cancelled, or never began."""


Outcome = Done | Retry | Blocked | Deferred | DeadLetter | Released
DONE = Done()
RELEASED = Released()


def outcome_of(error: Exception, *, job: str | None = None) -> Retry | Blocked | DeadLetter:
    """Return DeadLetter for Permanent, and a kind of retry for all else: nothing is lost.

    What was not foreseen is retried too: until its age passes the horizon a fix may be deployed.
    """
    if isinstance(error, Permanent):
        return DeadLetter(_failure(error, error.reason, error.reason, job))
    if not isinstance(error, Transient):
        # The text of a foreign exception may quote customer data: only its class and location are
        # recorded.
        place = _place(error)
        reason = f"unforeseen {type(error).__name__} at {place}"
        return Retry(_failure(error, reason, place, job))
    failure = _failure(error, error.reason, error.reason, job)
    if isinstance(error, BreakerOpen | Misconfigured):
        return Blocked(failure, error.retry_after)
    return Retry(
        failure,
        error.retry_after,
        own=not isinstance(error, RateLimited | LeaseLost),
        outage=isinstance(error, Unavailable),
    )


def foreseen(error: Exception) -> bool:
    """Whether the error is one of ours, so that no traceback is needed."""
    return isinstance(error, Transient | Permanent)


def worst(outcomes: Iterable[Outcome]) -> Outcome:
    """Join the outcomes of one message's jobs: Retry, Blocked, DeadLetter, Done.

    A retry comes first, since dead-lettering deletes the message that another job still needs; of
    several retries the one that comes back soonest.
    """
    found = list(outcomes)
    if retries := [outcome for outcome in found if isinstance(outcome, Retry)]:
        return min(retries, key=lambda retry: retry.after or 0)
    for kind in (Blocked, DeadLetter):
        for outcome in found:
            if isinstance(outcome, kind):
                return outcome
    return DONE


def backoff_seconds(attempt: int, *, base: float, cap: float, random: Random) -> float:
    """Return the wait after that many failed attempts: half of it fixed, half random.

    Not full jitter: its short draws add up to 55 receives in six hours in the median (simulated),
    and SQS dead-letters at fifty; with half of it fixed the most are 42.
    """
    longest = min(cap, base * 2.0 ** min(attempt - 1, 64))
    return longest / 2 + random.uniform(0, longest / 2)


def failure_of(reason: str, *, error_class: str, cause: str, job: str | None = None) -> Failure:
    """Return a failure that no exception stands for; `cause`: equal for equal causes."""
    mark = f"{job}|{error_class}|{_VARIABLE.sub('#', cause)}".encode()
    fingerprint = hashlib.sha256(mark).hexdigest()[:12]
    return Failure(reason[:500], error_class, fingerprint, job)


def given_up(failure: Failure) -> Failure:
    """Return the failure of a message whose retries have ended."""
    return structs.replace(failure, reason=f"retry horizon passed; last: {failure.reason}"[:500])


def _failure(error: Exception, reason: str, cause: str, job: str | None) -> Failure:
    return failure_of(reason, error_class=type(error).__name__, cause=cause, job=job)


def _place(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "worker" in PurePath(frame.filename).parts] or frames
    return f"{PurePath(ours[-1].filename).name}:{ours[-1].name}" if ours else "unknown"


REMEMBERED = 50_000


class Attempt(Struct, frozen=True):
    """Failures of one message in this process; times are seconds since the epoch."""

    own: int
    """Failures that only the message explains: its upstreams were up."""

    all: int
    first_failure: float
    last_failure: float


class Attempts:
    """The failures of the messages that failed last."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, Attempt] = OrderedDict()

    def failed(self, message_id: str, *, own: bool, receive_count: int, now: float) -> Attempt:
        """Count a failure.

        A message that this process never saw fail counts from its receives, for its backoff only:
        after a restart the longer one is the safe side.
        """
        before = self._known.pop(message_id, None)
        attempt = Attempt(
            own=(before.own if before else 0) + own,
            all=before.all + 1 if before else max(1, receive_count),
            first_failure=before.first_failure if before else now,
            last_failure=now,
        )
        self._known[message_id] = attempt
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return attempt

    def known(self, message_id: str) -> bool:
        """Whether the message failed here before."""
        return message_id in self._known

    def forget(self, message_id: str) -> None:
        """Drop a message that is done."""
        self._known.pop(message_id, None)

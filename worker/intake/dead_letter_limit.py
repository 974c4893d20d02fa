"""A limit on dead letters, per cause: a bad deploy must not dead-letter all that is healthy.

Fifty of one cause, and one more for every ten messages that its job has done since. Beyond that the
messages of the cause stay on the queue, invisible, and one at a time tries, after 1, 2, 4 .. 15
minutes; the others come back a little later and are deferred again unrun. Only the success of one
that had failed by that cause ends it. Everything else flows.

A cause is known once a message has run: one that this process has not seen fail runs first.
Not a limit a minute, as it was: that is three thousand an hour, for ever.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator
from random import Random

import structlog
from msgspec import Struct, field

from worker.intake.outcome import Failure

log = structlog.get_logger(__name__)

DONE_PER_DEAD_LETTER = 10
FIRST_PAUSE_SECONDS = 60.0
LONGEST_PAUSE_SECONDS = 900.0
AHEAD_SECONDS = 15.0
"""How much earlier one of the deferred messages comes back: what comes while that one runs is
deferred to the next try, and would be late by it if the cause is gone.
"""

SPREAD_SECONDS = 10.0
"""Over which the others come back."""

CAUSES = 1_000
"""Causes counted; the oldest that is within its limit is forgotten first."""

REMEMBERED = 10_000
"""Deferred messages remembered of one cause, the newest; the success of any lifts its limit."""

DEFERRED_CAP = 500
"""Deferred messages of one cause from which, while its job does nothing, its gate closes."""

IDLE_SECONDS = 60.0
GATE_PAUSE_SECONDS = (5.0, 60.0)


Done = tuple[int, float]
"""Messages done since the start, and when the last one was, by the clock of the limit."""


class _Cause(Struct):
    reason: str
    job: str | None
    done_before: int
    """What the job had done when the cause was first met."""

    dead_letters: int = 0
    reached: bool = False
    pause: float = 0.0
    next_try: float = 0.0
    trying: str = ""
    """Id of the message that tried last, or tries now."""

    ahead_of: float = 0.0
    """The try for which a message comes back ahead of the others."""

    deferred: OrderedDict[str, None] = field(default_factory=OrderedDict)
    gate_pause: float = GATE_PAUSE_SECONDS[0] / 2
    gate_opens_at: float = 0.0


class DeadLetterLimit:
    """Counts dead letters by fingerprint, and what each job has done."""

    def __init__(
        self,
        most: int,
        done: Callable[[str | None], Done],
        clock: Callable[[], float],
        random: Random,
    ) -> None:
        """`done`: what a job has done, and when last; of all jobs for None."""
        self._most = most
        self._done_by = done
        self._clock = clock
        self._random = random
        self._causes: OrderedDict[str, _Cause] = OrderedDict()
        self._cause_of: dict[str, str] = {}
        """Fingerprint by message id, of the messages deferred by a cause that is at its limit."""

    def hold(self, message_id: str, failure: Failure) -> float | None:
        """Return for how long to defer the message instead; None when it may be dead-lettered."""
        now = self._clock()
        cause = self._cause(failure)
        if cause.reached and now >= cause.next_try:  # a new one, or the probe of a gate
            self._let_try(message_id, cause, now)
        self._delay_gate(cause, now)
        within = cause.dead_letters < self._allowed(cause)
        if within and (not cause.reached or cause.trying == message_id):
            cause.dead_letters += 1
            self._forget(message_id)
            return None
        if not cause.reached:
            self._reach(cause, failure)
            cause.pause, cause.next_try = FIRST_PAUSE_SECONDS, now + FIRST_PAUSE_SECONDS
        self._defer(message_id, failure.fingerprint, cause)
        return self._until_next_try(cause, now)

    def defer_again(self, message_id: str) -> float | None:
        """Return for how long to defer a message that came back, unrun; None when it is to run.

        The first of its cause to come back after the pause runs.
        """
        if (fingerprint := self._cause_of.get(message_id)) is None:
            return None
        cause, now = self._causes[fingerprint], self._clock()
        if now < cause.next_try:
            return self._until_next_try(cause, now)
        self._let_try(message_id, cause, now)
        return None

    def not_sent(self, failure: Failure) -> None:
        """Take back a dead letter that the dead-letter queue refused: none was written."""
        cause = self._causes.get(failure.fingerprint)
        if cause is not None and not cause.reached and cause.dead_letters:
            cause.dead_letters -= 1

    def succeeded(self, message_id: str) -> None:
        """Lift the limit of a cause by which this message had failed."""
        fingerprint = self._cause_of.get(message_id)
        if fingerprint is not None:
            cause = self._causes[fingerprint]
            log.info("dead_letter_limit_lifted", reason=cause.reason, job=cause.job)
            self._drop(fingerprint)

    def gate(self, job: str) -> tuple[float, str] | None:
        """Return when the gate of the job lets a message try, and why; None while it is open.

        The time may be past: one may try then.
        """
        for cause in self._causes.values():
            if not cause.reached or cause.job != job or len(cause.deferred) < DEFERRED_CAP:
                continue
            idle = self._clock() - self._done_by(job)[1]
            if idle >= IDLE_SECONDS:
                return cause.gate_opens_at, f"dead-letter limit reached for: {cause.reason}"
        return None

    def reached(self) -> Iterator[tuple[str, str | None, int]]:
        """Yield reason, job and number of deferred messages of each cause at its limit."""
        for cause in list(self._causes.values()):
            if cause.reached:
                yield cause.reason, cause.job, len(cause.deferred)

    def dead_letters(self) -> list[tuple[str, str | None, int, str]]:
        """Return reason, job, number of dead letters and fingerprint by cause, the most first."""
        causes = list(self._causes.items())
        found = [(one.reason, one.job, one.dead_letters, key) for key, one in causes]
        return sorted((one for one in found if one[2]), key=lambda one: -one[2])

    def _cause(self, failure: Failure) -> _Cause:
        if (cause := self._causes.get(failure.fingerprint)) is None:
            cause = _Cause(failure.reason, failure.job, self._done_by(failure.job)[0])
            self._evict_one()
            self._causes[failure.fingerprint] = cause
        return cause

    def _let_try(self, message_id: str, cause: _Cause, now: float) -> None:
        # The next pause begins with the try, however that ends: nothing to be taken back.
        cause.trying = message_id
        cause.pause = min(LONGEST_PAUSE_SECONDS, cause.pause * 2)
        cause.next_try = now + cause.pause

    def _until_next_try(self, cause: _Cause, now: float) -> float:
        wait = cause.next_try - now
        if cause.ahead_of != cause.next_try:
            cause.ahead_of = cause.next_try
            return wait + 1  # SQS counts whole seconds; a moment too early would be too early
        return wait + AHEAD_SECONDS + self._random.uniform(0, SPREAD_SECONDS)

    def _evict_one(self) -> None:
        if len(self._causes) >= CAUSES:
            within = (key for key, one in self._causes.items() if not one.reached)
            self._drop(next(within, next(iter(self._causes))))

    def _drop(self, fingerprint: str) -> None:
        for deferred in self._causes.pop(fingerprint).deferred:
            self._cause_of.pop(deferred, None)

    def _defer(self, message_id: str, fingerprint: str, cause: _Cause) -> None:
        self._forget(message_id)
        cause.deferred[message_id] = None
        self._cause_of[message_id] = fingerprint
        if len(cause.deferred) > REMEMBERED:
            self._forget(next(iter(cause.deferred)))

    def _allowed(self, cause: _Cause) -> float:
        # A body that could not be opened belongs to no job: what all jobs did stands for it.
        return self._most + (self._done_by(cause.job)[0] - cause.done_before) / DONE_PER_DEAD_LETTER

    def _reach(self, cause: _Cause, failure: Failure) -> None:
        cause.reached = True
        log.error(
            "dead_letter_limit_reached",
            reason=failure.reason,
            fingerprint=failure.fingerprint,
            job=failure.job,
            dead_letters=cause.dead_letters,
            remedy="check the latest deployment; the messages stay on the queue",
        )

    def _delay_gate(self, cause: _Cause, now: float) -> None:
        # Not by those that were in flight together: only the one that tried says something new.
        if len(cause.deferred) >= DEFERRED_CAP and now >= cause.gate_opens_at:
            cause.gate_pause = min(GATE_PAUSE_SECONDS[1], cause.gate_pause * 2)
            cause.gate_opens_at = now + cause.gate_pause

    def _forget(self, message_id: str) -> None:
        fingerprint = self._cause_of.pop(message_id, None)
        if fingerprint is not None and fingerprint in self._causes:
            self._causes[fingerprint].deferred.pop(message_id, None)

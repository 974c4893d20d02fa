"""When a call is tried again: backoff, and the pause that an upstream asked for."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from random import Random
from typing import Final, Literal

from msgspec import Struct

PAUSE_CAP_SECONDS = 900.0
"""What RETRY_AFTER_CAP_SECONDS is by default."""

TRIAL_SECONDS = 60.0
"""Longest time others wait for the call that tries; longer than any call takes."""


class AskedPause:
    """The pause of one upstream. Every `now` is monotonic seconds.

    Some ask for a year, or for a time since the epoch by mistake. What they ask for beyond the cap
    is not forgotten: one call finds out whether it still holds, the others go on waiting for it.
    """

    def __init__(self, cap_seconds: float = PAUSE_CAP_SECONDS) -> None:
        self._cap_seconds: Final = cap_seconds
        self._until = 0.0
        self._asked = 0.0
        self._asked_until = 0.0
        self._trial: Literal["none", "due", "under way"] = "none"

    def ask(self, now: float, seconds: float) -> float:
        """Adopt the pause that a reply asks for; return how much of it is obeyed.

        A pause that ends later stands, unless the call that tried got a new one.
        """
        obeyed = min(seconds, self._cap_seconds)
        if self._trial == "under way":
            self._until = self._asked_until = now
        self._until = max(self._until, now + obeyed)
        if now + seconds >= self._asked_until:
            self._asked_until, self._asked = now + seconds, seconds
        self._trial = "due" if self._asked_until > self._until else "none"
        return obeyed

    def left(self, now: float) -> float:
        """Return the seconds in which no call may be made; 0 when one may."""
        return max(0.0, self._until - now)

    @property
    def trying(self) -> bool:
        """Whether the one call that tries is under way."""
        return self._trial == "under way"

    def begin_trial(self, now: float) -> bool:
        """Return whether the next call is the one that tries; then others wait for it."""
        if self._trial != "due":
            return False
        self._trial, self._until = "under way", now + TRIAL_SECONDS
        return True

    def end_trial(self, now: float, *, answered: bool) -> None:
        """Let the others go on after the trial; if it was not `answered`, the next call tries."""
        if self._trial == "under way":
            self._trial = "none" if answered else "due"
            self._until = now

    def asked(self, now: float) -> tuple[float, float] | None:
        """Return the seconds left of the pause and those asked for; None without a pause."""
        if self._trial == "none" and now >= self._until:
            return None
        return self.left(now), self._asked


LONGEST_PAUSE_SECONDS = 366 * 86400.0
"""What is read of a longer one. Some upstreams write a time since the epoch there: they want no
call for very long, as far as is known, and the cap on pauses bounds that."""

_SECONDS = re.compile(r"[0-9]+(\.[0-9]+)?")

_MAX_EXPONENT = 1023  # 2.0**1024 is an OverflowError, and message receive counts have no end


class RetryPolicy(Struct, frozen=True):
    """How often one call is repeated, and how far apart."""

    attempts: int
    """Attempts in all, the first included."""

    base_seconds: float
    """Upper bound of the first pause; doubled per attempt."""

    cap_seconds: float
    """Upper bound of any pause of our own choice; a `Retry-After` may be longer."""


def full_jitter(attempt: int, *, base: float, cap: float, random: Random) -> float:
    """Return seconds between 0 and min(cap, base x 2^(attempt - 1)); `attempt` counts from 1.

    Uniform from zero, not around the exponential: callers that failed together come back apart.
    """
    ceiling = min(cap, base * 2.0 ** min(attempt - 1, _MAX_EXPONENT))
    return random.uniform(0, ceiling)


def parse_retry_after(value: str | None, *, now: datetime) -> float | None:
    """Return the seconds a `Retry-After` header asks for (RFC 9110, 10.2.3), a year at most.

    Both forms are read, seconds with or without a fraction and an HTTP date (compared with `now`,
    which must be aware). A date in the past is 0; what cannot be read, a negative number included,
    is None, so that the caller's own backoff decides. How much of it is obeyed: see `AskedPause`.
    """
    text = (value or "").strip()
    if _SECONDS.fullmatch(text):
        return min(float(text), LONGEST_PAUSE_SECONDS)
    try:
        when = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return min(max(0.0, (when - now).total_seconds()), LONGEST_PAUSE_SECONDS)


class RetryBudget:
    """Tokens for retries: each success earns a share of one, each retry costs one.

    Three attempts a call would treble the load of an upstream just when it fails. With the budget,
    retries add at most `SHARE` to what succeeds, plus a trickle that lets a quiet worker retry
    too. Shared by all calls to one upstream.
    """

    SHARE = 0.1
    """Tokens earned by one success."""

    FLOOR_PER_SECOND = 0.1
    """Tokens that come by time alone."""

    CAPACITY = 10.0
    """Tokens that can be saved up, and those there are at the start."""

    def __init__(self, *, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._tokens = self.CAPACITY
        self._counted_at = clock()

    def earn(self) -> None:
        """Record a successful call."""
        self._add(self.SHARE)

    def spend(self) -> bool:
        """Take a token for one retry; False when there is none, and the failure should stand."""
        now = self._clock()
        self._add((now - self._counted_at) * self.FLOOR_PER_SECOND)
        self._counted_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def _add(self, tokens: float) -> None:
        self._tokens = min(self.CAPACITY, self._tokens + tokens)


POLL_AGES_SECONDS = (30.0, 120.0, 600.0)
"""Ages of the event at which its data is asked for, after the first time; then every ten minutes.

No figure for the lag of analytics is published (worker/clients/genesys/README.md); 30 s, 2 min,
10 min is what integrators settled on.
"""

LEAST_GAP_SECONDS = 5.0
"""A poll that is nearer than this is left out: an event that is barely late is no new age."""


def seconds_to_next_poll(age_seconds: float, *, settle_seconds: float) -> float | None:
    """Return how long to wait; None once the event is `settle_seconds` old and waiting is over.

    The last poll is at that very age. Ages come from two clocks, so a negative one counts as zero.
    """
    age = max(0.0, age_seconds)
    if age >= settle_seconds:
        return None
    last = POLL_AGES_SECONDS[-1]
    later = last * (age // last + 1)
    ages = (*(at for at in POLL_AGES_SECONDS if at - age >= LEAST_GAP_SECONDS), later, later + last)
    wait = next(at - age for at in ages if at - age >= LEAST_GAP_SECONDS)
    return min(wait, settle_seconds - age)

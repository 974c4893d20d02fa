"""A pause that an upstream asked for: obeyed up to a cap, after which one call tries. Pure."""

from typing import Final, Literal

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
        """Take over what a reply asks for; return how much of it is obeyed.

        A pause that ends later stands, unless the call that tried was told anew.
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
        """Tell whether the call about to be made is the one that tries; then others wait for it."""
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

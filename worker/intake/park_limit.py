"""A limit on dead letters: a bad deploy must not park everything that is healthy."""

from collections.abc import Callable

import structlog

log = structlog.get_logger(__name__)

WINDOW_SECONDS = 60.0
SHARE = 0.5
"""Parking is believed while it is the lesser part of what happens."""


class ParkLimit:
    """Counts what was done and what was parked, minute by minute.

    When more than `most` messages were parked within a minute, and they are more than half of all,
    nothing is parked for the next one: the fault is ours, not the messages'.
    """

    def __init__(self, most: int, clock: Callable[[], float]) -> None:
        self._most = most
        self._clock = clock
        self._since = clock()
        self._parked = 0
        self._done = 0
        self._closed_until = float("-inf")

    @property
    def reached(self) -> bool:
        """Whether nothing may be parked now."""
        return self._clock() < self._closed_until

    @property
    def reached_text(self) -> str | None:
        """What readiness says of it."""
        if not self.reached:
            return None
        return f"more than {self._most} messages a minute, and most of all, would be parked"

    def done(self) -> None:
        """Count a message that was not parked."""
        self._turn()
        self._done += 1

    def admit(self) -> bool:
        """Count a message that is to be parked; False when it must not be."""
        self._turn()
        if self.reached:
            return False
        self._parked += 1
        if self._parked <= self._most or self._parked < SHARE * (self._parked + self._done):
            return True
        self._closed_until = self._clock() + WINDOW_SECONDS
        log.error("park_limit_reached", parked=self._parked - 1, done=self._done)
        return False

    def _turn(self) -> None:
        if self._clock() - self._since >= WINDOW_SECONDS:
            self._since, self._parked, self._done = self._clock(), 0, 0

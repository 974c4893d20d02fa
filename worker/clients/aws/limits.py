"""How hard a client of an AWS service may try."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientLimits:
    """How hard one client may try."""

    pool: int
    """Connections it may hold open."""

    read_seconds: float
    """Longest silence of the server within one attempt."""

    attempts: int
    """Attempts in all, the first included (`total_max_attempts`)."""

    connect_seconds: float = 3
    total_seconds: float | None = None
    """All of one attempt, from the wait for a connection to the last byte of the reply: one that
    comes a byte a second breaks no silence. None: one silence and the time of a connection."""

    @property
    def attempt_seconds(self) -> float:
        """Return the deadline of one attempt."""
        if self.total_seconds is None:
            return self.connect_seconds + self.read_seconds
        return self.total_seconds

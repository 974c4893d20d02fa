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

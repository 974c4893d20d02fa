"""The wall clock of signatures, put right by the server's: AWS refuses those 5 minutes off."""

import time
from collections.abc import Callable
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import lru_cache

from botocore.exceptions import ClientError

TOLERATED_SECONDS = 240.0
"""Less than AWS's own five minutes; a difference that small is not why a signature was refused."""

REFUSED_CODES = frozenset(
    {
        "AuthFailure",
        "InvalidSignatureException",
        "RequestExpired",
        "RequestInTheFuture",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
    }
)
"""Codes that a wrong clock may be behind."""


class Clock:
    """The machine's clock, and how far the server's is before it."""

    def __init__(self, wall_clock: Callable[[], float] = time.time) -> None:
        self._wall_clock = wall_clock
        self._ahead_seconds = 0.0

    def seconds(self) -> float:
        """Return the time by the server's clock, as far as it is known; since the epoch."""
        return self._wall_clock() + self._ahead_seconds

    def put_right(self, error: ClientError) -> bool:
        """Take over the server's time if ours may be why it refused; True when it was."""
        if error.response["Error"]["Code"] not in REFUSED_CODES:
            return False
        told = seconds_of(error.response["ResponseMetadata"]["HTTPHeaders"].get("date", ""))
        if told is None or abs(told - self.seconds()) <= TOLERATED_SECONDS:
            return False
        self._ahead_seconds = told - self._wall_clock()
        return True


@lru_cache(maxsize=4)
def seconds_of(date: str) -> float | None:
    """Return the moment of a `Date` header, since the epoch; None when it says none.

    Remembered: all replies within a second say the same.
    """
    try:
        moment = parsedate_to_datetime(date)
        # "-0000" is UTC too, and not the machine's own zone.
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ArithmeticError, LookupError, TypeError, ValueError):
        return None

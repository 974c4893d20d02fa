"""What was done already, so that it is not done again: per handler and dedupe key.

Effects do not depend on it: their ids derive from the same dedupe key. It spares repeats when one
of two handlers of a message failed, or when an event came under several message ids.
"""

from collections.abc import Awaitable, Callable
from hashlib import blake2b
from typing import Protocol

from worker.domain.result import Result
from worker.telemetry import metrics

_claimed = metrics.ledger_outcomes.labels("claimed")

DIGEST_BYTES = 16
"""Two of fifty thousand keys are taken for one with a chance of 1 in 10^29."""


class Ledger(Protocol):
    """In memory here, in DynamoDB for all workers (`worker.clients.aws.ledger`)."""

    async def once(
        self, handler: str, dedupe_key: str, run: Callable[[], Awaitable[Result]]
    ) -> Result:
        """Run unless it was done before: `Result.DUPLICATE` then.

        Raises Transient while somebody else is at it, and whatever `run` raises: the next may try
        at once then.
        """


class MemoryLedger:
    """Remembers finished pieces of work in this process; those under way are known to `Twins`.

    It knows the newest `size` at least, and never more than twice as many.
    They are kept as digests in two sets, the older of which is dropped whole: an ordered mapping of
    the keys themselves takes three times the memory, and grows again as it is gone through.
    """

    def __init__(self, size: int = 25_000) -> None:
        self._size = size
        self._newer: set[bytes] = set()
        self._older: set[bytes] = set()

    async def once(
        self, handler: str, dedupe_key: str, run: Callable[[], Awaitable[Result]]
    ) -> Result:
        """Run unless it was done before."""
        key = blake2b(f"{handler}|{dedupe_key}".encode(), digest_size=DIGEST_BYTES).digest()
        if key in self._newer or key in self._older:
            metrics.ledger_outcomes.labels("done").inc()
            return Result.DUPLICATE
        _claimed.inc()
        result = await run()
        self._remember(key)
        return result

    def _remember(self, key: bytes) -> None:
        self._newer.add(key)
        if len(self._newer) >= self._size:
            self._older, self._newer = self._newer, set()

"""What was done already, so that it is not done again: per handler and dedupe key.

Effects do not depend on it: their ids derive from the same dedupe key. It spares repeats when one
of two handlers of a message failed, or when an event came under several message ids.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Protocol

from worker.domain.result import Result
from worker.errors import Transient
from worker.telemetry import metrics

BUSY_RETRY_SECONDS = 5
"""When to look again for an event whose twin is being handled in this process."""


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
    """Remembers the newest `size` finished pieces of work, and those under way, in this process."""

    def __init__(self, size: int = 100_000) -> None:
        self._size = size
        self._done: OrderedDict[str, None] = OrderedDict()
        self._busy: set[str] = set()

    async def once(
        self, handler: str, dedupe_key: str, run: Callable[[], Awaitable[Result]]
    ) -> Result:
        """Run unless it was done before."""
        key = f"{handler}|{dedupe_key}"
        if key in self._done:
            metrics.ledger_outcomes.labels("done").inc()
            return Result.DUPLICATE
        if key in self._busy:
            metrics.ledger_outcomes.labels("busy").inc()
            reason = "a copy of this event is being handled"
            raise Transient(reason, retry_after=BUSY_RETRY_SECONDS)
        metrics.ledger_outcomes.labels("claimed").inc()
        self._busy.add(key)
        try:
            result = await run()
            self._remember(key)
        finally:
            self._busy.discard(key)
        return result

    def _remember(self, key: str) -> None:
        self._done[key] = None
        if len(self._done) > self._size:
            self._done.popitem(last=False)

"""What was done already, so that it is not done again: per handler and dedupe key.

Bounded and in memory: it spares repeats within one process, when one of two handlers of a message
failed, or when an event came under several message ids. Effects do not depend on it: their ids
derive from the same dedupe key.
"""

from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum, auto


class Claim(Enum):
    """What the ledger knows of a piece of work."""

    MINE = auto()
    DONE = auto()
    BUSY = auto()


class MemoryLedger:
    """Remembers the newest `size` finished pieces of work, and those under way."""

    def __init__(self, size: int = 100_000) -> None:
        self._size = size
        self._done: OrderedDict[str, None] = OrderedDict()
        self._busy: set[str] = set()

    @contextmanager
    def claim(self, handler: str, dedupe_key: str) -> Iterator[Claim]:
        """Enter a piece of work; leaving without an exception marks it as done."""
        key = f"{handler}|{dedupe_key}"
        if key in self._done or key in self._busy:
            yield Claim.DONE if key in self._done else Claim.BUSY
            return
        self._busy.add(key)
        try:
            yield Claim.MINE
            self._remember(key)
        finally:
            self._busy.discard(key)

    def _remember(self, key: str) -> None:
        self._done[key] = None
        if len(self._done) > self._size:
            self._done.popitem(last=False)

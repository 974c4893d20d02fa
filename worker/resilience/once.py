"""Effects of one event that are there already, so that its repeat leaves them alone."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable


class OncePerKey:
    """Remembers, within this process, which steps of which events are done.

    For effects at sinks that know no key: when one of several fails, the message comes back, and
    the others must not be had twice. After a restart they are; then their ids are the same.
    """

    def __init__(self, max_entries: int = 50_000) -> None:
        self._max_entries = max_entries
        self._done: OrderedDict[Hashable, None] = OrderedDict()

    async def once(self, step: Hashable, effect: Callable[[], Awaitable[object]]) -> None:
        """Await the effect unless the step is done; it is done when the effect did not raise."""
        if step in self._done:
            return
        await effect()
        self._done[step] = None
        if len(self._done) > self._max_entries:
            self._done.popitem(last=False)

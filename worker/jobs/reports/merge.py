"""Sorted pages become one stream in order of time, without repeats.

Pages of one slice are fetched a few at a time and merged as they come. Slices are not merged row
by row: they are disjoint in time, so a merge would read the second one only when the first is
done, or hold it in memory meanwhile. Each adds up by itself, and the totals are put together.
"""

from collections.abc import Iterable, Iterator
from heapq import merge
from operator import attrgetter

from worker.jobs.reports.row import Row

WINDOW = 2_000
"""Ids remembered: twenty pages. Pages that shift while they are read repeat a row on the next."""

_START = attrgetter("start_ms")


class Merge:
    """The k-way merge of one slice, and the memory of its latest ids.

    The memory is a window, not a set of all ids, so it does not grow with the conversations. A
    repeat further apart than that is let through; then there are more rows than the reply's
    `totalHits`, which is how the reader notices and reads the slice again.
    """

    def __init__(self, window: int = WINDOW) -> None:
        self._window = window
        self._recent: dict[str, None] = {}
        self.repeats = 0
        """Rows dropped, their id having been seen."""

        self.rows = 0
        """Rows passed on."""

    def add(self, pages: Iterable[Iterable[Row]]) -> Iterator[Row]:
        """Yield the rows of the pages by start time; ties keep the order of the pages.

        Each page must be sorted, and no page of an earlier call may be later than these: what
        disagrees comes out late, never twice.
        """
        for row in merge(*pages, key=_START):
            if row.id is not None and not self._is_new(row.id):
                self.repeats += 1
                continue
            self.rows += 1
            yield row

    def _is_new(self, identity: str) -> bool:
        if identity in self._recent:
            return False
        self._recent[identity] = None
        if len(self._recent) > self._window:
            del self._recent[next(iter(self._recent))]
        return True

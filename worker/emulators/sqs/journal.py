"""Everything the server did, in order: what tests ask, and what a checker joins afterwards."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from io import FileIO
from pathlib import Path
from typing import NamedTuple

import orjson


class Record(NamedTuple):
    """One outcome of one call; a batch with failures makes a record per outcome."""

    time: float
    """Wall clock, seconds since 1970: journals of several servers are joined on it."""

    action: str
    queue: str
    """Name of the queue; empty for calls about none."""

    message_ids: tuple[str, ...]
    outcome: str
    """`ok`, `redriven`, an error code of SQS, or the name of an injected fault."""


class Journal:
    """An append-only list of records; also written to a file, one JSON object a line."""

    def __init__(
        self, path: Path | None = None, *, wall_clock: Callable[[], float] = time.time
    ) -> None:
        self.records: list[Record] = []
        self.receives: Counter[str] = Counter()
        """How often each message id was given out."""

        self.deletes: Counter[str] = Counter()
        """How often a delete of each message id was accepted, in vain or not."""

        self._wall_clock = wall_clock
        # Unbuffered: the last lines before a kill are the ones that are wanted.
        self._file: FileIO | None = FileIO(str(path), "a") if path else None

    def write(
        self, action: str, queue: str, message_ids: Sequence[str] = (), outcome: str = "ok"
    ) -> None:
        """Append a record."""
        record = Record(self._wall_clock(), action, queue, tuple(message_ids), outcome)
        self.records.append(record)
        if outcome == "ok":
            self._count(record)
        if self._file:
            self._file.write(orjson.dumps(record._asdict(), option=orjson.OPT_APPEND_NEWLINE))

    def find(self, action: str | None = None, *, message_id: str | None = None) -> list[Record]:
        """Return the records of an action, of a message, or of both."""
        return [
            record
            for record in self.records
            if action in (None, record.action)
            and (message_id is None or message_id in record.message_ids)
        ]

    def outcomes(self, action: str) -> Counter[str]:
        """Return how often the action ended in which way."""
        return Counter(record.outcome for record in self.records if record.action == action)

    def close(self) -> None:
        """Close the file; the records stay."""
        if self._file:
            self._file.close()
            self._file = None

    def _count(self, record: Record) -> None:
        if record.action == "ReceiveMessage":
            self.receives.update(record.message_ids)
        elif record.action.startswith("DeleteMessage"):
            self.deletes.update(record.message_ids)

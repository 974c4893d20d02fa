"""What was sent, and from the queue's journal when and how each message was settled."""

import time
from collections import Counter
from dataclasses import dataclass

from worker.demo.jobs.plan import Planned
from worker.demo.stage import Stage


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of message in the final table."""

    kind: str
    sent: int
    done: int
    retried: int
    parked: int
    p50: float
    p99: float
    """Seconds from send to delete."""


class Sent:
    """The messages of a play, by message id."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._planned: dict[str, Planned] = {}
        self._sent_at: dict[str, float] = {}
        self._first_record = len(stage.sqs.journal.records)

    def add(self, planned: Planned, message_id: str) -> None:
        """Note a message that is on the queue now."""
        self._planned[message_id] = planned
        self._sent_at[message_id] = time.time()

    def __len__(self) -> int:
        return len(self._planned)

    def unsettled(self) -> int:
        """Return how many messages are not deleted yet."""
        depth = self._stage.sqs.depth(self._stage.queue_url)
        return depth.visible + depth.in_flight + depth.delayed

    def rows(self) -> list[Row]:
        """Return the final table, a row per kind."""
        took = self._seconds()
        kinds = sorted({planned.kind for planned in self._planned.values()})
        return [self._row(kind, took) for kind in kinds]

    def _row(self, kind: str, took: dict[str, float]) -> Row:
        ids = [key for key, planned in self._planned.items() if planned.kind == kind]
        times = sorted(took[key] for key in ids if key in took) or [0.0]
        receives = self._stage.sqs.journal.receives
        parked = sum(self._planned[key].fate == "parked" and key in took for key in ids)
        return Row(
            kind=kind,
            sent=len(ids),
            done=sum(key in took for key in ids) - parked,
            retried=sum(receives[key] > 1 for key in ids),
            parked=parked,
            p50=times[len(times) // 2],
            p99=times[min(len(times) - 1, len(times) * 99 // 100)],
        )

    def _seconds(self) -> dict[str, float]:
        """Return the time from send to delete of each message that was deleted."""
        took: dict[str, float] = {}
        for record in self._stage.sqs.journal.records[self._first_record :]:
            if record.action.startswith("DeleteMessage") and record.outcome == "ok":
                for message_id in record.message_ids:
                    took[message_id] = record.time - self._sent_at.get(message_id, record.time)
        return took


def calls_per_thousand(stage: Stage, messages: int) -> float:
    """Return the SQS calls of the worker per 1,000 messages."""
    wanted = ("ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility")
    calls: Counter[str] = stage.sqs.counts
    return 1000 * sum(n for name, n in calls.items() if name.startswith(wanted)) / max(1, messages)

"""What was sent, and from the queue's journal when and how each message was settled."""

import time
from collections import Counter
from dataclasses import dataclass

from worker.demo.environment import Environment
from worker.demo.plan import Planned


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of message in the final table."""

    kind: str
    queue: str
    sent: int
    done: int
    retried: int
    dead_lettered: int
    p50: float
    p99: float
    """Seconds from send to delete."""


class SentMessages:
    """The messages of a scenario, by message id; an event on two queues is two messages."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._planned: dict[str, Planned] = {}
        self._queues: dict[str, str] = {}
        self._calls_before = _calls(environment)
        self._calls: int | None = None
        self._sent_at: dict[str, float] = {}
        self._first_record = len(environment.sqs.journal.records)

    def send(self, planned: Planned) -> None:
        """Put a message on its queues."""
        for url, message_id in self._environment.put(planned.body, planned.queue_of):
            self._planned[message_id] = planned
            self._queues[message_id] = url.rpartition("/")[2]
            self._sent_at[message_id] = time.time()

    def __len__(self) -> int:
        return len(self._planned)

    def unsettled(self) -> int:
        """Return how many messages are not deleted yet."""
        return self._environment.waiting()

    def settled(self) -> None:
        """Count the calls of the worker up to now: what it does later is for other messages."""
        self._calls = _calls(self._environment) - self._calls_before

    def calls_per_thousand(self) -> float:
        """Return the SQS calls of the worker per 1,000 of these messages."""
        calls = (
            _calls(self._environment) - self._calls_before if self._calls is None else self._calls
        )
        return 1000 * calls / max(1, len(self))

    def rows(self) -> list[Row]:
        """Return the final table, a row per kind and queue."""
        took = self._seconds()
        ids: dict[tuple[str, str], list[str]] = {}
        for key, planned in self._planned.items():
            ids.setdefault((planned.kind, self._queues[key]), []).append(key)
        return [self._row(*which, ids[which], took) for which in sorted(ids)]

    def _row(self, kind: str, queue: str, ids: list[str], took: dict[str, float]) -> Row:
        times = sorted(took[key] for key in ids if key in took) or [0.0]
        receives = self._environment.sqs.journal.receives
        dead_lettered = sum(self._planned[key].fate == "parked" and key in took for key in ids)
        return Row(
            kind=kind,
            queue=queue,
            sent=len(ids),
            done=sum(key in took for key in ids) - dead_lettered,
            retried=sum(receives[key] > 1 for key in ids),
            dead_lettered=dead_lettered,
            p50=times[len(times) // 2],
            p99=times[min(len(times) - 1, len(times) * 99 // 100)],
        )

    def _seconds(self) -> dict[str, float]:
        """Return the time from send to delete of each message that was deleted."""
        took: dict[str, float] = {}
        for record in self._environment.sqs.journal.records[self._first_record :]:
            if record.action.startswith("DeleteMessage") and record.outcome == "ok":
                for message_id in record.message_ids:
                    took[message_id] = record.time - self._sent_at.get(message_id, record.time)
        return took


def _calls(environment: Environment) -> int:
    wanted = ("ReceiveMessage", "DeleteMessage", "ChangeMessageVisibility")
    counts: Counter[str] = environment.sqs.counts
    return sum(count for name, count in counts.items() if name.startswith(wanted))

"""What a queue does with a message before it keeps it: know it again, number it, date it."""

from collections import deque
from collections.abc import Callable
from hashlib import sha256
from uuid import uuid4

from worker.emulators.sqs.attributes import QueueAttributes
from worker.emulators.sqs.message import Message, Sending, Sent

DEDUPLICATION_SECONDS = 300
"""How long a FIFO queue remembers what was sent, from the first send on."""

_Key = tuple[str, str]


class Arrivals:
    """The sending side of one queue."""

    def __init__(self, wall_clock: Callable[[], float]) -> None:
        self._wall_clock = wall_clock
        self._sequence = 0
        self._latest_due = 0.0
        self._sent: dict[_Key, Sent] = {}
        self._ends: deque[tuple[float, _Key]] = deque()

    def earlier(self, sending: Sending, attributes: QueueAttributes, now: float) -> Sent | None:
        """Return the first send of the same thing in the last five minutes (FIFO)."""
        while self._ends and self._ends[0][0] <= now:
            del self._sent[self._ends.popleft()[1]]
        return self._sent.get(_key(sending, attributes)) if attributes.fifo else None

    def admit(self, sending: Sending, attributes: QueueAttributes, now: float) -> Message:
        """Return the message to be kept, with the time it is hidden until."""
        key = _key(sending, attributes)
        message = Message(
            id=str(uuid4()),
            sent=sending,
            sequence=self.next_sequence(),
            sent_at_milliseconds=int(self._wall_clock() * 1000),
            deduplication_id=key[1] if attributes.fifo else None,
            hidden_until=self._hidden_until(sending, attributes, now),
        )
        if attributes.fifo:
            self._sent[key] = Sent(message.id, message.sequence_number)
            self._ends.append((now + DEDUPLICATION_SECONDS, key))
        return message

    def next_sequence(self) -> int:
        """Return a number greater than all before."""
        self._sequence += 1
        return self._sequence

    def _hidden_until(
        self, sending: Sending, attributes: QueueAttributes, now: float
    ) -> float | None:
        asked = None if attributes.fifo else sending.delay_seconds
        due = now + (attributes.delay_seconds if asked is None else asked)
        if attributes.fifo:
            # A delay made shorter must not let a message overtake its group.
            due = self._latest_due = max(self._latest_due, due)
        return due if due > now else None


def _key(sending: Sending, attributes: QueueAttributes) -> _Key:
    chosen = sending.deduplication_id
    if chosen is None and attributes.fifo:
        chosen = sha256(sending.body.encode()).hexdigest()
    scope = sending.group_id if attributes.deduplicates_per_group else None
    return scope or "", chosen or ""

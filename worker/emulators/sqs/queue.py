"""One queue, as a plain data structure: no network, no task, and time only as a parameter.

Strict where consumers of SQS trip: a handle per receive, leases that end, twelve hours per
lease, redrive at the receive that would be one too many, groups that block.
"""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from typing import NamedTuple
from uuid import uuid4

from worker.emulators.sqs.model import (
    MAXIMUM_VISIBILITY_SECONDS,
    Message,
    QueueAttributes,
    Receipt,
    Received,
    Sending,
    Sent,
    SqsError,
    State,
    invalid_value,
    read_receipt,
    receipt_handle_expired,
    receipt_handle_is_invalid,
)
from worker.emulators.sqs.store import Store

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


class Depth(NamedTuple):
    """How many messages a queue holds, by where they are."""

    visible: int
    in_flight: int
    delayed: int


class Queue:
    """A standard or FIFO queue; an operation costs O(log n) of its depth per message."""

    def __init__(
        self,
        name: str,
        attributes: QueueAttributes,
        *,
        clock: Callable[[], float],
        wall_clock: Callable[[], float] = time.time,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        """`clock`: seconds by which leases and delays pass; `wall_clock`: for timestamps only.

        `changed` is called after every operation that moved a message.
        """
        self.name = name
        self.attributes = attributes
        self.dead_letters: Queue | None = None
        self.in_flight_limit = 120_000
        """Messages in flight at which the queue gives out no more."""

        self.redriven: Callable[[str], None] = lambda _message_id: None
        """Called for each message that moves to the dead-letter queue."""

        self._clock = clock
        self._wall_clock = wall_clock
        self._changed = changed
        self._arrivals = Arrivals(wall_clock)
        self._store = Store(fifo=attributes.fifo)

    @property
    def arn(self) -> str:
        """Return the queue's ARN, in the invented account all queues share."""
        return f"arn:aws:sqs:us-east-1:000000000000:{self.name}"

    def depth(self) -> Depth:
        """Return exact counts; SQS's own are approximate."""
        self._store.pass_time(self._clock())
        return Depth(*map(self._store.count, (State.VISIBLE, State.IN_FLIGHT, State.DELAYED)))

    @property
    def full(self) -> bool:
        """Return True when too many messages are in flight for another receive."""
        return self._store.count(State.IN_FLIGHT) >= self.in_flight_limit

    def messages(self) -> tuple[Message, ...]:
        """Return every message there is, in the order of arrival, without touching any."""
        self._store.pass_time(self._clock())
        return tuple(self._store)

    def seconds_to_next_due(self) -> float | None:
        """Return how long it is until a message comes back by itself; None: none will."""
        due = self._store.next_due()
        return None if due is None else max(0.0, due - self._clock())

    def send(self, sending: Sending) -> Sent:
        """Keep a message, unless a FIFO queue knows it from the last five minutes."""
        now = self._clock()
        if earlier := self._arrivals.earlier(sending, self.attributes, now):
            return earlier
        message = self._arrivals.admit(sending, self.attributes, now)
        self._store.enter(message)
        self._changed()
        return Sent(message.id, message.sequence_number)

    def receive(self, at_most: int, visibility_seconds: int | None = None) -> list[Received]:
        """Give out visible messages and start their leases; redrive what was out too often."""
        now = self._clock()
        self._store.pass_time(now)
        if visibility_seconds is None:
            visibility_seconds = self.attributes.visibility_seconds
        at_most = min(at_most, self.in_flight_limit - self._store.count(State.IN_FLIGHT))
        received = self._take(at_most, now + visibility_seconds) if at_most > 0 else []
        if not visibility_seconds:
            for message, _ in received:
                self._store.reappear(message)
        if received:
            self._changed()
        return received

    def delete(self, handle: str) -> str:
        """Delete the message and return its id, even when there was nothing left to delete.

        A standard queue accepts a handle that a later receive replaced, and keeps the message:
        "deleted" is not "done once". A FIFO queue refuses a handle whose lease is over.

        Raises:
            SqsError: the handle is not of this queue, or expired (FIFO).

        """
        message, receipt = self._find(handle)
        if message is None:
            return receipt.message_id
        newest = receipt.receive == message.receives
        if self.attributes.fifo and not (newest and message.state is State.IN_FLIGHT):
            raise receipt_handle_expired(handle)
        if newest:
            self._store.remove(message)
            self._changed()
        return receipt.message_id

    def change_visibility(self, handle: str, seconds: int) -> str:
        """Let the lease end that many seconds from now; 0 releases. Returns the message id.

        Raises:
            SqsError: the lease is not held (any more), or would exceed twelve hours in all.

        """
        _check_visibility(seconds)
        message, receipt = self._find(handle)
        if message is None or receipt.receive != message.receives:
            raise self._lease_lost(handle)
        if message.state is not State.IN_FLIGHT:
            raise SqsError("MessageNotInflight", "The specified message isn't in flight.")
        now = self._clock()
        _check_twelve_hours(seconds, now - message.received_at)
        if seconds:
            self._store.prolong(message, now + seconds)
        else:
            self._store.reappear(message)
        self._changed()
        return receipt.message_id

    def expose(self, message: Message) -> None:
        """End a lease behind its holder's back: the message will be delivered once more."""
        if message.state is State.IN_FLIGHT:
            self._store.reappear(message)
            self._changed()

    def take_away(self) -> Message | None:
        """Remove a visible message without receiving it, to be sent elsewhere."""
        self._store.pass_time(self._clock())
        message = next(self._store.candidates(), None)
        if message is not None:
            self._store.withdraw(message)
            self._changed()
        return message

    def put_back(self, message: Message) -> None:
        """Keep a message after all that was taken away."""
        self._store.enter(replace(message, state=State.VISIBLE))
        self._changed()

    def purge(self) -> None:
        """Drop all messages, those in flight included; what was sent is still remembered."""
        self._store = Store(fifo=self.attributes.fifo)
        self._changed()

    def _accept(self, message: Message, source: "Queue") -> None:
        # A copy with its id, age and receive count; the old object is stale for the old queue.
        self._store.enter(
            replace(
                message,
                sequence=self._arrivals.next_sequence(),
                state=State.VISIBLE,
                dead_letter_source_arn=source.arn,
            )
        )
        self._changed()

    def _take(self, at_most: int, due: float) -> list[Received]:
        received: list[Received] = []
        for message in self._store.candidates():
            if target := self._redrive_target(message):
                self._store.withdraw(message)
                target._accept(message, source=self)  # noqa: SLF001  of the same class
                self.redriven(message.id)
                self._changed()
                continue
            received.append(self._lease(message, due))
            if len(received) == at_most:
                break
        return received

    def _redrive_target(self, message: Message) -> "Queue | None":
        policy = self.attributes.redrive_policy
        if policy is None or message.receives < policy.max_receive_count:
            return None
        return self.dead_letters

    def _lease(self, message: Message, due: float) -> Received:
        self._store.lease(message, due)
        message.receives += 1
        message.received_at = self._clock()
        if message.first_received_at_milliseconds is None:
            message.first_received_at_milliseconds = int(self._wall_clock() * 1000)
        return Received(message, Receipt(self.name, message.id, message.receives).handle())

    def _find(self, handle: str) -> tuple[Message | None, Receipt]:
        self._store.pass_time(self._clock())
        receipt = read_receipt(handle)
        if receipt.queue_name != self.name:
            raise receipt_handle_is_invalid()
        return self._store.find(receipt.message_id), receipt

    def _lease_lost(self, handle: str) -> SqsError:
        if self.attributes.fifo:
            return receipt_handle_expired(handle)
        reason = "Message does not exist or is not available for visibility timeout change."
        return invalid_value(handle, "ReceiptHandle", reason)


def _check_visibility(seconds: int) -> None:
    if not 0 <= seconds <= MAXIMUM_VISIBILITY_SECONDS:
        reason = f"Must be between 0 and {MAXIMUM_VISIBILITY_SECONDS}."
        raise invalid_value(seconds, "VisibilityTimeout", reason)


def _check_twelve_hours(seconds: int, since_receive: float) -> None:
    if since_receive + seconds > MAXIMUM_VISIBILITY_SECONDS:
        limit = f"beyond the limit [{MAXIMUM_VISIBILITY_SECONDS} seconds]"
        reason = f"Total VisibilityTimeout for the message is {limit}"
        raise invalid_value(seconds, "VisibilityTimeout", reason)

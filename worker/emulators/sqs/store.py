"""The messages that a queue keeps: their timers, the order of the visible ones, where each is.

An operation costs O(log n) per message, so that a backlog of 100,000 is as fast as one of ten.
"""

from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from typing import Protocol

from worker.emulators.sqs.model import Message, State


class Timers:
    """At most one timer per message; setting a new one takes the old one's place.

    A replaced timer stays among the others until it is due, for it cannot be found there in
    O(log n); when such ones outnumber the live by far, all are sorted anew.
    """

    def __init__(self) -> None:
        self._due: list[tuple[float, int, Message]] = []
        self._set = 0
        self._live = 0

    def set(self, message: Message, due: float) -> None:
        """Let the message come due at this time of the clock."""
        self.cancel(message)
        self._set += 1
        self._live += 1
        message.timer = self._set
        heappush(self._due, (due, self._set, message))

    def cancel(self, message: Message) -> None:
        """Forget the message's timer, if it has one."""
        if message.timer:
            message.timer = 0
            self._live -= 1
            if len(self._due) > 64 + 4 * self._live:
                self._due = [entry for entry in self._due if _counts(entry)]
                heapify(self._due)

    def next_due(self) -> float | None:
        """Return the time of the earliest timer."""
        while self._due and not _counts(self._due[0]):
            heappop(self._due)
        return self._due[0][0] if self._due else None

    def pop_due(self, now: float) -> Message | None:
        """Return a message whose time has come, earliest first; None when there is none."""
        due = self.next_due()
        if due is None or due > now:
            return None
        message = heappop(self._due)[2]
        self.cancel(message)
        return message


def _counts(entry: tuple[float, int, Message]) -> bool:
    _, number, message = entry
    return message.timer == number


class Order(Protocol):
    """The visible messages of a queue."""

    def add(self, message: Message) -> None:
        """Take in a message that became visible."""

    def candidates(self) -> Iterator[Message]:
        """Give out visible messages one by one; each given is off the order."""

    def lock(self, message: Message) -> None:
        """Note that a message given out is in flight now."""

    def unlock(self, message: Message) -> None:
        """Note that a message is no longer in flight."""

    def leave(self, message: Message) -> None:
        """Note that a message given out left the queue without having been in flight."""


class StandardOrder:
    """First come, first served; what comes back goes to the end.

    SQS promises no order here. To the end, not to the front: a message that keeps failing with
    a visibility of 0 would otherwise be all that a short poll ever sees.
    """

    def __init__(self) -> None:
        self._visible: deque[Message] = deque()

    def add(self, message: Message) -> None:
        """Put the message at the end."""
        self._visible.append(message)

    def candidates(self) -> Iterator[Message]:
        """Give out from the front, past what was deleted while it waited."""
        while self._visible:
            message = self._visible.popleft()
            if message.state is State.VISIBLE:
                yield message

    def lock(self, message: Message) -> None:
        """Do nothing: messages of a standard queue do not stand in each other's way."""

    def unlock(self, message: Message) -> None:
        """Do nothing, as above."""

    def leave(self, message: Message) -> None:
        """Do nothing, as above."""


@dataclass(slots=True)
class _Group:
    visible: list[tuple[int, Message]] = field(default_factory=list)
    in_flight: int = 0


class FifoOrder:
    """By sequence within a group; nothing of a group while one of its messages is in flight.

    Groups take turns: the one that became free first is served first.
    """

    def __init__(self) -> None:
        self._groups: dict[str, _Group] = {}
        # Not a dict: finding the first key of one costs more with every key taken off its front.
        self._free: OrderedDict[str, None] = OrderedDict()

    def add(self, message: Message) -> None:
        """Put the message where its sequence number belongs, not at the end."""
        group_id = _group_id(message)
        group = self._groups.setdefault(group_id, _Group())
        heappush(group.visible, (message.sequence, message))
        self._settle(group_id)

    def candidates(self) -> Iterator[Message]:
        """Give out whole groups before the next: one receive may carry ten of a group."""
        while self._free:
            group_id, _ = self._free.popitem(last=False)
            visible = self._groups[group_id].visible
            while visible:
                yield heappop(visible)[1]

    def lock(self, message: Message) -> None:
        """Hold the rest of the group back."""
        group_id = _group_id(message)
        self._groups[group_id].in_flight += 1
        self._free.pop(group_id, None)

    def unlock(self, message: Message) -> None:
        """Let the group go on when this was its last message in flight."""
        group_id = _group_id(message)
        self._groups[group_id].in_flight -= 1
        self._settle(group_id)

    def leave(self, message: Message) -> None:
        """Let the group go on without this message."""
        self._settle(_group_id(message))

    def _settle(self, group_id: str) -> None:
        group = self._groups[group_id]
        if group.in_flight:
            return
        if group.visible:
            self._free[group_id] = None
        else:
            self._free.pop(group_id, None)
            del self._groups[group_id]


def _group_id(message: Message) -> str:
    return message.sent.group_id or ""


class Store:
    """All messages of a queue, each in exactly one state."""

    def __init__(self, *, fifo: bool) -> None:
        self._messages: dict[str, Message] = {}
        self._order: Order = FifoOrder() if fifo else StandardOrder()
        self._timers = Timers()
        self._counts = dict.fromkeys(State, 0)

    def __iter__(self) -> Iterator[Message]:
        return iter(self._messages.values())

    def count(self, state: State) -> int:
        """Return how many messages are there."""
        return self._counts[state]

    def find(self, message_id: str) -> Message | None:
        """Return the message; None when it is gone, or never was here."""
        return self._messages.get(message_id)

    def next_due(self) -> float | None:
        """Return when the next message comes back by itself."""
        return self._timers.next_due()

    def pass_time(self, now: float) -> None:
        """Make visible what is due."""
        while message := self._timers.pop_due(now):
            self.reappear(message)

    def candidates(self) -> Iterator[Message]:
        """Give out visible messages; the caller leases or removes each before the next."""
        return self._order.candidates()

    def enter(self, message: Message) -> None:
        """Take in a new message: visible, or delayed when it says until when it is hidden."""
        self._messages[message.id] = message
        self._counts[message.state] += 1
        if message.hidden_until is None:
            self._order.add(message)
        else:
            self._make_invisible(message, State.DELAYED, message.hidden_until)

    def lease(self, message: Message, due: float) -> None:
        """Put a message just given out in flight."""
        self._order.lock(message)
        self._make_invisible(message, State.IN_FLIGHT, due)

    def prolong(self, message: Message, due: float) -> None:
        """Set the end of a running lease anew."""
        self._make_invisible(message, State.IN_FLIGHT, due)

    def reappear(self, message: Message) -> None:
        """Make a hidden message visible."""
        was_in_flight = message.state is State.IN_FLIGHT
        self._timers.cancel(message)
        self._move(message, State.VISIBLE)
        message.hidden_until = None
        self._order.add(message)
        if was_in_flight:
            self._order.unlock(message)

    def remove(self, message: Message) -> None:
        """Take a message out that is in flight, or visible on a standard queue."""
        was_in_flight = message.state is State.IN_FLIGHT
        self._forget(message)
        if was_in_flight:
            self._order.unlock(message)

    def withdraw(self, message: Message) -> None:
        """Take a message out that `candidates` just gave."""
        self._forget(message)
        self._order.leave(message)

    def _forget(self, message: Message) -> None:
        self._timers.cancel(message)
        self._move(message, State.GONE)
        del self._messages[message.id]

    def _make_invisible(self, message: Message, state: State, due: float) -> None:
        self._move(message, state)
        message.hidden_until = due
        self._timers.set(message, due)

    def _move(self, message: Message, state: State) -> None:
        self._counts[message.state] -= 1
        self._counts[state] += 1
        message.state = state

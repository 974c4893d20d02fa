"""In which order visible messages are given out, and which of them may be.

Both orders cost O(log n) per message, so that a backlog of 100,000 is as fast as one of ten.
"""

from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Protocol

from worker.emulators.sqs.message import Message, State


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

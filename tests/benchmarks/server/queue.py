"""The messages of the benchmark's queue: visible, in flight or deleted. No FIFO, no delay."""

import hashlib
import heapq
import time
from collections import deque
from collections.abc import Mapping
from itertools import count

import orjson

TEMPLATE = (
    b'%b"Attributes":{"ApproximateReceiveCount":"%d","SentTimestamp":"%d"},"ReceiptHandle":"%b"}'
)
"""Attributes come asked for or not: what their reading costs, it costs everyone."""


class Message:
    """One message; what is always the same in its JSON is made once."""

    __slots__ = ("attributes", "body", "due", "handle", "head", "number", "received", "sent_ms")

    def __init__(self, number: int, body: str, attributes: Mapping | None = None) -> None:
        self.number = number
        self.body = body
        self.attributes = attributes or {}
        self.handle = ""
        """Receipt of the newest receive."""

        self.due = 0.0
        """When its lease ends."""

        self.received = 0
        """Receives so far."""

        self.sent_ms = int(time.time() * 1000)
        self.head = _head(number, body, self.attributes)

    def as_json(self) -> bytes:
        """Return it as an entry of ReceiveMessage's `Messages`."""
        return TEMPLATE % (self.head, self.received, self.sent_ms, self.handle.encode())


class Queue:
    """Messages by their leases. Limits are left out: no benchmark comes near them."""

    def __init__(self, *, visibility_seconds: float) -> None:
        self.visibility_seconds = visibility_seconds
        self.deleted: set[int] = set()
        """Numbers of the messages that are deleted."""

        self._visible: deque[Message] = deque()
        self._leased: dict[str, Message] = {}
        self._due: list[tuple[float, str]] = []
        self._numbers = count()
        self._handles = count()

    @property
    def visible(self) -> int:
        """Messages that a receive would give out."""
        return len(self._visible)

    @property
    def hidden(self) -> list[int]:
        """Numbers of the messages in flight."""
        return sorted(message.number for message in self._leased.values())

    def add(self, message: Message) -> None:
        """Take in a message as visible."""
        self._visible.append(message)

    def send(self, body: str, attributes: Mapping | None = None) -> Message:
        """Make a message with the next free number."""
        message = Message(next(self._numbers), body, attributes)
        self.add(message)
        return message

    def messages(self) -> list[Message]:
        """Return what is visible, oldest first."""
        return list(self._visible)

    def receive(self, at_most: int, now: float, visibility_seconds: float | None) -> list[Message]:
        """Lease up to so many messages."""
        self.pass_time(now)
        given = [self._visible.popleft() for _ in range(min(at_most, len(self._visible)))]
        due = now + (self.visibility_seconds if visibility_seconds is None else visibility_seconds)
        for message in given:
            message.received += 1
            message.handle = f"{message.number}-{next(self._handles)}"
            self._lease(message, due)
        return given

    def delete(self, handle: str) -> int | None:
        """Delete by the newest receipt; None for an older one, which SQS takes and ignores."""
        message = self._leased.pop(handle, None)
        if message is None:
            return None
        self.deleted.add(message.number)
        return message.number

    def hide(self, handle: str, seconds: float, now: float) -> bool:
        """Let a lease end `seconds` from now; False when there is none."""
        message = self._leased.pop(handle, None)
        if message is None:
            return False
        if seconds > 0:
            self._lease(message, now + seconds)
        else:
            self.add(message)
        return True

    def pass_time(self, now: float) -> None:
        """Make visible again whose lease is over."""
        while self._due and self._due[0][0] <= now:
            _, handle = heapq.heappop(self._due)
            message = self._leased.get(handle)
            if message and message.due <= now:  # else it is gone, or was given more time
                self.add(self._leased.pop(handle))

    def next_due(self) -> float | None:
        """Return when the next lease may end."""
        return self._due[0][0] if self._due else None

    def _lease(self, message: Message, due: float) -> None:
        message.due = due
        self._leased[message.handle] = message
        heapq.heappush(self._due, (due, message.handle))


def _head(number: int, body: str, attributes: Mapping) -> bytes:
    fields = {
        "MessageId": f"00000000-0000-4000-9000-{number:012}",
        "MD5OfBody": md5(body),
        "Body": body,
    }
    if attributes:
        fields["MessageAttributes"] = attributes
    return orjson.dumps(fields)[:-1] + b","


def md5(body: str) -> str:
    """Return what clients check a body by."""
    return hashlib.md5(body.encode(), usedforsecurity=False).hexdigest()

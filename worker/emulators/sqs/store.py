"""Where the messages of one queue are, and the moves between visible, in flight and delayed."""

from collections.abc import Iterator

from worker.emulators.sqs.message import Message, State
from worker.emulators.sqs.order import FifoOrder, Order, StandardOrder
from worker.emulators.sqs.timers import Timers


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
            self._hide(message, State.DELAYED, message.hidden_until)

    def lease(self, message: Message, due: float) -> None:
        """Put a message just given out in flight."""
        self._order.lock(message)
        self._hide(message, State.IN_FLIGHT, due)

    def prolong(self, message: Message, due: float) -> None:
        """Set the end of a running lease anew."""
        self._hide(message, State.IN_FLIGHT, due)

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

    def _hide(self, message: Message, state: State, due: float) -> None:
        self._move(message, state)
        message.hidden_until = due
        self._timers.set(message, due)

    def _move(self, message: Message, state: State) -> None:
        self._counts[message.state] -= 1
        self._counts[state] += 1
        message.state = state

"""What comes back when: leases that end and delays that pass."""

from heapq import heapify, heappop, heappush

from worker.emulators.sqs.message import Message


class Timers:
    """At most one timer per message; setting a new one takes the old one's place.

    A replaced timer stays in the heap until it is due, for it cannot be found there in
    O(log n); when such ones outnumber the live by far, the heap is built anew.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Message]] = []
        self._set = 0
        self._live = 0

    def set(self, message: Message, due: float) -> None:
        """Let the message come due at this time of the clock."""
        self.cancel(message)
        self._set += 1
        self._live += 1
        message.timer = self._set
        heappush(self._heap, (due, self._set, message))

    def cancel(self, message: Message) -> None:
        """Forget the message's timer, if it has one."""
        if message.timer:
            message.timer = 0
            self._live -= 1
            if len(self._heap) > 64 + 4 * self._live:
                self._heap = [entry for entry in self._heap if _counts(entry)]
                heapify(self._heap)

    def next_due(self) -> float | None:
        """Return the time of the earliest timer."""
        while self._heap and not _counts(self._heap[0]):
            heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def pop_due(self, now: float) -> Message | None:
        """Return a message whose time has come, earliest first; None when there is none."""
        due = self.next_due()
        if due is None or due > now:
            return None
        message = heappop(self._heap)[2]
        self.cancel(message)
        return message


def _counts(entry: tuple[float, int, Message]) -> bool:
    _, number, message = entry
    return message.timer == number

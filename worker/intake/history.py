"""How often a message was tried, and since when: apart from SQS's receive count.

`ApproximateReceiveCount` also counts receives that drains and outages gave back untried.
"""

from collections import OrderedDict
from dataclasses import dataclass, replace

SIZE = 50_000


@dataclass(frozen=True, slots=True)
class Attempts:
    """Failed attempts of one message in this process; times are seconds since the epoch."""

    count: int
    first_failure: float
    last_failure: float


class History:
    """Attempts of the messages that failed last."""

    def __init__(self) -> None:
        self._attempts: OrderedDict[str, Attempts] = OrderedDict()
        self._given_back: OrderedDict[str, None] = OrderedDict()

    def failed(self, message_id: str, *, receive_count: int, now: float) -> Attempts:
        """Count a failed attempt.

        A message that this process never saw counts from its receives: after a restart that is
        the best guess, and a longer backoff is the safe side.
        """
        known = self._attempts.pop(message_id, None)
        attempts = (
            replace(known, count=known.count + 1, last_failure=now)
            if known
            else Attempts(max(1, receive_count), now, now)
        )
        self._attempts[message_id] = attempts
        if len(self._attempts) > SIZE:
            self._attempts.popitem(last=False)
        return attempts

    def gave_back(self, message_id: str) -> None:
        """Note a message that was in hand here and was shown again untried."""
        self._given_back[message_id] = None
        if len(self._given_back) > SIZE:
            self._given_back.popitem(last=False)

    def knows(self, message_id: str) -> bool:
        """Whether the message was in hand here before, and the process outlived it."""
        return message_id in self._attempts or message_id in self._given_back

    def forget(self, message_id: str) -> None:
        """Drop a message that is done."""
        self._attempts.pop(message_id, None)
        self._given_back.pop(message_id, None)

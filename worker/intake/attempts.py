"""How often a message failed by itself, and since when: apart from SQS's receive count.

`ApproximateReceiveCount` also counts the receives of outages, drains and scheduled retries.
"""

from collections import OrderedDict
from dataclasses import dataclass

REMEMBERED = 50_000


@dataclass(frozen=True, slots=True)
class Attempt:
    """Failures of one message in this process; times are seconds since the epoch."""

    own: int
    """Failures that only the message explains: its upstreams were up."""

    all: int
    first_failure: float
    last_failure: float


class Attempts:
    """The failures of the messages that failed last."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, Attempt] = OrderedDict()

    def failed(self, message_id: str, *, own: bool, receive_count: int, now: float) -> Attempt:
        """Count a failure.

        A message that this process never saw fail counts from its receives, for its backoff only:
        after a restart the longer one is the safe side.
        """
        before = self._known.pop(message_id, None)
        attempt = Attempt(
            own=(before.own if before else 0) + own,
            all=before.all + 1 if before else max(1, receive_count),
            first_failure=before.first_failure if before else now,
            last_failure=now,
        )
        self._known[message_id] = attempt
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return attempt

    def known(self, message_id: str) -> bool:
        """Whether the message failed here before."""
        return message_id in self._known

    def forget(self, message_id: str) -> None:
        """Drop a message that is done."""
        self._known.pop(message_id, None)

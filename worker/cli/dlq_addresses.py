"""Which queue a dead letter goes back to. Pure.

The failure record names it, or SQS does, where SQS itself moved the message. A record is text of a
queue, so what it names must be one of our queues, or lie beside the dead-letter queue: the copy
holds personal data, and is sent with our credentials.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from worker.cli.dlq_letters import DeadLetter


class NoAddress(Exception):
    """No queue is known for this letter; the text says why."""

    code = "NoQueue"


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """The queues that letters may go back to."""

    queues: Sequence[str]
    """URLs of SQS_QUEUE_URL."""

    only: str | None = None
    """Where all letters go, whatever they say."""

    def of(self, letter: DeadLetter, dead_letters: str) -> str:
        """Return the URL for a letter of that dead-letter queue. Raises NoAddress."""
        url = self.only or self._named(letter, dead_letters) or self._single()
        if url == dead_letters:
            raise NoAddress("the queue it names is its dead-letter queue")
        return url

    def _named(self, letter: DeadLetter, dead_letters: str) -> str | None:
        beside = dead_letters.rpartition("/")[0]
        if (url := letter.queue_url) is not None:
            if url in self.queues or url.rpartition("/")[0] == beside:
                return url
            raise NoAddress("its record names a queue of another account or region")
        if (arn := letter.message.moved_from) is None:
            return None
        # SQS moves within one account and region, so only the name is unknown.
        name = arn.rpartition(":")[2]
        return next((url for url in self.queues if url.endswith(f"/{name}")), f"{beside}/{name}")

    def _single(self) -> str:
        if len(self.queues) != 1:
            raise NoAddress("it names no queue, and SQS_QUEUE_URL has several")
        return self.queues[0]

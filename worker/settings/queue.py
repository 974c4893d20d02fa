"""Settings of the queue, of retries and of what its messages mean."""

from typing import Annotated, Literal

from pydantic import Field

from worker.settings.bindings import DeadLetterUrls, QueueUrls, entries_of, is_fifo
from worker.settings.fields import Group, Seconds, group


class Sqs(Group):
    """The queue and how it is worked off."""

    model_config = group("SQS_")

    queue_url: QueueUrls
    """URL of the queue the events arrive on, or a list of queues, each bound to its jobs:
    `voice=https://…,attributes+sentiment=https://…`."""

    dead_letter_queue_url: DeadLetterUrls | None = None
    """URL of the queue for dead letters, or two: a standard one and a `.fifo` one, each for the
    queues of its kind. Unset: nothing is dead-lettered, such messages stay."""

    concurrency: Annotated[int, Field(ge=1, le=2000)] = 64
    """Messages handled at once."""

    wait_seconds: Annotated[int, Field(ge=0, le=20)] = 10
    """Length of a long poll. Part of the shutdown time: a running poll is never cut."""

    visibility_seconds: Annotated[int, Field(ge=10, le=43200)] | None = None
    """Visibility timeout of what we receive. Unset: the queue's own, read at start."""

    drain_seconds: Seconds = 25
    """Seconds given to messages in flight after SIGTERM; keep below the platform's kill time."""

    start_seconds: Seconds = 300
    """How long the start waits for SQS to answer, and for permissions to arrive; then exit code
    3."""

    park_limit: Annotated[int, Field(ge=1)] = 50
    """Dead letters of one cause (fingerprint) and process before the limit closes, plus one for
    every ten messages that its job has done. Beyond it messages of that cause stay on the queue,
    and one at a time tries."""

    ack_flush_milliseconds: Annotated[int, Field(ge=0, le=1000)] = 100
    """How long a delete waits for nine others to share its call."""

    @property
    def queue_urls(self) -> tuple[str, ...]:
        """The URLs of all queues."""
        return tuple(entry.url for entry in entries_of(self.queue_url))

    @property
    def dead_letter_queue_urls(self) -> tuple[str, ...]:
        """The URLs of all dead-letter queues."""
        return tuple(entry.url for entry in entries_of(self.dead_letter_queue_url or ""))

    def dead_letter_queue_for(self, queue_url: str) -> str | None:
        """Return the dead-letter queue of a queue: the one of its kind. None: there is none."""
        kind = is_fifo(queue_url)
        return next((url for url in self.dead_letter_queue_urls if is_fifo(url) == kind), None)


class Retry(Group):
    """When a message that failed comes back."""

    model_config = group("RETRY_")

    base_seconds: Seconds = 5
    """First backoff; doubled per attempt; half of it is fixed, half random."""

    cap_seconds: Annotated[Seconds, Field(le=43200)] = 900
    """Longest backoff of our own choice."""

    after_cap_seconds: Annotated[Seconds, Field(le=43200)] = 900
    """How much of an upstream's Retry-After is obeyed; then one call tries whether it holds."""

    horizon_seconds: Seconds = 21600
    """Age of a message, since it was sent to SQS, from which it is dead-lettered once it has failed
    eight times by itself and its job did another meanwhile; without that, at twice the age."""


class Handler(Group):
    """Limits of one run of a handler."""

    model_config = group("HANDLER_")

    deadline_seconds: Seconds = 60
    """Time for all handlers of one message; then they are cancelled and the message retried."""


class Events(Group):
    """Events in general; which `detail-type`s a job reads is among its own settings."""

    model_config = group("EVENTS_")

    unrouted: Literal["drop", "park"] = "drop"
    """What happens to a type no job wants."""

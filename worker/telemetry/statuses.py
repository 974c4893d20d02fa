"""What each part of the worker says of itself for /status, as plain data.

No personal data: ids of messages, names, numbers.
"""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

Gate = Literal["open", "half_open", "closed"]


class InFlight(Struct, frozen=True, kw_only=True):
    """One message in flight here."""

    message_id: str
    jobs: tuple[str, ...]
    """Empty until it was opened."""

    phase: str
    """`queued`, `gate`, `permit`, `alone`, `working`, `settling`; with what it waits for."""

    seconds: float
    """Since its phase began."""


class QueueStatus(Struct, frozen=True, kw_only=True):
    """One queue."""

    name: str
    jobs: tuple[str, ...]
    gate: Gate = "open"
    gate_reason: str = ""
    upstreams: tuple[str, ...] = ()
    """Those that its jobs ask."""

    in_flight: int = 0
    """Messages received here and not settled."""

    oldest: tuple[InFlight, ...] = ()
    """Those of them that are longest in their phase."""

    visible: int | None = None
    """Messages that can be received, as last sampled; None: no sample yet."""

    invisible: int | None = None
    """Messages that no consumer can receive now and that are not in flight here: scheduled retries,
    or other consumers'."""

    pollers: int = 0
    receive_error: str | None = None
    """Class or code of the error of the last receive, when it failed."""

    failing: Mapping[str, str] = {}
    """What SQS refuses beside receives: code by action."""

    last_receive_seconds_ago: float | None = None
    """Since a receive succeeded, with messages or without; None: none did yet."""

    last_message_seconds_ago: float | None = None
    blocked_groups: Mapping[str, str] = {}
    """FIFO groups that wait for a failed head: group id to message id, some of them."""

    dead_letters: int | None = None
    """Messages on its dead-letter queue, as last sampled."""

    dead_letter_error: str | None = None
    """Why its last dead letter was not taken; None when it was."""

    state: str = ""
    why: str = ""
    """In a sentence, why it moves, or does not; /status concludes both from all the rest."""


class Problem(Struct, frozen=True, kw_only=True):
    """Something that is wrong, and what to do about it."""

    where: str
    """`queue voice`, `jobs voice, workflow`, `upstream crm`, `process`."""

    cause: str
    remedy: str
    code: str = ""
    """By which `worker explain` and `worker check` know it; empty: by none."""

    heals: bool = False
    """Whether it passes by itself, once its cause does."""


class LastFailure(Struct, frozen=True, kw_only=True):
    """What a job last failed of."""

    reason: str
    fingerprint: str
    seconds_ago: float


class JobStatus(Struct, frozen=True, kw_only=True):
    """One job."""

    name: str
    state: Literal["open", "half_open", "closed", "off"]
    reason: str = ""
    """Why it cannot run now, or which settings it lacks."""

    problems: tuple[Problem, ...] = ()
    """What a person must change, whether or not it can run meanwhile."""

    outcomes: Mapping[str, int] = {}
    """Runs since the start, by outcome."""

    last_failure: LastFailure | None = None


class UpstreamStatus(Struct, frozen=True, kw_only=True):
    """One upstream; healthy ones are left out."""

    name: str
    breaker: str
    reason: str = ""
    pause_seconds: float = 0.0
    """Left of a pause that it asked for (Retry-After)."""

    asked_seconds: float = 0.0
    """The pause as it was asked for; obeyed up to RETRY_AFTER_CAP_SECONDS."""


class Cause(Struct, frozen=True, kw_only=True):
    """Dead letters of one cause since the start."""

    reason: str
    job: str | None
    fingerprint: str = ""
    """By which `worker dlq` selects them."""

    dead_letters: int
    held_back: int = 0
    """Messages of the cause that stay on the queue, as the limit is reached."""


class Snapshot(Struct, frozen=True, kw_only=True):
    """What the worker knew of itself at one moment: /status, `/` and `worker status` show it."""

    version: str = ""
    instance: str = ""
    """Of this process and no other."""

    host: str = ""
    """The name of its machine: the pod's, or the container's id."""

    started: str = ""
    taken: str = ""
    """ISO 8601, UTC."""

    live: bool = True
    ready: bool = True
    not_ready_because: tuple[str, ...] = ()
    why: str = ""
    """A sentence for each queue."""

    problems: tuple[Problem, ...] = ()
    """What is wrong, the worst first; /status concludes these and `why` from all the rest."""

    starting: str = ""
    """What the start waits for; empty once it is over."""

    draining: bool = False
    quarantine: bool = False
    """Whether a message runs alone, or is about to: nothing else begins, on any queue."""

    uptime_seconds: float = 0.0
    concurrency: int = 1
    """Permits there are."""

    permits_used: int = 0
    in_flight: int = 0
    """Messages received and not settled, of all queues."""

    queues: tuple[QueueStatus, ...] = ()
    jobs: tuple[JobStatus, ...] = ()
    upstreams: tuple[UpstreamStatus, ...] = ()
    dead_letter_causes: tuple[Cause, ...] = ()
    budget_exhausted_seconds: float = 0.0
    """Until a request to Genesys is granted, if one was asked for now."""

    budget_upstreams: tuple[str, ...] = ()
    """Those that such requests go to; jobs that ask none of them do not wait for the budget."""

    last_success_seconds_ago: float | None = None
    warnings: tuple[str, ...] = ()
    """What was found at the start."""

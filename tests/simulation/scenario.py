"""A scenario is data: what is sent, what goes wrong, and what must come of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Job:
    """A job by what its handler calls, in this order."""

    needs: tuple[str, ...]
    may_miss: tuple[str, ...] = ()
    """Called, too, and first; but no reason for a gate to close."""


JOBS: Mapping[str, Job] = {
    "voice": Job(("data_action", "dynamodb")),
    "workflow": Job(("analytics", "stepfunctions")),
    "attributes": Job(("crm", "conversations")),
    "sentiment": Job(("speech", "events", "crm_webhook")),
    "reports": Job(("analytics", "s3_reports")),
}


@dataclass(frozen=True, slots=True)
class Traffic:
    """Messages at random intervals, or `count` of them at once; times in seconds of the run."""

    job: str
    per_second: float = 0.0
    start: float = 0.0
    end: float = 0.0
    count: int = 0
    every: float = 0.0
    """Seconds between those of a count."""

    light: float = 0.0
    """Share that needs no call the budget counts."""

    fault: str = ""
    """Of each message: an upstream that fails for it, or a cause for which it is refused."""

    faulty: float = 1.0
    """Share that has the fault."""

    groups: int = 0
    """Groups of a FIFO queue."""


@dataclass(frozen=True, slots=True)
class Fault:
    """An upstream is down, or answers after so many seconds."""

    upstream: str
    start: float
    end: float
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Bug:
    """A deployment that refuses every message of a job, with one cause."""

    job: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Restart:
    """All processes are replaced: drained, or killed."""

    at: float
    kill: bool = False


@dataclass(frozen=True, slots=True)
class Expect:
    """Limits for the healthy messages of a job, or for the `faulty` ones of all."""

    job: str
    undone: int = 0
    """Neither done nor dead at the end."""

    dead: int = 0
    longest: float | None = None
    """Seconds from sent to done."""

    median: float | None = None
    most_receives: int | None = None
    receives_each: float | None = None
    """On average."""

    runs_each: float | None = None
    """Of its handler, on average."""

    receives_once_known: int | None = None
    """Of a message sent a minute or more after the first fault began."""

    back_within: float | None = None
    """Seconds after the fault's end at which the first of its backlog is done."""

    done: int = 0
    """At least."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """One play."""

    name: str
    seconds: float
    traffic: tuple[Traffic, ...]
    expect: tuple[Expect, ...]
    faults: tuple[Fault, ...] = ()
    bugs: tuple[Bug, ...] = ()
    restarts: tuple[Restart, ...] = ()
    jobs: Mapping[str, Job] = field(default_factory=lambda: JOBS)
    one_queue: bool = False
    """For all jobs; else a queue each."""

    fifo: bool = False
    replicas: int = 1
    settings: Mapping[str, str] = field(default_factory=dict)
    latency: Mapping[str, float] = field(default_factory=dict)
    timeout: float = 10.0
    fault_ends: float | None = None
    """From here on it must recover; None: nothing does."""

    most_opens: int | None = None
    seed: int = 1

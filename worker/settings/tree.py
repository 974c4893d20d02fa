"""All settings as one frozen tree, the rules between them, and what jobs declare of theirs."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from itertools import chain
from typing import TypeVar

from msgspec import Struct

from worker.settings.bindings import (
    QueueBinding,
    binding_problems,
    bindings_of,
    dead_letter_problems,
    entries_of,
)
from worker.settings.fields import Group, group, variable_name
from worker.settings.groups import (
    Aws,
    Breaker,
    Budget,
    Cache,
    Ecs,
    EventBus,
    Events,
    Genesys,
    Handler,
    Handlers,
    Idempotency,
    Log,
    Lookups,
    Ops,
    Otel,
    Retry,
    Sqs,
    Webhooks,
)

IsSet = Callable[[str], bool]
"""Asked by variable name."""


class JobSettings(Group):
    """The settings of a job: each field is the variable of that name, in upper case."""

    model_config = group("")


class Declared(Struct, frozen=True, kw_only=True):
    """What one job says of its settings."""

    name: str
    group: type[JobSettings]
    requires: tuple[str, ...]
    """Variables without which it cannot work."""

    types: tuple[str, ...]
    """Fields of the group that list the globs of its `detail-type`s."""


Declarations = Mapping[str, Declared]
"""The known jobs by name, in the order of their lists."""


def missing(jobs: Declarations, is_set: IsSet) -> dict[str, tuple[str, ...]]:
    """Return, per job, the settings it still lacks."""
    return {
        name: tuple(need for need in job.requires if not is_set(need)) for name, job in jobs.items()
    }


def own_requirements(jobs: Declarations) -> dict[str, tuple[str, ...]]:
    """Return what each job needs and no other does: one of these set means that job is wanted."""
    needed_by = Counter(need for job in jobs.values() for need in job.requires)
    return {
        name: tuple(need for need in job.requires if needed_by[need] == 1)
        for name, job in jobs.items()
    }


def half_configured(
    jobs: Declarations, lacking: Mapping[str, Sequence[str]], near_names: Mapping[str, str]
) -> dict[str, str]:
    """Return the jobs of `lacking` that are wanted and off, each with the reason.

    That is: one of the settings that only this job needs is there, or a misspelt name of one.
    `near_names`: variables that look like a misspelt setting, with that setting.
    """
    written = {meant: name for name, meant in near_names.items()}
    own = own_requirements(jobs)
    return {
        job: _why_off(job, needs, written)
        for job, needs in lacking.items()
        if any(need not in needs or need in written for need in own[job])
    }


def _why_off(job: str, lacking: Sequence[str], written: Mapping[str, str]) -> str:
    """Return the reason as dead letters carry it; `written`: settings as they were misspelt."""
    plain = [f"{need} is not set" for need in lacking if need not in written]
    misspelt = [
        f"{need} is not set; did you mean {written[need]}?" for need in lacking if need in written
    ]
    first = "; ".join([*plain, *misspelt[:1]])
    return f"job {job} is off: {' '.join([first, *misspelt[1:]])}"


def unknown_jobs(jobs: Declarations, named: Sequence[str]) -> Iterator[str]:
    """Yield a line per entry of HANDLERS that names no job."""
    for name in named:
        if name not in jobs:
            yield f"HANDLERS: {name[:80]!r} is not a job; jobs: {', '.join(jobs)}"


def unmet_needs(jobs: Declarations, named: Sequence[str], is_set: IsSet) -> Iterator[str]:
    """Yield a line per setting that a job named in HANDLERS lacks.

    With no job at all a worker would be worse than idle: every message would count as unrouted,
    and be deleted.
    """
    lacking = missing(jobs, is_set)
    for name in named:
        yield from (f"{need}: is not set — HANDLERS names {name}" for need in lacking[name])
    if not named and jobs and all(lacking.values()):
        for name, needs in lacking.items():
            yield f"HANDLERS: no job is on — {name} lacks {', '.join(needs)}"


G = TypeVar("G", bound=Group)


@dataclass(frozen=True, slots=True)
class Settings:
    """All groups, checked together: the core's, and those of the jobs."""

    sqs: Sqs
    retry: Retry
    handler: Handler
    events: Events
    genesys: Genesys
    budget: Budget
    lookups: Lookups
    idempotency: Idempotency
    webhooks: Webhooks
    event_bus: EventBus
    cache: Cache
    breaker: Breaker
    ops: Ops
    log: Log
    aws: Aws
    ecs: Ecs
    otel: Otel
    handlers: Handlers

    jobs: Mapping[str, Group] = field(default_factory=dict, hash=False, kw_only=True)
    """The settings of each known job, whether it is on or not."""

    declared: Declarations = field(default_factory=dict, hash=False, kw_only=True)
    """What the known jobs say of their settings."""

    near_names: Mapping[str, str] = field(default_factory=dict, hash=False, kw_only=True)
    """Variables of the environment that look like a misspelt setting, with that setting."""

    def of(self, kind: type[G]) -> G:
        """Return the settings of the job whose group this is. Raises KeyError without the job."""
        for one in self.jobs.values():
            if isinstance(one, kind):
                return one
        raise KeyError(kind.__name__)

    def groups(self) -> Iterator[Group]:
        """Yield all groups, in reading order."""
        return chain((getattr(self, name) for name in GROUPS), self.jobs.values())

    def queues(self) -> tuple[QueueBinding, ...]:
        """Return the queues with the jobs of each."""
        return bindings_of(self.sqs.queue_url, self.enabled_jobs())

    def dead_letter_queue_for(self, queue_url: str) -> str | None:
        """Return the URL of the dead-letter queue that serves a queue. None: there is none."""
        return self.sqs.dead_letter_queue_for(queue_url)

    @property
    def budget_table(self) -> str | None:
        """Return the table in which replicas share the request budget. None: there is none."""
        return self.budget.table or self.idempotency.table

    def enabled_jobs(self) -> tuple[str, ...]:
        """Return the jobs that run: those named, or else all whose settings are there."""
        if self.handlers.handlers:
            return self.handlers.handlers
        return tuple(job for job, needs in self.lacking().items() if not needs)

    def disabled_jobs(self) -> dict[str, tuple[str, ...]]:
        """Return the jobs that are off, each with the settings it lacks (none: not named)."""
        enabled = self.enabled_jobs()
        return {job: needs for job, needs in self.lacking().items() if job not in enabled}

    def lacking(self) -> dict[str, tuple[str, ...]]:
        """Return each known job with the settings it lacks."""
        return missing(self.declared, self._is_set)

    def job_states(self) -> dict[str, str]:
        """Return `on` for each known job, or `off` with what it lacks."""
        named = self.handlers.handlers
        return {
            name: _state(lacking, is_named=not named or name in named)
            for name, lacking in self.lacking().items()
        }

    def half_configured(self) -> dict[str, str]:
        """Return the jobs that are wanted and off, each with the reason.

        With HANDLERS there are none, as it names the jobs that are wanted.
        """
        if self.handlers.handlers:
            return {}
        return half_configured(self.declared, self.disabled_jobs(), self.near_names)

    def unused_jobs(self) -> tuple[str, ...]:
        """Return the jobs not wanted here: nothing of them is set, or HANDLERS leaves them out."""
        half = self.half_configured()
        return tuple(job for job in self.disabled_jobs() if job not in half)

    def _is_set(self, variable: str) -> bool:
        # A list of nothing is as good as none: no job that requires it could work.
        return any(value_of(group, variable) not in (None, ()) for group in self.groups())


GROUPS: dict[str, type[Group]] = {
    group.name: group.type
    for group in fields(Settings)
    if isinstance(group.type, type) and issubclass(group.type, Group)
}
"""The groups by their name in the tree, in reading order."""


def _state(lacking: Sequence[str], *, is_named: bool) -> str:
    if not is_named:
        return "off: not in HANDLERS"
    return f"off: lacks {', '.join(lacking)}" if lacking else "on"


def value_of(group: Group, variable: str) -> object:
    """Return the value of `variable` in `group`; None when it is unset or not of this group."""
    for name in type(group).model_fields:
        if variable_name(type(group), name) == variable:
            value: object = getattr(group, name)
            return value
    return None


EXTENSIONS_PER_SECOND = 200
"""Leases the heartbeat can surely extend: 20 connections, ten entries a call, one second each."""


def heartbeat_capacity(visibility_seconds: float) -> int:
    """Return how many leases one heartbeat can keep.

    Leases are extended before half of their time is gone. The round over all of them gets half of
    that: a round that takes longer meets leases which ended while they waited for their turn.
    """
    return int(EXTENSIONS_PER_SECOND * visibility_seconds / 4)


def broken_rules(
    groups: Mapping[str, Group], lacking: Mapping[str, tuple[str, ...]]
) -> Iterator[str]:
    """Yield a line for each broken rule; a rule whose groups did not load is not checked.

    `lacking`: each known job with the settings it lacks.
    """
    for rule in (_drain, _heartbeat, _dead_letters, _genesys, _fleet, _backoff):
        yield from rule(groups)
    yield from _bindings(groups, lacking)


def _bindings(groups: Mapping[str, Group], lacking: Mapping[str, tuple[str, ...]]) -> Iterator[str]:
    match groups:
        case {"sqs": Sqs() as sqs, "handlers": Handlers(handlers=named)}:
            on = named or tuple(job for job, needs in lacking.items() if not needs)
            entries = entries_of(sqs.queue_url)
            for problem in binding_problems(entries, lacking, on) if on else ():
                yield f"SQS_QUEUE_URL: {problem}"
            if len(entries) > sqs.concurrency:
                yield (
                    f"SQS_CONCURRENCY: must be at least {len(entries)}, the number of queues in "
                    "SQS_QUEUE_URL — each is polled on a permit of its own"
                )


def _dead_letters(groups: Mapping[str, Group]) -> Iterator[str]:
    match groups:
        case {"sqs": Sqs() as sqs}:
            entries = entries_of(sqs.queue_url)
            dead_letters = entries_of(sqs.dead_letter_queue_url or "")
            for problem in dead_letter_problems(entries, dead_letters):
                yield f"SQS_DEAD_LETTER_QUEUE_URL: {problem}"


def _drain(groups: Mapping[str, Group]) -> Iterator[str]:
    match groups:
        case {"sqs": Sqs() as sqs} if sqs.wait_seconds >= sqs.drain_seconds:
            yield (
                "SQS_WAIT_SECONDS: must be less than SQS_DRAIN_SECONDS — a running poll is never "
                "cut, so it would eat the whole shutdown"
            )


def _heartbeat(groups: Mapping[str, Group]) -> Iterator[str]:
    match groups:
        case {"sqs": Sqs(visibility_seconds=int(visibility)) as sqs}:
            if sqs.concurrency > (capacity := heartbeat_capacity(visibility)):
                yield (
                    f"SQS_CONCURRENCY: must be at most {capacity} with this SQS_VISIBILITY_SECONDS "
                    "— the heartbeat could not extend more leases in time"
                )


def _genesys(groups: Mapping[str, Group]) -> Iterator[str]:
    match groups:
        case {"genesys": Genesys() as genesys, "handler": Handler() as handler}:
            if genesys.deadline_seconds >= handler.deadline_seconds:
                yield (
                    "GENESYS_DEADLINE_SECONDS: must be less than HANDLER_DEADLINE_SECONDS — the "
                    "handler would be cancelled before the call gives up"
                )
            if genesys.timeout_seconds > genesys.deadline_seconds:
                yield "GENESYS_TIMEOUT_SECONDS: must not exceed GENESYS_DEADLINE_SECONDS"


def _fleet(groups: Mapping[str, Group]) -> Iterator[str]:
    match groups:
        case {
            "genesys": Genesys(fleet_requests_per_minute=int()),
            "budget": Budget(table=None),
            "idempotency": Idempotency(table=None),
        }:
            yield (
                "GENESYS_FLEET_REQUESTS_PER_MINUTE: needs BUDGET_TABLE or LEDGER_TABLE — replicas "
                "share the budget there"
            )


def _backoff(groups: Mapping[str, Group]) -> Iterator[str]:
    match groups:
        case {"retry": Retry() as retry} if retry.base_seconds > retry.cap_seconds:
            yield "RETRY_BASE_SECONDS: must not exceed RETRY_CAP_SECONDS"

"""All settings as one frozen tree."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from itertools import chain
from typing import TypeVar

from worker.settings.bindings import QueueBinding, bindings_of
from worker.settings.fields import Group, variable_name
from worker.settings.jobs import Declarations, half_configured, missing
from worker.settings.process import Aws, Ecs, Handlers, Log, Ops, Otel
from worker.settings.queue import Events, Handler, Retry, Sqs
from worker.settings.upstreams import (
    Breaker,
    Cache,
    EventBus,
    Genesys,
    Idempotency,
    Lookups,
    Webhooks,
)

G = TypeVar("G", bound=Group)


@dataclass(frozen=True, slots=True)
class Settings:
    """All groups, checked together: the core's, and those of the jobs."""

    sqs: Sqs
    retry: Retry
    handler: Handler
    events: Events
    genesys: Genesys
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
        for group in self.jobs.values():
            if isinstance(group, kind):
                return group
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


def value_of(group: Group, variable: str) -> object:
    """Return the value of `variable` in `group`; None when it is unset or not of this group."""
    for name in type(group).model_fields:
        if variable_name(type(group), name) == variable:
            value: object = getattr(group, name)
            return value
    return None

"""All settings as one frozen tree."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields

from worker.settings.attributes import Attributes, Crm, Webhooks
from worker.settings.bindings import QueueBinding, bindings_of
from worker.settings.fields import Group
from worker.settings.forwarding import Alert, EventBus, Sentiment, StepFunctions, Workflow
from worker.settings.ledger import Ledger
from worker.settings.process import OWN_NEEDS, Aws, Ecs, Handlers, Log, Ops, Otel, missing_needs
from worker.settings.queue import Events, Handler, Retry, Sqs
from worker.settings.reports import Report
from worker.settings.upstreams import Breaker, Cache, DynamoDb, Genesys, Voice


@dataclass(frozen=True, slots=True)
class Settings:
    """All groups, checked together."""

    sqs: Sqs
    retry: Retry
    handler: Handler
    events: Events
    genesys: Genesys
    voice: Voice
    dynamodb: DynamoDb
    ledger: Ledger
    attributes: Attributes
    crm: Crm
    webhooks: Webhooks
    workflow: Workflow
    step_functions: StepFunctions
    sentiment: Sentiment
    event_bus: EventBus
    alert: Alert
    report: Report
    cache: Cache
    breaker: Breaker
    ops: Ops
    log: Log
    aws: Aws
    ecs: Ecs
    otel: Otel
    handlers: Handlers

    near_names: Mapping[str, str] = field(default_factory=dict, hash=False, kw_only=True)
    """Variables of the environment that look like a misspelt setting, with that setting."""

    def queues(self) -> tuple[QueueBinding, ...]:
        """Return the queues with the jobs of each."""
        return bindings_of(self.sqs.queue_url, self.enabled_handlers())

    def dead_letter_queue_for(self, queue_url: str) -> str | None:
        """Return the URL of the dead-letter queue that serves a queue. None: there is none."""
        return self.sqs.dead_letter_queue_for(queue_url)

    def enabled_handlers(self) -> tuple[str, ...]:
        """Return the handlers that run: those named, or else all whose settings are there."""
        if self.handlers.handlers:
            return self.handlers.handlers
        missing = missing_needs(self._is_set)
        return tuple(handler for handler, needs in missing.items() if not needs)

    def disabled_handlers(self) -> dict[str, tuple[str, ...]]:
        """Return the handlers that are off, each with the settings it lacks (none: not named)."""
        enabled = self.enabled_handlers()
        missing = missing_needs(self._is_set)
        return {handler: needs for handler, needs in missing.items() if handler not in enabled}

    def half_configured(self) -> dict[str, str]:
        """Return the jobs that somebody wanted and that are off, each with the reason.

        That is: one of the settings that only this job needs is there, or a misspelt name of one.
        With HANDLERS there are none, as it names the jobs that are wanted.
        """
        if self.handlers.handlers:
            return {}
        written = {meant: name for name, meant in self.near_names.items()}
        return {
            job: _why_off(job, lacking, written)
            for job, lacking in self.disabled_handlers().items()
            if any(need not in lacking or need in written for need in OWN_NEEDS[job])
        }

    def unused_jobs(self) -> tuple[str, ...]:
        """Return the jobs not wanted here: nothing of them is set, or HANDLERS leaves them out."""
        half = self.half_configured()
        return tuple(job for job in self.disabled_handlers() if job not in half)

    def _is_set(self, variable: str) -> bool:
        return any(value_of(getattr(self, name), variable) is not None for name in GROUPS)


def _why_off(job: str, lacking: Sequence[str], written: Mapping[str, str]) -> str:
    """Return the reason as dead letters carry it; `written`: settings as somebody misspelt them."""
    plain = [f"{need} is missing" for need in lacking if need not in written]
    misspelt = [
        f"{need} is missing; did you mean {written[need]}?" for need in lacking if need in written
    ]
    first = "; ".join([*plain, *misspelt[:1]])
    return f"job {job} is off: {' '.join([first, *misspelt[1:]])}"


GROUPS: dict[str, type[Group]] = {
    group.name: group.type
    for group in fields(Settings)
    if isinstance(group.type, type) and issubclass(group.type, Group)
}
"""The groups by their name in the tree, in reading order."""


def variable_name(kind: type[Group], field: str) -> str:
    """Return the environment variable of a field, e.g. `SQS_QUEUE_URL`."""
    return f"{kind.model_config.get('env_prefix', '')}{field}".upper()


def value_of(group: Group, variable: str) -> object:
    """Return the value of `variable` in `group`; None when it is unset or not of this group."""
    for name in type(group).model_fields:
        if variable_name(type(group), name) == variable:
            value: object = getattr(group, name)
            return value
    return None

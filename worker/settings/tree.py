"""All settings as one frozen tree."""

from dataclasses import dataclass, fields

from worker.settings.attributes import Attributes, Crm, Webhooks
from worker.settings.bindings import QueueBinding, bindings_of
from worker.settings.fields import Group
from worker.settings.forwarding import Alert, EventBus, Sentiment, StepFunctions, Workflow
from worker.settings.ledger import Ledger
from worker.settings.process import Aws, Ecs, Handlers, Log, Ops, Otel, missing_needs
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

    def _is_set(self, variable: str) -> bool:
        return any(value_of(getattr(self, name), variable) is not None for name in GROUPS)


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

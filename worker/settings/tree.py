"""All settings as one frozen tree."""

from dataclasses import dataclass, fields

from worker.settings.attributes import Attributes, Crm, Webhooks
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


GROUPS: dict[str, type[Group]] = {field.name: field.type for field in fields(Settings)}  # type: ignore[misc]  # the annotations are classes
"""The groups by their name in the tree, in reading order."""


def variable_name(kind: type[Group], field: str) -> str:
    """Return the environment variable of a field, e.g. `SQS_QUEUE_URL`."""
    return f"{kind.model_config.get('env_prefix', '')}{field}".upper()


def value_of(group: Group, variable: str) -> object:
    """Return the value of `variable` in `group`; None when it is unset or not of this group."""
    for field in type(group).model_fields:
        if variable_name(type(group), field) == variable:
            value: object = getattr(group, field)
            return value
    return None

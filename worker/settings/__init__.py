"""Every setting, from the environment only; nothing else reads `os.environ`.

Each group is a model whose fields are documented in place: `worker settings` and README's table
are made of these docstrings. All bad fields are reported at once, and never with a value.
"""

from worker.settings.bindings import Entry as QueueEntry
from worker.settings.bindings import QueueBinding, is_fifo, queue_url
from worker.settings.bindings import entries_of as queue_entries
from worker.settings.bindings import name_of as queue_name
from worker.settings.describe import REQUIRED, Row, describe
from worker.settings.fields import (
    BearerToken,
    Globs,
    Group,
    Seconds,
    Url,
    Uuid,
    is_loopback,
    variable_name,
)
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
    ReferenceText,
    Retry,
    Sqs,
    Webhooks,
)
from worker.settings.load import (
    groups_of,
    load_group,
    load_groups,
    load_settings,
    unknown_settings,
)
from worker.settings.tree import (
    GROUPS,
    Declarations,
    Declared,
    JobSettings,
    Settings,
    heartbeat_capacity,
    own_requirements,
    unknown_jobs,
    value_of,
)

__all__ = [
    "GROUPS",
    "REQUIRED",
    "Aws",
    "BearerToken",
    "Breaker",
    "Budget",
    "Cache",
    "Declarations",
    "Declared",
    "Ecs",
    "EventBus",
    "Events",
    "Genesys",
    "Globs",
    "Group",
    "Handler",
    "Handlers",
    "Idempotency",
    "JobSettings",
    "Log",
    "Lookups",
    "Ops",
    "Otel",
    "QueueBinding",
    "QueueEntry",
    "ReferenceText",
    "Retry",
    "Row",
    "Seconds",
    "Settings",
    "Sqs",
    "Url",
    "Uuid",
    "Webhooks",
    "describe",
    "groups_of",
    "heartbeat_capacity",
    "is_fifo",
    "is_loopback",
    "load_group",
    "load_groups",
    "load_settings",
    "own_requirements",
    "queue_entries",
    "queue_name",
    "queue_url",
    "unknown_jobs",
    "unknown_settings",
    "value_of",
    "variable_name",
]

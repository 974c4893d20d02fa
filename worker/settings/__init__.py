"""Every setting, from the environment only; nothing else reads `os.environ`.

Each group is a model whose fields are documented in place: `worker settings` and README's table
are made of these docstrings. All bad fields are reported at once, and never with a value.
"""

from worker.settings.bindings import QueueBinding
from worker.settings.describe import Row, describe
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
from worker.settings.jobs import (
    Declarations,
    Declared,
    JobSettings,
    own_requirements,
    unknown_jobs,
)
from worker.settings.load import groups_of, load_group, load_groups, load_settings, unknown_settings
from worker.settings.process import Aws, Ecs, Handlers, Log, Ops, Otel
from worker.settings.queue import Events, Handler, Retry, Sqs
from worker.settings.rules import heartbeat_capacity
from worker.settings.tree import GROUPS, Settings
from worker.settings.upstreams import (
    Breaker,
    Cache,
    EventBus,
    Genesys,
    Idempotency,
    Lookups,
    Webhooks,
)

__all__ = [
    "GROUPS",
    "Aws",
    "BearerToken",
    "Breaker",
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
    "is_loopback",
    "load_group",
    "load_groups",
    "load_settings",
    "own_requirements",
    "unknown_jobs",
    "unknown_settings",
    "variable_name",
]

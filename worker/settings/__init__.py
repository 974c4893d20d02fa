"""Every setting, from the environment only; nothing else reads `os.environ`.

Each group is a model whose fields are documented in place: `worker settings` and README's table
are made of these docstrings. All bad fields are reported at once, and never with a value.
"""

from worker.settings.attributes import Attributes, Crm, Webhooks
from worker.settings.bindings import QueueBinding
from worker.settings.describe import Row, describe
from worker.settings.fields import Globs, Group, Seconds, Url, is_loopback
from worker.settings.forwarding import Alert, EventBus, Sentiment, StepFunctions, Workflow
from worker.settings.job_types import jobs_of_type
from worker.settings.ledger import Ledger
from worker.settings.load import load_group, load_groups, load_settings, unknown_settings
from worker.settings.process import HANDLER_NEEDS, OWN_NEEDS, Aws, Ecs, Handlers, Log, Ops, Otel
from worker.settings.queue import Events, Handler, Retry, Sqs
from worker.settings.reports import Report
from worker.settings.rules import heartbeat_capacity
from worker.settings.tree import GROUPS, Settings, variable_name
from worker.settings.upstreams import Breaker, Cache, DynamoDb, Genesys, Voice

__all__ = [
    "GROUPS",
    "HANDLER_NEEDS",
    "OWN_NEEDS",
    "Alert",
    "Attributes",
    "Aws",
    "Breaker",
    "Cache",
    "Crm",
    "DynamoDb",
    "Ecs",
    "EventBus",
    "Events",
    "Genesys",
    "Globs",
    "Group",
    "Handler",
    "Handlers",
    "Ledger",
    "Log",
    "Ops",
    "Otel",
    "QueueBinding",
    "Report",
    "Retry",
    "Row",
    "Seconds",
    "Sentiment",
    "Settings",
    "Sqs",
    "StepFunctions",
    "Url",
    "Voice",
    "Webhooks",
    "Workflow",
    "describe",
    "heartbeat_capacity",
    "is_loopback",
    "jobs_of_type",
    "load_group",
    "load_groups",
    "load_settings",
    "unknown_settings",
    "variable_name",
]

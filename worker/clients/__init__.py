"""Everything that leaves the process: HTTP here, AWS and Genesys Cloud in packages of their own."""

from worker.clients.ecs import AGENT_LIMITS, TaskProtection, expiry_minutes
from worker.clients.ecs import EFFECT as TASK_PROTECTION
from worker.clients.http import HttpClient, HttpLimits, HttpService, Sender
from worker.clients.http_types import (
    Reply,
    Request,
    failure_of,
    json_of,
    origin_of,
    path_of,
)
from worker.clients.webhooks import WEBHOOK_LIMITS, Webhook, reach

__all__ = [
    "AGENT_LIMITS",
    "TASK_PROTECTION",
    "WEBHOOK_LIMITS",
    "HttpClient",
    "HttpLimits",
    "HttpService",
    "Reply",
    "Request",
    "Sender",
    "TaskProtection",
    "Webhook",
    "expiry_minutes",
    "failure_of",
    "json_of",
    "origin_of",
    "path_of",
    "reach",
]

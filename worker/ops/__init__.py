"""What operators see: /, /metrics, /livez, /readyz, /status."""

from worker.ops.health import Check, Health
from worker.ops.server import OpsServer
from worker.ops.status import Status, counted

__all__ = [
    "Check",
    "Health",
    "OpsServer",
    "Status",
    "counted",
]

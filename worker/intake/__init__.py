"""From an SQS message to its end; `consumer.py` is where to start reading."""

from worker.intake.assembly import Intake, QueueStatusReader, assemble
from worker.intake.consumer import DrainReport
from worker.intake.delivery import Delivery
from worker.intake.idempotency import Idempotency
from worker.intake.job_state import IDEMPOTENCY, Jobs
from worker.intake.poller import most_pollers
from worker.intake.queue import OpenQueue
from worker.intake.router import Reading, Route, Routes, Unrouted
from worker.intake.settlement import LAST_HORIZON

__all__ = [
    "IDEMPOTENCY",
    "LAST_HORIZON",
    "Delivery",
    "DrainReport",
    "Idempotency",
    "Intake",
    "Jobs",
    "OpenQueue",
    "QueueStatusReader",
    "Reading",
    "Route",
    "Routes",
    "Unrouted",
    "assemble",
    "most_pollers",
]

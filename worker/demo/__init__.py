"""The whole worker on emulators, verified at the end; and what tests and jobs may import of it."""

from worker.demo.environment import LEDGER_TABLE, Environment, open_environment
from worker.demo.fixtures import make_fixtures
from worker.demo.process import WorkerFailed, WorkerProcess
from worker.demo.traffic import Effects, Fault, Planned, an_id, envelope, iso, platform
from worker.demo.traffic import Job as Demo

__all__ = [
    "LEDGER_TABLE",
    "Demo",
    "Effects",
    "Environment",
    "Fault",
    "Planned",
    "WorkerFailed",
    "WorkerProcess",
    "an_id",
    "envelope",
    "iso",
    "make_fixtures",
    "open_environment",
    "platform",
]

"""The whole worker on emulators, verified at the end; and what tests and jobs may import of it.

A job's `demo` module imports this and `worker.api` alone, be it in the box or of an own package.
"""

from worker.demo.environment import (
    FLOW_ID,
    FORWARD_BUCKET,
    LEDGER_TABLE,
    REPORT_BUCKET,
    STATE_MACHINE_ARN,
    TABLE,
    Environment,
    open_environment,
)
from worker.demo.fixtures import make_fixtures, put_events
from worker.demo.process import WorkerFailed, WorkerProcess, run_command
from worker.demo.traffic import Effects, Fault, Planned, an_id, envelope, iso, leg, platform
from worker.demo.traffic import Job as Demo
from worker.emulators.genesys import (
    Ended,
    History,
    MadeUp,
    Named,
    Past,
    Spoken,
    a_conversation,
    a_flow,
    a_transcript,
    as_platform,
)

__all__ = [
    "FLOW_ID",
    "FORWARD_BUCKET",
    "LEDGER_TABLE",
    "REPORT_BUCKET",
    "STATE_MACHINE_ARN",
    "TABLE",
    "Demo",
    "Effects",
    "Ended",
    "Environment",
    "Fault",
    "History",
    "MadeUp",
    "Named",
    "Past",
    "Planned",
    "Spoken",
    "WorkerFailed",
    "WorkerProcess",
    "a_conversation",
    "a_flow",
    "a_transcript",
    "an_id",
    "as_platform",
    "envelope",
    "iso",
    "leg",
    "make_fixtures",
    "open_environment",
    "platform",
    "put_events",
    "run_command",
]

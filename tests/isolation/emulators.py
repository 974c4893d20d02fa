"""All that the scenarios take of the package under test: its emulators, and nothing else.

One place, so that they may move. The worker itself is a process: it is known by its settings, its
pages, its exit code, and by what the emulators and the queue's journal saw of it.
"""

from tests.chaos.effects import Effect, Request
from tests.chaos.wiretap import Wiretap
from worker.demo.genesys.ended import Ended, Spoken, a_conversation, a_transcript
from worker.demo.genesys.flows import a_flow
from worker.demo.genesys.history import DAY_MS, History, MadeUp
from worker.demo.genesys.replies import error_body
from worker.demo.jobs.envelopes import envelope, iso, leg, platform
from worker.demo.sqs.faults import ACCESS_DENIED, FaultPlan, Refuse, When
from worker.demo.sqs.message import Message
from worker.demo.sqs.server import SqsServer
from worker.demo.stage import (
    FLOW_ID,
    LEDGER_TABLE,
    REPORT_BUCKET,
    TABLE,
    Stage,
    make_queue,
    open_stage,
)
from worker.demo.surroundings import make_surroundings

__all__ = (
    "ACCESS_DENIED",
    "DAY_MS",
    "FLOW_ID",
    "LEDGER_TABLE",
    "REPORT_BUCKET",
    "TABLE",
    "Effect",
    "Ended",
    "FaultPlan",
    "History",
    "MadeUp",
    "Message",
    "Refuse",
    "Request",
    "Spoken",
    "SqsServer",
    "Stage",
    "When",
    "Wiretap",
    "a_conversation",
    "a_flow",
    "a_transcript",
    "envelope",
    "error_body",
    "iso",
    "leg",
    "make_queue",
    "make_surroundings",
    "open_stage",
    "platform",
)

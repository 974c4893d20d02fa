"""All that the scenarios take of the package under test: its emulators, and nothing else.

One place, so that they may move. The worker itself is a process: it is known by its settings, its
pages, its exit code, and by what the emulators and the queue's journal saw of it.
"""

from tests.chaos.effects import Effect, Request
from tests.chaos.wiretap import Wiretap
from worker.demo import envelope, iso, leg, platform
from worker.demo.environment import (
    FLOW_ID,
    LEDGER_TABLE,
    REPORT_BUCKET,
    TABLE,
    Environment,
    make_fixtures,
    make_queue,
    open_environment,
)
from worker.emulators.genesys.cloud import Ended, Spoken, a_conversation, a_transcript
from worker.emulators.genesys.conversations import a_flow
from worker.emulators.genesys.history import DAY_MS, History, MadeUp
from worker.emulators.genesys.replies import error_body
from worker.emulators.sqs import SqsServer
from worker.emulators.sqs.control import ACCESS_DENIED, FaultPlan, Refuse, When
from worker.emulators.sqs.model import Message

__all__ = (
    "ACCESS_DENIED",
    "DAY_MS",
    "FLOW_ID",
    "LEDGER_TABLE",
    "REPORT_BUCKET",
    "TABLE",
    "Effect",
    "Ended",
    "Environment",
    "FaultPlan",
    "History",
    "MadeUp",
    "Message",
    "Refuse",
    "Request",
    "Spoken",
    "SqsServer",
    "When",
    "Wiretap",
    "a_conversation",
    "a_flow",
    "a_transcript",
    "envelope",
    "error_body",
    "iso",
    "leg",
    "make_fixtures",
    "make_queue",
    "open_environment",
    "platform",
)

"""Executions of the state machine: what each starts with, and the client that starts it."""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from hashlib import sha256
from typing import Any, Self

import orjson
import structlog

from worker.api import (
    AwsService,
    NotYet,
    Permanent,
    Rejected,
    Result,
    seconds_to_next_poll,
    tracing,
    utc_text,
)
from worker.jobs.workflow.events import ConversationEnded

MAX_INPUT_BYTES = 262_144
"""StartExecution's limit; https://docs.aws.amazon.com/step-functions/latest/apireference."""

log = structlog.get_logger(__name__)

_NAME = re.compile(r"[A-Za-z0-9_-]{1,80}")
"""What an execution may be called; Step Functions allows more than that, its logs do not."""


class DetailsStatus(StrEnum):
    """How much is known of the conversation."""

    COMPLETE = "complete"
    PARTIAL = "partial"
    """Its end did not show in analytics within the time given."""


@dataclass(frozen=True, slots=True)
class Execution:
    """One execution to be started; the name makes a second start of it harmless."""

    name: str
    input: Mapping[str, Any]

    def encoded(self) -> bytes:
        """Return the input as canonical JSON: Step Functions takes other bytes for another run."""
        return orjson.dumps(self.input, option=orjson.OPT_SORT_KEYS)

    def fits(self) -> bool:
        """Return whether StartExecution takes the input as it is."""
        return len(self.encoded()) <= MAX_INPUT_BYTES

    def details_key(self) -> str:
        """Return the S3 key for details that do not fit: the same on every repeat."""
        return f"call-details/{self.name}.json"

    def encoded_details(self) -> bytes:
        """Return `callDetails` alone, as canonical JSON."""
        return orjson.dumps(self.input["callDetails"], option=orjson.OPT_SORT_KEYS)

    def with_details_at(self, location: Mapping[str, str]) -> Self:
        """Return the same execution with `callDetails` replaced by where they are."""
        return type(self)(self.name, {**self.input, "callDetails": {"s3": dict(location)}})


def details_status(
    details: Mapping[str, Any] | None, *, age_seconds: float, settle_seconds: float
) -> DetailsStatus:
    """Classify what analytics knows; raise NotYet while waiting may still bring more."""
    if details is not None and details.get("conversationEnd"):
        return DetailsStatus.COMPLETE
    wait = seconds_to_next_poll(age_seconds, settle_seconds=settle_seconds)
    if wait is None:
        return DetailsStatus.PARTIAL
    what = "the conversation" if details is None else "its conversationEnd"
    raise NotYet(f"analytics does not show {what} yet", retry_after=wait)


def execution_of(
    event: ConversationEnded,
    details: Mapping[str, Any] | None,
    *,
    status: DetailsStatus,
    steps: Sequence[str],
) -> Execution:
    """Return the execution for the event; details that never came are an empty object.

    Raises Permanent for a conversation id that cannot be part of a name.
    """
    ended_at = details.get("conversationEnd") if details else None
    if status is DetailsStatus.PARTIAL or ended_at is None:
        ended_at = utc_text(event.origin.occurred_at)
    return Execution(
        _name_of(event, ended_at),
        {
            "conversationId": event.conversation_id,
            "timestamp": utc_text(event.origin.occurred_at),
            "callDetails": {} if details is None else details,
            "detailsStatus": status.value,
            "enrichmentSteps": list(steps),
            "correlationId": event.origin.correlation_id,
        },
    )


def name_prefix(conversation_id: str) -> str:
    """Return what the names of all executions of the conversation begin with."""
    return f"enrich_{conversation_id}_"


def conversation_of(name: str) -> str:
    """Return the conversation of an execution, in lower case; of others' names nothing of use."""
    return name.removeprefix("enrich_").rpartition("_")[0].lower()


def _name_of(event: ConversationEnded, ended_at: str) -> str:
    """Name the end of the conversation, and not the event: each customer leg has an event.

    Transfers and conferences end legs; a message conversation that reopens ends twice.
    """
    end = f"{event.origin.organization_id or ''}|{event.conversation_id.lower()}|{ended_at}"
    name = name_prefix(event.conversation_id) + sha256(end.encode()).hexdigest()[:8]
    if not _NAME.fullmatch(name):
        raise Permanent("conversationId: cannot name an execution")
    return name


STARTED_BEFORE = "ExecutionAlreadyExists"


Once = Callable[..., Awaitable[Result]]
"""`Context.once`."""

EXPRESS = ":express:"
"""In the ARN of an execution, in place of `:execution:`."""


class Workflows:
    """The executions of one state machine."""

    def __init__(
        self, stepfunctions: AwsService, state_machine_arn: str, once: Once | None = None
    ) -> None:
        """`once`: of a state machine of type EXPRESS, which takes a name twice."""
        self._stepfunctions = stepfunctions
        self._arn = state_machine_arn
        self._once = once
        self._is_reported = False

    async def start(self, execution: Execution) -> bool:
        """Start it; False when it was started before: names are kept for 90 days.

        A start whose execution still runs with the same input answers True again. Raises Rejected
        for an input that Step Functions does not take, Transient for everything else.
        """
        if self._once is None:
            return await self._stepfunctions.guard.call(partial(self._start, execution))
        conversation = str(execution.input["conversationId"])
        run = partial(self._start_express, execution)
        result = await self._once(execution.name, run, conversation_id=conversation)
        return result is not Result.DUPLICATE

    async def _start_express(self, execution: Execution) -> Result:
        # Not repeated at once: after a lost reply that would be a second execution.
        call = self._stepfunctions.guard.call
        await call(partial(self._start, execution), repeatable=False)
        return Result.OK

    async def _start(self, execution: Execution) -> bool:
        # Not by `call`: the header names the span of this very call, which the guard begins.
        header = tracing().trace_header()
        try:
            with self._stepfunctions.errors():
                reply = await self._stepfunctions.client.start_execution(
                    stateMachineArn=self._arn,
                    name=execution.name,
                    input=execution.encoded().decode(),
                    **({"traceHeader": header} if header else {}),
                )
        except Rejected as refusal:
            if refusal.code == STARTED_BEFORE:
                return False
            raise
        if self._once is None and EXPRESS in reply.get("executionArn", ""):
            self._report_express()
        return True

    def _report_express(self) -> None:
        """Say that repeats start second executions; once, as it is so with every event."""
        if not self._is_reported:
            self._is_reported = True
            log.error("state_machine_is_express", remedy="set STEP_FUNCTIONS_TYPE=EXPRESS")


class DetailsStore:
    """One bucket. Keys derive from events, so a repeat overwrites its own object."""

    def __init__(self, s3: AwsService, bucket: str | None) -> None:
        """`bucket` None: there is nowhere to put them."""
        self._s3 = s3
        self._bucket = bucket

    async def put(self, key: str, content: bytes) -> Mapping[str, str]:
        """Store JSON and return its location; Permanent when no bucket is set."""
        if self._bucket is None:
            raise Permanent("callDetails: too large, and WORKFLOW_DETAILS_BUCKET is not set")
        location = {"bucket": self._bucket, "key": key}
        await self._s3.call(
            "put_object",
            Bucket=self._bucket,
            Key=key,
            Body=content,
            ContentType="application/json",
        )
        return location

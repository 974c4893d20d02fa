"""What commands ask for the workflow: its state machine, its bucket, the ends it has missed."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from worker.api import (
    AwsService,
    ClientLimits,
    ConfigurationError,
    Context,
    Finding,
    Interval,
    Json,
    Lost,
    RateLimited,
    Trace,
    TraceEntry,
    instant,
    probes,
    utc_text,
)
from worker.jobs.workflow import WorkflowSettings
from worker.jobs.workflow.executions import Execution, conversation_of, name_prefix

STATE_MACHINE = probes.Probe(
    name="state machine",
    action="states:StartExecution",
    setting="STEP_FUNCTIONS_ARN",
    # https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html
    refusal="InvalidExecutionInput",
    found="exists, and may be started",
    taken="started an execution it should have refused",
    remedy=f"stop the execution {probes.MARK}",
)

DETAILS = "call details bucket"
"""Name of a finding."""

DETAILS_KEY = Execution(probes.MARK, {}).details_key()
"""A key as the handler makes them: permissions are granted by prefix."""


async def check_state_machine(context: Context, settings: WorkflowSettings) -> list[Finding]:
    """Try to start an execution of an input that no execution can have."""
    stepfunctions = await context.aws("stepfunctions", setting=STATE_MACHINE.setting)
    call = stepfunctions.client.start_execution(
        stateMachineArn=settings.step_functions_arn or "", name=probes.MARK, input=probes.NO_JSON
    )
    return [await probes.run(STATE_MACHINE, call)]


async def check_details_bucket(context: Context, settings: WorkflowSettings) -> list[Finding]:
    """Try to write call details, where there is a bucket for them."""
    bucket = settings.workflow_details_bucket
    if not bucket:
        return []
    s3 = await context.aws("s3", setting="WORKFLOW_DETAILS_BUCKET")
    return [await probes.put_object(DETAILS, s3, bucket, DETAILS_KEY)]


PAGE = 1000
MAX_PAGES = 50
"""Half a minute of calls at the quota of ListExecutions, which refills by five a second.
https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html."""


async def trace(context: Context, settings: WorkflowSettings, conversation_id: str) -> list[Trace]:
    """Look for the executions of a conversation, by name, among the latest of the state machine.

    A list is all there is to ask: names end in a hash of the conversation's end, which is not
    known here, and ListExecutions knows no prefix.
    """
    arn, prefix = settings.step_functions_arn or "", name_prefix(conversation_id)
    where = f"state machine {arn.rpartition(':')[2]}"
    if settings.step_functions_type == "EXPRESS":
        return [Trace(where=where, entries=[], note="executions of EXPRESS ones cannot be listed")]
    stepfunctions = await context.aws("stepfunctions", setting=STATE_MACHINE.setting)
    latest, are_all = await _latest(stepfunctions, arn)
    entries = [_traced(one) for one in latest if one["name"].startswith(prefix)]
    note = f"the latest {MAX_PAGES * PAGE:,} executions were searched, and there are more"
    return [Trace(where=where, entries=entries, note="" if are_all else note)]


async def _latest(stepfunctions: AwsService, arn: str) -> tuple[list[Mapping[str, Any]], bool]:
    """Return the latest executions, and whether there are no others."""
    latest: list[Mapping[str, Any]] = []
    after: str | None = None
    for _ in range(MAX_PAGES):
        found, after = await _page(stepfunctions, arn, after)
        latest += found
        if after is None:
            return latest, True
    return latest, False


async def _page(
    stepfunctions: AwsService, arn: str, after: str | None
) -> tuple[list[Mapping[str, Any]], str | None]:
    more = {"nextToken": after} if after else {}
    page = await stepfunctions.call("list_executions", stateMachineArn=arn, maxResults=PAGE, **more)
    return page["executions"], page.get("nextToken")


def _traced(execution: Mapping[str, Any]) -> TraceEntry:
    return TraceEntry(
        time=execution["startDate"],
        what="execution",
        id=execution["name"],
        state=execution["status"],
    )


KEPT = timedelta(days=90)
"""For how long Step Functions keeps what it executed, and its name.
https://docs.aws.amazon.com/step-functions/latest/dg/service-quotas.html."""

LISTING = ClientLimits(pool=2, read_seconds=10, attempts=5)
LONGEST_WAIT_SECONDS = 300.0
"""For a page of the list, whose quota others may use up."""


async def backfill(
    context: Context, settings: WorkflowSettings, interval: Interval
) -> Callable[[Sequence[Json]], Awaitable[list[Lost]]]:
    """Return what finds the customers' conversations that ended and have no execution since.

    By the list of executions, and not by their names one by one: a name ends in a hash of an end,
    which analytics corrects for days, or of an event's time where the end was not known by then.
    Raises ConfigurationError for an interval of which no executions are kept.
    """
    if interval.start < context.now() - KEPT:
        raise ConfigurationError(["--from: Step Functions keeps executions for 90 days only"])
    stepfunctions = await context.aws("stepfunctions", LISTING, setting=STATE_MACHINE.setting)
    arn = settings.step_functions_arn or ""
    started: dict[str, datetime] = {}
    async for one in _executions_since(stepfunctions, arn, interval.start):
        # The latest is the first of a conversation.
        started.setdefault(conversation_of(one["name"]), one["startDate"])

    async def lost(conversations: Sequence[Json]) -> list[Lost]:
        found = [_event(one) for one in conversations if _has_customer(one)]
        return [
            one
            for one in found
            # One of before is of an earlier end: message conversations reopen.
            if (start := started.get(one.conversation_id.lower())) is None or start < one.time
        ]

    return lost


async def _executions_since(
    stepfunctions: AwsService, arn: str, since: datetime
) -> AsyncIterator[Mapping[str, Any]]:
    """Yield executions, the latest first; it is all that the list can be asked for."""
    after: str | None = None
    while True:
        page, after = await _listed(stepfunctions, arn, after)
        for one in page:
            if one["startDate"] < since:
                return
            yield one
        if after is None:
            return


async def _listed(
    stepfunctions: AwsService, arn: str, after: str | None
) -> tuple[list[Mapping[str, Any]], str | None]:
    waited, pause = 0.0, 1.0
    while True:
        try:
            return await _page(stepfunctions, arn, after)
        except RateLimited:
            if waited >= LONGEST_WAIT_SECONDS:
                raise
        await asyncio.sleep(pause)
        waited, pause = waited + pause, min(30.0, pause * 2)


def _event(conversation: Json) -> Lost:
    """Return the end as the flat form has it, which no other job reads."""
    conversation_id = str(conversation["conversationId"])
    ended = instant(conversation["conversationEnd"])
    return Lost(
        key=f"{conversation_id}|{utc_text(ended)}",
        conversation_id=conversation_id,
        detail_type="conversation.end",
        detail={"conversationId": conversation_id, "timestamp": utc_text(ended)},
        time=ended,
    )


def _has_customer(conversation: Json) -> bool:
    """Return whether it ended for a customer: of calls among colleagues no end is sent."""
    participants = conversation.get("participants") or ()
    return any(str(one.get("purpose")).lower() == "customer" for one in participants)

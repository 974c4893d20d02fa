"""Conversation workflow: a conversation's end starts an execution in Step Functions."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from worker.api import Bucket, ClientLimits, Context, EventType, Globs, Job, JobSettings, Seconds
from worker.jobs.workflow.events import ConversationEnded, from_platform, from_reference
from worker.jobs.workflow.executions import DetailsStore, Once, Workflows, name_prefix
from worker.jobs.workflow.handler import StartWorkflow, WorkflowRules

EXAMPLE = "arn:aws:states:eu-west-1:111122223333:stateMachine:enrich-conversation"

# A version or an alias may follow the name.
_ARN = re.compile(r"arn:[\w-]+:states:[\w-]+:\d+:stateMachine:[\w.-]{1,80}(:[\w.-]{1,80})?")


def _state_machine(text: str) -> str:
    if _ARN.fullmatch(text) is None:
        raise ValueError("must be the whole ARN of a state machine")
    return text


class WorkflowSettings(JobSettings):
    """Workflows of conversations that ended."""

    step_functions_arn: (
        Annotated[str, AfterValidator(_state_machine), Field(examples=[EXAMPLE])] | None
    ) = None
    """ARN of the state machine."""

    step_functions_type: Literal["STANDARD", "EXPRESS"] = "STANDARD"
    """Type of the state machine. EXPRESS ones take a name twice: that a conversation's end starts
    one execution is up to LEDGER_TABLE then, but for a start whose reply was lost."""

    workflow_settle_seconds: Seconds = 1800
    """Age of an event from which the workflow starts with what analytics knows by then."""

    workflow_steps: Globs = ("fetch_crm_contact", "analyze_sentiment", "update_ticket_system")
    """Comma separated: `enrichmentSteps` of the workflow's input."""

    workflow_details_bucket: Bucket | None = None
    """S3 bucket for call details larger than an input may be. Unset: such messages are
    dead-lettered."""

    events_ended_types: Globs = (
        "v2.detail.events.conversation.*.customer.end",
        "conversation.end",
    )
    """Types read as ConversationEnded."""


async def build(context: Context, settings: WorkflowSettings) -> StartWorkflow:
    """Return the handler, its state machine and the bucket for large inputs."""
    limits = ClientLimits(pool=10, read_seconds=5, attempts=3)
    stepfunctions = await context.aws("stepfunctions", limits, setting="STEP_FUNCTIONS_ARN")
    arn = settings.step_functions_arn or ""
    return StartWorkflow(
        details=(await context.genesys()).details,
        workflows=Workflows(stepfunctions, arn, _once(context, settings)),
        store=(await _store(context, settings)).put,
        rules=WorkflowRules(
            steps=settings.workflow_steps, settle_seconds=settings.workflow_settle_seconds
        ),
        now=context.now,
    )


def _once(context: Context, settings: WorkflowSettings) -> Once | None:
    return context.once if settings.step_functions_type == "EXPRESS" else None


async def _store(context: Context, settings: WorkflowSettings) -> DetailsStore:
    limits = ClientLimits(pool=10, read_seconds=30, attempts=4)
    s3 = await context.aws("s3", limits, setting="WORKFLOW_DETAILS_BUCKET", upstream="s3_details")
    return DetailsStore(s3, settings.workflow_details_bucket)


VIEW = "analytics:conversationDetail:view or analytics:agentConversationDetail:view"

JOB = Job(
    name="workflow",
    summary="starts a Step Functions workflow when a conversation has ended",
    events=(
        EventType(
            kind=ConversationEnded,
            types="events_ended_types",
            platform=from_platform,
            reference=from_reference,
        ),
    ),
    settings=WorkflowSettings,
    build=build,
    requires=("STEP_FUNCTIONS_ARN",),
    needs=("login", "analytics", "stepfunctions"),
    topics=("v2.detail.events.conversation.{id}.customer.end",),
    permissions={"GET /api/v2/analytics/conversations/details": VIEW},
    # For `worker backfill`.
    optional_permissions={"POST /api/v2/analytics/conversations/details/query": VIEW},
    aws_services=("stepfunctions", "s3"),
    aws_actions={
        "states:StartExecution": "STEP_FUNCTIONS_ARN",
        "s3:PutObject": "WORKFLOW_DETAILS_BUCKET",
    },
    proof="sink",
    waits=("workflow_settle_seconds",),
    effects=lambda event: {"executionName": f"{name_prefix(event.conversation_id)}*"},
    checks={
        "state machine": "worker.jobs.workflow.checks:check_state_machine",
        "call details bucket": "worker.jobs.workflow.checks:check_details_bucket",
    },
    trace="worker.jobs.workflow.checks:trace",
    backfill="worker.jobs.workflow.checks:backfill",
    demo="worker.jobs.workflow.demo:demo",
)

"""Settings of the conversation workflow."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from worker.api import Bucket, Globs, JobSettings, Seconds

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

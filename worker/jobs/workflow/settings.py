"""Settings of the conversation workflow."""

from worker.api import Globs, JobSettings, Seconds


class WorkflowSettings(JobSettings):
    """Workflows of conversations that ended."""

    step_functions_arn: str | None = None
    """ARN of the state machine; of type STANDARD, as EXPRESS ones start twice for one event."""

    workflow_settle_seconds: Seconds = 1800
    """Age of an event from which the workflow starts with what analytics knows by then."""

    workflow_steps: Globs = ("fetch_crm_contact", "analyze_sentiment", "update_ticket_system")
    """Comma separated: `enrichmentSteps` of the workflow's input."""

    workflow_details_bucket: str | None = None
    """S3 bucket for call details larger than an input may be. Unset: such messages are
    dead-lettered."""

    events_ended_types: Globs = (
        "v2.detail.events.conversation.*.customer.end",
        "conversation.end",
    )
    """Types read as ConversationEnded."""

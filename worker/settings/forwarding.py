"""Settings of the workflow and the chat sentiment handlers, and of the bus they tell."""

from typing import Annotated

from pydantic import Field

from worker.settings.fields import Globs, Group, Seconds, Url, group


class Workflow(Group):
    """Workflows of conversations that ended."""

    model_config = group("WORKFLOW_")

    settle_seconds: Seconds = 1800
    """Age of an event from which the workflow starts with what analytics knows by then."""

    steps: Globs = ("fetch_crm_contact", "analyze_sentiment", "update_ticket_system")
    """Comma separated: `enrichmentSteps` of the workflow's input."""

    batch_milliseconds: Annotated[int, Field(ge=0, le=5000)] = 50
    """How long a look-up waits for others to share its request."""

    details_bucket: str | None = None
    """S3 bucket for call details larger than an input may be. Unset: such messages are
    dead-lettered."""


class StepFunctions(Group):
    """The state machine that is started."""

    model_config = group("STEP_FUNCTIONS_")

    arn: str | None = None
    """ARN of the state machine; of type STANDARD, as EXPRESS ones start twice for one event."""


class Sentiment(Group):
    """Forwarding of chat sentiment."""

    model_config = group("SENTIMENT_")

    min_confidence: Annotated[float, Field(ge=0, le=1)] = 0.75
    """Least confidence of a sentiment that is forwarded."""

    escalation_threshold: Annotated[float, Field(ge=0, le=1)] = 0.8
    """Negative share above which somebody is alerted."""

    settle_seconds: Seconds = 1800
    """Age of an event from which a chat without analysis is taken for one that gets none."""


class EventBus(Group):
    """The EventBridge bus that our own events are put on."""

    model_config = group("EVENT_BUS_")

    name: str = "default"
    """Name or ARN of the bus."""


class Alert(Group):
    """The webhook for escalations."""

    model_config = group("ALERT_")

    webhook_url: Url | None = None
    """Told of chats whose negative share is above the threshold. Unset: nobody is."""

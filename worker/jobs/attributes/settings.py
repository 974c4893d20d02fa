"""Settings of attribute injection: what it may write, the CRM it asks, whom it notifies."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from worker.api import BearerToken, Globs, JobSettings, Seconds, Url, Uuid


class AttributesSettings(JobSettings):
    """Attributes written to conversations."""

    genesys_flow_id: Uuid | None = None
    """Flow whose inputs say which attributes a conversation gets, and of what kind."""

    crm_api_endpoint: Url | None = None
    """Look-up of a customer: called with `conversationId` and, when known, `phone`; see
    `CRM_CACHE_BY`."""

    crm_api_token: BearerToken | None = None
    """Sent to it as a bearer token. Unset: none is sent."""

    crm_cache_by: Literal["conversation", "phone"] = "conversation"
    """What an answer is remembered for. `conversation`: for the conversation it was asked for, and
    no other. `phone`: the CRM is asked by number alone, and all conversations of a number share its
    answer; one without a number is asked for by conversation."""

    crm_timeout_seconds: Seconds = 5
    """Longest wait for one reply."""

    crm_deadline_seconds: Seconds = 12
    """Longest one look-up may take with its retries."""

    crm_attempts: Annotated[int, Field(ge=1, le=10)] = 2
    """Attempts of one look-up; after that the message is retried later."""

    analytics_webhook_url: Url | None = None
    """Notified of injected attributes, at best effort. Unset: it is not."""

    attributes_max_age_seconds: Seconds = 900
    """Age of an event from which a failure is no longer retried: the conversation is over."""

    attributes_strict: bool = False
    """True: an attribute that does not fit the flow dead-letters the message. False: it is left
    out."""

    attributes_max_count: Annotated[int, Field(ge=1)] = 50
    """Attributes of one write; more dead-letter the message."""

    attributes_max_length: Annotated[int, Field(ge=1)] = 1024
    """Characters of a name and of a value; a longer one is left out, never cut."""

    attributes_prefix: str = ""
    """Put before each name, e.g. `crm.`; the flow's own names have none."""

    events_attributes_types: Globs = (
        "v2.detail.events.conversation.*.customer.start",
        "conversation.start",
        "conversation.attributes.requested",
    )
    """Types read as AttributesWanted."""

    @model_validator(mode="after")
    def _timeout_within_deadline(self) -> Self:
        if self.crm_timeout_seconds > self.crm_deadline_seconds:
            raise ValueError("CRM_TIMEOUT_SECONDS: must not exceed CRM_DEADLINE_SECONDS")
        return self

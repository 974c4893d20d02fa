"""Settings of the attribute handler: what it may write, the CRM it asks, whom it tells."""

from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, model_validator

from worker.settings.fields import BearerToken, Group, Seconds, Url, group


class Attributes(Group):
    """Attributes written to conversations."""

    model_config = group("ATTRIBUTES_")

    max_age_seconds: Seconds = 900
    """Age of an event from which a failure is no longer retried: the conversation is over."""

    strict: bool = False
    """True: an attribute that does not fit the flow dead-letters the message. False: it is left
    out."""

    max_count: Annotated[int, Field(ge=1)] = 50
    """Attributes of one write; more dead-letter the message."""

    max_length: Annotated[int, Field(ge=1)] = 1024
    """Characters of a name and of a value; a longer one is left out, never cut."""

    prefix: str = ""
    """Put before each name, e.g. `crm.`; the flow's own names have none."""


class Crm(Group):
    """The CRM and its webhook."""

    model_config = group("CRM_")

    api_endpoint: Url | None = None
    """Look-up of a customer: called with `conversationId` and, when known, `phone`; see
    `CRM_CACHE_BY`."""

    api_token: BearerToken | None = None
    """Sent to it as a bearer token. Unset: none is sent."""

    cache_by: Literal["conversation", "phone"] = "conversation"
    """What an answer is remembered for. `conversation`: for the conversation it was asked for, and
    no other. `phone`: the CRM is asked by number alone, and all conversations of a number share its
    answer; one without a number is asked for by conversation."""

    timeout_seconds: Seconds = 5
    """Longest wait for one reply."""

    deadline_seconds: Seconds = 12
    """Longest one look-up may take with its retries."""

    attempts: Annotated[int, Field(ge=1, le=10)] = 2
    """Attempts of one look-up; after that the message is retried later."""

    webhook_url: Url | None = None
    """Told of forwarded chat sentiment. Unset: nobody is."""

    @model_validator(mode="after")
    def _timeout_within_deadline(self) -> Self:
        if self.timeout_seconds > self.deadline_seconds:
            raise ValueError("CRM_TIMEOUT_SECONDS: must not exceed CRM_DEADLINE_SECONDS")
        return self


class Webhooks(Group):
    """Webhooks in general."""

    model_config = group("")

    analytics_webhook_url: Url | None = None
    """Told of injected attributes, at best effort. Unset: nobody is."""

    webhook_secret: SecretStr | None = None
    """Signs all webhooks (Standard Webhooks): `whsec_` and base64, or any text; several, parted by
    blanks, while they rotate. Unset: nothing is signed."""

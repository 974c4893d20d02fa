"""What the four services differ in on the wire. They all take JSON by POST.

https://smithy.io/2.0/aws/protocols/aws-json-1_0-protocol.html
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from worker.clients.aws.lean.values import (
    moments_read,
    queue_blobs_read,
    table_blobs_read,
    unchanged,
)

Answer = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """One service."""

    service: str
    """The name of its client."""

    signing_name: str
    target_prefix: str
    content_type: str = "application/x-amz-json-1.0"
    headers: Mapping[str, str] = field(default_factory=dict)
    """Sent with every request; lower case."""

    read: Callable[[Answer], Answer] = unchanged
    """Makes richer types of an answer, or of the fields of an error, in place."""


SQS = Dialect(
    service="sqs",
    signing_name="sqs",
    target_prefix="AmazonSQS",
    # Asks for the error codes of old, which the worker's rules and the SDK's clients know.
    headers={"x-amzn-query-mode": "true"},
    read=queue_blobs_read,
)
DYNAMODB = Dialect(
    service="dynamodb",
    signing_name="dynamodb",
    target_prefix="DynamoDB_20120810",
    read=table_blobs_read,
)
STEP_FUNCTIONS = Dialect(
    service="stepfunctions",
    signing_name="states",
    target_prefix="AWSStepFunctions",
    read=moments_read,
)
EVENTS = Dialect(
    service="events",
    signing_name="events",
    target_prefix="AWSEvents",
    content_type="application/x-amz-json-1.1",
    read=moments_read,
)


def dialect_of(service: str) -> Dialect | None:
    """Return how to speak to a service; None for those that are the SDK's."""
    known = (SQS, DYNAMODB, STEP_FUNCTIONS, EVENTS)
    return next((dialect for dialect in known if dialect.service == service), None)

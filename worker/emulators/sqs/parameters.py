"""The parameters of a request, read and checked as SQS does."""

from collections.abc import Mapping
from typing import Any

from worker.emulators.sqs.attributes import MAXIMUM_VISIBILITY_SECONDS
from worker.emulators.sqs.errors import SqsError, invalid_value, missing

Parameters = Mapping[str, Any]
"""The JSON object of a request, or of one entry of a batch."""


def text(parameters: Parameters, name: str) -> str:
    """Return a text that must be there."""
    value = parameters.get(name)
    if not isinstance(value, str) or not value:
        raise missing(name)
    return value


def optional_text(parameters: Parameters, name: str) -> str | None:
    """Return a text; None when it is not given."""
    return text(parameters, name) if parameters.get(name) is not None else None


def whole(parameters: Parameters, name: str, low: int, high: int) -> int | None:
    """Return a whole number within bounds; None when it is not given."""
    value = parameters.get(name)
    if value is None:
        return None
    try:
        number = int(value)
    except (TypeError, ValueError) as error:
        raise SqsError("SerializationException", f"{name} is not a number.") from error
    if not low <= number <= high:
        reason = f"Must be between {low} and {high}, if provided."
        raise invalid_value(value, name, reason)
    return number


def visibility(parameters: Parameters) -> int | None:
    """Return `VisibilityTimeout`; None when it is not given."""
    return whole(parameters, "VisibilityTimeout", 0, MAXIMUM_VISIBILITY_SECONDS)


def names(parameters: Parameters, *keys: str) -> frozenset[str]:
    """Return the union of lists of names; each may be absent."""
    return frozenset(str(name) for key in keys for name in parameters.get(key) or ())

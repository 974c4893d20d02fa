"""What the fields of the wire models may hold, and how a refusal is worded.

A refusal names the field and the fault in words of our own. pydantic's messages may quote the
input, and the reason of a `Permanent` travels to logs and to the dead-letter queue.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import isfinite
from typing import Annotated, Any, TypeVar, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
)

from worker.errors import Permanent

WIRE = ConfigDict(extra="ignore", strict=True, frozen=True, hide_input_in_errors=True)
"""Unknown fields are ignored, as Genesys adds some every week; known ones are not converted."""

UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ISO = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.,][0-9]{1,9})?)?"
    r"(Z|[+-][0-9]{2}(:?[0-9]{2})?)?"
)
_FAULTS = {
    "missing": "missing",
    "string_type": "not text",
    "string_too_short": "empty",
    "string_too_long": "too long",
    "string_pattern_mismatch": "not allowed",
    "list_type": "not a list",
    "too_long": "too many",
    "literal_error": "not allowed",
    "model_type": "not an object",
}


def instant(value: object) -> datetime:
    """Read an ISO 8601 text (naive: UTC) or epoch milliseconds; ValueError otherwise."""
    try:
        moment = _moment(value)
    except (ValueError, OverflowError):
        raise ValueError("not a time") from None
    if moment < _EPOCH:
        raise ValueError("not a time after 1970")
    return moment


def _moment(value: object) -> datetime:
    if isinstance(value, int) and not isinstance(value, bool):
        # Not fromtimestamp(ms / 1000): a float would move some milliseconds.
        return _EPOCH + timedelta(milliseconds=value)
    if not isinstance(value, str) or not _ISO.fullmatch(value):
        raise ValueError
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is UTC:  # what Genesys and AWS write
        return moment
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _exact(value: object) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("not a number")  # noqa: TRY004  pydantic lets a TypeError through
    if not isfinite(value):
        raise ValueError("not finite")
    return Decimal(repr(value))


def _sentiment(score: Decimal) -> Decimal:
    if abs(score) > 1:
        raise ValueError("not within -1..1")
    return score


def _uuid(value: object) -> str:
    if not isinstance(value, str) or not UUID.fullmatch(value):
        raise ValueError("not a UUID")
    return value


def _uuid_if_any(value: object) -> str | None:
    return None if value is None or value == "" else _uuid(value)


Instant = Annotated[datetime, BeforeValidator(instant)]
Score = Annotated[Decimal, BeforeValidator(_exact), AfterValidator(_sentiment)]
Id = Annotated[str, BeforeValidator(_uuid)]
IdIfAny = Annotated[str | None, BeforeValidator(_uuid_if_any)]
"""As `Blank`: an empty text is None."""

Text = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Blank = Annotated[str, StringConstraints(max_length=256)]
"""For what need not be there: an empty text says nothing, so its reader takes it for None."""

MAX_ITEMS = 1000
"""Entries of a list: far above any real event, far below what costs time to refuse."""

FEW = Field(max_length=MAX_ITEMS, fail_fast=True)
"""For list fields: a megabyte of bad entries must not become as many error objects."""

Model = TypeVar("Model", bound=BaseModel)


def read(model: type[Model], raw: object, at: str) -> Model:
    """Validate `raw`, found at the path `at`; Permanent names the first field at fault."""
    try:
        # What `model_validate` calls after looking at options that are not used here.
        return cast(Model, model.__pydantic_validator__.validate_python(raw))
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
    # Raised out here, so that no traceback reaches the input through `__context__`.
    raise Permanent(f"{'.'.join((at, *map(str, fault['loc'])))}: {_wording(fault)}")


def _wording(fault: Mapping[str, Any]) -> str:
    if fault["type"] == "value_error":
        return str(fault["ctx"]["error"])
    return _FAULTS.get(fault["type"], "not readable")

"""What the fields of an event may hold, and how a refusal is worded.

A refusal names the field and the fault, never the value: the reason of a `Permanent` travels to
logs and to the dead-letter queue. A field that an event can do without refuses nothing: where it is
odd it says nothing, since a dead-lettered call costs more than an unknown `ani`.

Wire structs take whatever JSON a field holds (`Any`) and it is
checked here, field by field, in a fixed order. msgspec's own types would check in the order of the
document, would check a duplicate key that a later one replaces, and would quote in their own
words.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal
from string import hexdigits
from typing import Any, TypeGuard, TypeVar

from msgspec import UNSET, Raw, Struct, json

from worker.errors import Permanent

UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
"""For one within a text; `is_uuid` is for a whole one."""

_UUID_SHAPE = b"xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"
_SHAPES = bytes(
    ord("x") if chr(byte) in hexdigits else byte if byte == ord("-") else 0 for byte in range(256)
)

MAX_TEXT = 256
MAX_ITEMS = 1000
"""Entries of a list: far above any real event, far below what costs time to refuse."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ISO = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2}([.,][0-9]{1,9})?)?"
    r"(Z|[+-][0-9]{2}(:?[0-9]{2})?)?"
)

_NUMBERS = Context(prec=38, Emin=-324, Emax=308, traps=[])
"""Digits: what DynamoDB keeps. Exponents: a double's, so that no `1e999999999` gets any further."""

_USUAL = tuple(map(len, ("2026-03-02T12:00:00Z", "2026-03-02T12:00:00.000Z")))

_read_iso = datetime.fromisoformat

T = TypeVar("T")


class Wire(Struct, rename="camel", gc=False):
    """Fields of a JSON object; unknown ones are skipped, as Genesys adds some every week.

    Of a repeated key the last one counts. Absent: UNSET where that differs from null.
    """


def decoder(kind: type[T]) -> Callable[[Raw | str], T]:
    """Return the parser of a wire struct; its numbers are int or exact Decimal, never float."""
    # By the context, which cuts off exponents that `Decimal` itself would raise for.
    return json.Decoder(kind, float_hook=_NUMBERS.create_decimal).decode


def instant(value: object) -> datetime:
    """Read an ISO 8601 text (naive: UTC) or epoch milliseconds; ValueError otherwise."""
    try:
        if not isinstance(value, str):
            moment = _counted(value)
        # What Genesys and AWS write; the pattern takes three times as long to see that.
        elif len(value) in _USUAL and value[4:19:3] == "--T::" and value[-1] == "Z":
            moment = _read_iso(value)
        else:
            moment = _written(value)
    except (ValueError, OverflowError):
        raise ValueError("not a time") from None
    if moment < _EPOCH:
        raise ValueError("not a time after 1970")
    return moment


def _written(text: str) -> datetime:
    if not _ISO.fullmatch(text):
        raise ValueError
    moment = _read_iso(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _counted(value: object) -> datetime:
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError  # noqa: TRY004  for a type as for a value
    # Not fromtimestamp(ms / 1000): a float would move some milliseconds.
    return _EPOCH + timedelta(0, 0, value * 1000)


def read_time_if_any(value: object) -> datetime | None:
    """Read a time that need not be there: None for what is none."""
    if value is None:
        return None
    try:
        return instant(value)
    except ValueError:
        return None


def read_by(read: Callable[[object], T], value: object, at: str) -> T | None:
    """Read what `read` takes; the text of its ValueError is the refusal. None stays None."""
    if value is None:
        return None
    try:
        return read(value)
    except ValueError as error:
        problem = str(error)
    # Raised out here, so that no traceback reaches the value through `__context__`.
    raise Permanent(f"{at}: {problem}")


def read_number(value: object, at: str) -> Decimal | None:
    """Read a number, exact to 38 digits; None stays None."""
    if value is None:
        return None
    if type(value) is int:
        value = _NUMBERS.create_decimal(value)
    if type(value) is not Decimal:
        raise Permanent(f"{at}: not a number")
    if not value.is_finite():
        raise Permanent(f"{at}: not finite")
    return value


def is_uuid(value: object) -> TypeGuard[str]:
    """Whether it is the text of a UUID."""
    # In half the time of the pattern, which every event would be matched against.
    return (
        isinstance(value, str)
        and value.isascii()
        and value.encode().translate(_SHAPES) == _UUID_SHAPE
    )


def read_id(value: object, at: str) -> str:
    """Read a UUID: what may enter the path of a request."""
    if is_uuid(value):
        return value
    raise Permanent(f"{at}: {'missing' if value is UNSET else 'not a UUID'}")


def read_id_if_any(value: object) -> str | None:
    """Read a UUID that need not be there: None for what is none."""
    return value if is_uuid(value) else None


def read_text(value: object, at: str) -> str:
    """Read a text that must say something."""
    if value is UNSET:
        raise Permanent(f"{at}: missing")
    if value == "":
        raise Permanent(f"{at}: empty")
    if not isinstance(value, str):
        raise Permanent(f"{at}: not text")
    if len(value) > MAX_TEXT:
        raise Permanent(f"{at}: too long")
    return value


def read_text_if_any(value: object) -> str | None:
    """Read a text that need not be there, an integer as its digits: None for an empty one.

    And for what is neither, and for one that is too long: cut, it would be another text.
    """
    if type(value) is int:
        value = str(value)
    return value if isinstance(value, str) and 0 < len(value) <= MAX_TEXT else None


def read_list(value: object, at: str, read: Callable[[Any, str], T]) -> tuple[T, ...] | None:
    """Read a list by its entries, up to the first at fault; None stays None."""
    if value is None:
        return None
    if not isinstance(value, list):
        raise Permanent(f"{at}: not a list")
    entries = tuple(read(entry, f"{at}.{place}") for place, entry in enumerate(value[:MAX_ITEMS]))
    if len(value) > MAX_ITEMS:
        raise Permanent(f"{at}: too many")
    return entries


def read_object(value: object, at: str) -> dict[str, Any] | None:
    """Read a small object; None stays None."""
    if value is None or isinstance(value, dict):
        return value
    raise Permanent(f"{at}: not an object")

"""What of a customer's record fits a flow: the report made before anything is written."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from worker.clients.genesys.flows import Kind, Schema
from worker.domain.attributes.coercion import Unfit, coerce, json_type, wire_text
from worker.errors import Permanent
from worker.settings import Attributes

MASK = "***"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What may be written; the fields are those of `settings.Attributes`."""

    strict: bool = False
    """True: an attribute that does not fit fails the event. False: it is left out."""

    max_count: int = 50
    """Attributes of one write. More fail the event: nobody could say which to leave out."""

    max_length: int = 1024
    """Characters of a name and of a value. A longer one is left out, never cut."""

    prefix: str = ""
    """Put before each name, e.g. `crm.`; counts to its length."""


def rules_of(settings: Attributes) -> Rules:
    """Return what the settings allow."""
    return Rules(
        strict=settings.strict,
        max_count=settings.max_count,
        max_length=settings.max_length,
        prefix=settings.prefix,
    )


@dataclass(frozen=True, slots=True)
class Mismatch:
    """An attribute whose value is not what the flow declares."""

    name: str
    expected: str
    actual: str
    """JSON's word for the type of what is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A customer's record held against a flow's inputs. Names are the schema's, without prefix."""

    attributes: Mapping[str, str] = field(repr=False)
    """What is to be sent."""

    missing: tuple[str, ...] = ()
    """Declared, but absent or null in the record."""

    extra: tuple[str, ...] = field(default=(), repr=False)
    """In the record, but not declared; never sent."""

    mismatched: tuple[Mismatch, ...] = ()
    too_long: tuple[str, ...] = ()

    @property
    def unfit(self) -> tuple[str, ...]:
        """Names of what the record has and the flow or the platform would not take."""
        return (*(one.name for one in self.mismatched), *self.too_long)

    def as_json(self) -> dict[str, Any]:
        """Return the report as plain data, values included: for the person who asked for it."""
        return {
            "attributes": dict(self.attributes),
            "missing": list(self.missing),
            "extra": list(self.extra),
            "mismatched": [
                {"name": one.name, "expected": one.expected, "actual": one.actual}
                for one in self.mismatched
            ],
            "tooLong": list(self.too_long),
        }

    def masked(self) -> dict[str, Any]:
        """Return the report as plain data without any value: for logs."""
        return self.as_json() | {"attributes": dict.fromkeys(self.attributes, MASK)}


def inspect(schema: Schema, record: Mapping[str, Any], rules: Rules) -> Report:
    """Hold the record against the schema; nothing is refused here, see `sendable`."""
    attributes: dict[str, str] = {}
    mismatched: list[Mismatch] = []
    too_long: list[str] = []
    there = [name for name in schema if record.get(name) is not None]
    for name in there:
        text = _text(schema[name], record[name])
        if text is None:
            mismatched.append(Mismatch(name, schema[name].value, json_type(record[name])))
        elif max(len(rules.prefix + name), len(text)) > rules.max_length:
            too_long.append(name)
        else:
            attributes[rules.prefix + name] = text
    return Report(
        attributes=attributes,
        missing=tuple(name for name in schema if name not in there),
        extra=tuple(name for name in record if name not in schema),
        mismatched=tuple(mismatched),
        too_long=tuple(too_long),
    )


def sendable(report: Report, rules: Rules) -> Mapping[str, str]:
    """Return what is to be sent; Permanent, naming no value, when the rules forbid it."""
    if rules.strict and report.unfit:
        raise Permanent(f"attributes do not fit the flow: {', '.join(report.unfit)}")
    if len(report.attributes) > rules.max_count:
        raise Permanent(f"{len(report.attributes)} attributes, allowed are {rules.max_count}")
    return report.attributes


def _text(kind: Kind, value: object) -> str | None:
    try:
        return wire_text(coerce(kind, value))
    except Unfit:
        return None

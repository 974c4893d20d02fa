"""One HTTP exchange as plain data, so that what a reply means can be told without I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What is to be sent. Bodies and headers stay out of `repr`: they hold numbers and secrets."""

    method: str
    path: str = field(repr=False)
    """Path below the upstream's base URL; every id in it was validated by whoever built it."""

    template: str
    """The path with `{names}` for ids: the form that may be logged."""

    json: Any = field(default=None, repr=False)
    """Body to be sent as JSON; None sends none."""

    form: Mapping[str, str] | None = field(default=None, repr=False)
    """Body to be sent as `application/x-www-form-urlencoded`."""

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came back, whatever its status."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Names in lower case; values of a repeated header joined by commas."""

    body: bytes = field(default=b"", repr=False)
    received_at: datetime
    """Wall clock, UTC: what a `Retry-After` given as an HTTP date is measured against."""

"""What every log line of one piece of work says besides its own: ids of the message, the event."""

from collections.abc import Mapping
from contextvars import ContextVar, Token
from types import MappingProxyType
from typing import Any

_NOTHING: Mapping[str, Any] = MappingProxyType({})
_fields: ContextVar[Mapping[str, Any]] = ContextVar("log_fields", default=_NOTHING)


class log_fields:  # noqa: N801  a context manager, written like a function
    """Add fields to all log lines of the block, and of the tasks begun in it.

    One variable for all fields, set once: structlog's own `bound_contextvars` sets one for each,
    and three of its blocks were a tenth of what a message costs.
    """

    __slots__ = ("_added", "_before")

    def __init__(self, **fields: Any) -> None:
        self._added = fields
        self._before: Token[Mapping[str, Any]] | None = None

    def __enter__(self) -> None:
        self._before = _fields.set({**_fields.get(), **self._added})

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            _fields.reset(self._before)


def merge_log_fields(_logger: Any, _method: str, event: Any) -> Any:
    """Put the fields in force below those of the line itself: a structlog processor."""
    return {**_fields.get(), **event}

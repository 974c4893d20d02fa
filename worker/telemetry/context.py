"""What every log line of one piece of work says besides its own: ids of the message, the event."""

from collections.abc import Mapping
from contextvars import ContextVar, Token
from types import MappingProxyType
from typing import Any, Protocol


class Subject(Protocol):
    """What a task works on; asked only when a line is written, so that a message binds nothing."""

    def log_fields(self) -> Mapping[str, Any]:
        """Return the fields of each of its lines: ids and names, never a payload."""


class _Fields:
    __slots__ = ("_fields",)

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self._fields = fields

    def log_fields(self) -> Mapping[str, Any]:
        return self._fields


_NONE = _Fields(MappingProxyType({}))
_subject: ContextVar[Subject] = ContextVar("log_subject", default=_NONE)


log_as = _subject.set
"""Give all further lines of this task, and of tasks begun in it, the fields of a subject.

The variable's own method, as every message calls it.
"""


class log_fields:  # noqa: N801  a context manager, written like a function
    """Add fields to all log lines of the block, and of the tasks begun in it."""

    __slots__ = ("_added", "_before")

    def __init__(self, **fields: Any) -> None:
        self._added = fields
        self._before: Token[Subject] | None = None

    def __enter__(self) -> None:
        self._before = _subject.set(_Fields({**_subject.get().log_fields(), **self._added}))

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            _subject.reset(self._before)


def merge_log_fields(_logger: Any, _method: str, event: Any) -> Any:
    """Put the fields in force below those of the line itself: a structlog processor."""
    return {**_subject.get().log_fields(), **event}

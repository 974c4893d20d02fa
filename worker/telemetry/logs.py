"""Logs: structlog, one JSON object a line, or coloured text on a terminal.

The loggers of others (botocore, asyncio, httpx …) go through the same processors, so there is
one place where values are bounded and masked: `worker.telemetry.scrub`. A line is rendered by
the thread that logs it and written by another (`worker.telemetry.log_writer`). A log call never
raises: what is logged must not decide what is done.
"""

import atexit
import logging
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from contextvars import ContextVar, Token
from datetime import UTC, datetime
from types import MappingProxyType, TracebackType
from typing import Any, Literal, Protocol, TextIO

import orjson
import structlog
from structlog.types import EventDict, Processor, WrappedLogger

from worker.telemetry.log_writer import Dropped, LogWriter
from worker.telemetry.scrub import clean_end, escape, scrub_mapping
from worker.telemetry.tracing import SWITCH


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
    """Put the fields in force behind those of the line itself: a structlog processor.

    A reader asks first what happened, and then to whom.
    """
    return {**event, **_subject.get().log_fields(), **event}


Level = Literal["debug", "info", "warning", "error"]
Format = Literal["auto", "json", "console"]

TALKATIVE = ("httpx", "httpcore", "boto3", "botocore", "aiobotocore", "aiohttp", "urllib3")
"""They write URLs, bodies and signatures at info and debug; heard from warning on, whatever the
level of ours."""

AUDIT = "audit"


def configure_logging(
    level: Level = "info", output: Format = "auto", stream: TextIO | None = None
) -> None:
    """Send all logs of the process to `stream` (None: stdout), from `level` on.

    Call it before the first line is written; a second call replaces the first.
    """
    stream = sys.stdout if stream is None else stream
    render = _Renderer(output, stream)
    writer = _install(LogWriter(stream, render.dropped))
    severity = logging.getLevelNamesMapping()[level.upper()]
    lines = _Lines(writer)
    structlog.configure(
        processors=[render],
        wrapper_class=structlog.make_filtering_bound_logger(severity),
        logger_factory=lambda *_: lines,
        # Module-level loggers would keep the stream and level of their first line for ever.
        cache_logger_on_first_use=False,
    )
    _route_standard_library(severity, render, writer)
    sys.excepthook = _log_uncaught


def flush_logs(seconds: float = 1.0) -> bool:
    """Wait until all lines so far are written, or `seconds`; return whether they are.

    For those who end the process by `os._exit`; a normal exit does it by itself.
    """
    return all(writer.flush(seconds) for writer in _writers)


def log_sink_problem() -> str | None:
    """Return why the logs' sink is unusable, as text for a liveness probe, or None."""
    return next((problem for writer in _writers if (problem := writer.problem())), None)


def audit_logger() -> Any:
    """Return the logger of audit entries: always on, marked `"logger": "audit"`, dropped last.

    Made for the stream in force: to be called after `configure_logging`.
    """
    always_on = structlog.make_filtering_bound_logger(logging.NOTSET)
    return structlog.wrap_logger(None, wrapper_class=always_on).bind(logger=AUDIT)


_writers: list[LogWriter] = []
"""The writer in force; there is one stdout."""

atexit.register(flush_logs)


def _install(writer: LogWriter) -> LogWriter:
    while _writers:
        _writers.pop().close()
    _writers.append(writer)
    return writer


class _Lines:
    """The end of structlog's chain: hands rendered lines to the writer."""

    def __init__(self, writer: LogWriter) -> None:
        # One for all levels; the level is in the line already.
        self.debug = self.info = self.warning = self.error = self.critical = writer.write
        self.notset = writer.write


class _ToWriter(logging.Handler):
    def __init__(self, render: "_Renderer", writer: LogWriter) -> None:
        super().__init__()
        self._render = render
        self._writer = writer

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception as error:  # noqa: BLE001  nor may a log call of others raise
            line = self._render.failed(record.name, error)
        self._writer.write(line)


def _route_standard_library(severity: int, render: "_Renderer", writer: LogWriter) -> None:
    handler = _ToWriter(render, writer)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[merge_log_fields, _name_logger],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render.line],
        )
    )
    logging.basicConfig(handlers=[handler], level=severity, force=True)
    # A record that cannot be formatted would be printed to stderr as it is, arguments and all.
    logging.raiseExceptions = False
    for name in TALKATIVE:
        logging.getLogger(name).setLevel(max(severity, logging.WARNING))


def _name_logger(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    event["logger"] = event["_record"].name
    return event


def _format_exception(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Replace `exc_info` by a traceback in text.

    Not structlog's `dict_tracebacks`: it prints every frame's locals, phone numbers included.
    """
    if error := _exception_of(event.pop("exc_info", None)):
        exception = "".join(traceback.format_exception(error)).rstrip()
        event = {"error_class": type(error).__name__, **event, "exception": exception}
    return event


def _exception_of(info: object) -> BaseException | None:
    if isinstance(info, BaseException):
        return info
    found: BaseException | None = info[1] if isinstance(info, tuple) else None
    return sys.exc_info()[1] if found is None and info else found


def _scrub(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    exception = event.pop("exception", None)
    scrubbed: EventDict = scrub_mapping(event)
    if exception is not None:
        scrubbed["exception"] = clean_end(str(exception))
    return scrubbed


def _name_trace(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    if SWITCH.tracing.on:
        event.update(SWITCH.tracing.ids())
    return event


def _stamp(_: WrappedLogger, level: str, event: EventDict) -> EventDict:
    """Put the most wanted fields first."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    return {"timestamp": now, "level": level, "event": event.pop("event", ""), **event}


_PROCESSORS: tuple[Callable[[WrappedLogger, str, EventDict], EventDict], ...] = (
    _format_exception,
    _scrub,
    _name_trace,
    _stamp,
)


class _Renderer:
    """An event becomes a line. As structlog's only processor it raises nothing."""

    def __init__(self, output: Format, stream: TextIO | None) -> None:
        self._render = _form(output, stream)

    def __call__(
        self, logger: WrappedLogger, level: str, event: EventDict
    ) -> tuple[tuple[str, str], dict[str, Any]]:
        audit = event.get("logger") == AUDIT
        try:
            line = self.line(logger, level, merge_log_fields(logger, level, event))
        except Exception as error:  # noqa: BLE001  what is logged must not decide what is done
            line = self.failed(__name__, error)
        return (line, "audit" if audit else "log"), {}

    def line(self, logger: WrappedLogger, level: str, event: EventDict) -> str:
        """Return the line of an event that has all its fields."""
        for step in _PROCESSORS:
            event = step(logger, level, event)
        return str(self._render(logger, level, event))

    def failed(self, logger: str, error: Exception) -> str:
        """Return the line that stands for one that could not be rendered."""
        fields = {"logger": logger, "error_class": type(error).__name__}
        return self.line(None, "error", {"event": "log_line_failed", **fields})

    def dropped(self, dropped: Dropped) -> str:
        """Return the line that says how many are missing."""
        level = "error" if dropped["audit"] else "warning"
        fields = {"log": dropped["log"], "audit": dropped["audit"]}
        return self.line(None, level, {"event": "log_lines_dropped", **fields})


def _form(output: Format, stream: TextIO | None) -> Processor:
    terminal = _is_terminal(stream)
    if output == "json" or (output == "auto" and not terminal):
        return _as_json
    console = structlog.dev.ConsoleRenderer(
        colors=terminal and _wants_colour(),
        exception_formatter=structlog.dev.plain_traceback,
        sort_keys=False,
    )
    return lambda logger, name, event: console(logger, name, _escaped(event))


def _is_terminal(stream: TextIO | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except ValueError:  # closed
        return False


def _wants_colour() -> bool:
    """Whether a terminal may be sent colours; NO_COLOR is a convention of many tools."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _as_json(_: WrappedLogger, __: str, event: EventDict) -> str:
    line = orjson.dumps(event).decode()
    # orjson leaves U+2028 and its like as they are: legal JSON, but a line break to some readers.
    return line if line.isascii() else escape(line)


def _escaped(event: EventDict) -> EventDict:
    exception = event.pop("exception", None)
    escaped: EventDict = {escape(key): escape(_as_text(value)) for key, value in event.items()}
    if exception is not None:
        # Indented, so that a line break in an error's text cannot pass for a line of ours.
        lines = exception.split("\n")
        escaped["exception"] = "\n".join(f"  | {escape(line)}" for line in lines)
    return escaped


def _as_text(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, list) and not any(isinstance(one, list | dict) for one in value):
        return ",".join(map(str, value)) or "-"
    return value if isinstance(value, str) else repr(value)


def _log_uncaught(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    structlog.get_logger().critical("process_crashed", exc_info=error)

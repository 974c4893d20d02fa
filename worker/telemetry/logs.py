"""Logs: structlog, one JSON object a line, or coloured text on a terminal.

The standard library's loggers (botocore, asyncio, httpx …) go through the same steps, so there is
one place where values are bounded and masked: `worker.telemetry.scrub`.
"""

import logging
import os
import sys
import traceback
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Literal, TextIO

import orjson
import structlog
from structlog.types import EventDict, Processor, WrappedLogger

from worker.telemetry.context import merge_log_fields
from worker.telemetry.scrub import clean_end, escape, scrub_mapping
from worker.telemetry.tracing import tracing

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
    steps = (*_STEPS, _renderer(output, stream))
    severity = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[merge_log_fields, *steps],
        wrapper_class=structlog.make_filtering_bound_logger(severity),
        logger_factory=structlog.WriteLoggerFactory(file=stream),
        # Module-level loggers would keep the stream and level of their first line for ever.
        cache_logger_on_first_use=False,
    )
    _route_standard_library(severity, steps, stream)
    sys.excepthook = _log_uncaught


def audit_logger() -> Any:
    """Return the logger of audit entries: always on, always JSON, marked `"logger": "audit"`.

    Made for the stream in force: to be called after `configure_logging`.
    """
    always_on = structlog.make_filtering_bound_logger(logging.NOTSET)
    return structlog.wrap_logger(None, wrapper_class=always_on).bind(logger=AUDIT)


def _route_standard_library(severity: int, steps: tuple[Processor, ...], stream: TextIO) -> None:
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[merge_log_fields, _name_logger],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *steps],
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
        event["error_class"] = type(error).__name__
        event["exception"] = "".join(traceback.format_exception(error)).rstrip()
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
    event.update(tracing().ids())
    return event


def _stamp(_: WrappedLogger, level: str, event: EventDict) -> EventDict:
    """Put what everybody looks for first."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    return {"timestamp": now, "level": level, "event": event.pop("event", ""), **event}


_STEPS: tuple[Processor, ...] = (_format_exception, _scrub, _name_trace, _stamp)


def _renderer(output: Format, stream: TextIO) -> Processor:
    terminal = stream.isatty()
    if output == "json" or (output == "auto" and not terminal):
        return _as_json
    console = structlog.dev.ConsoleRenderer(
        colors=terminal and not os.environ.get("NO_COLOR"),
        exception_formatter=structlog.dev.plain_traceback,
    )

    def render(logger: WrappedLogger, name: str, event: EventDict) -> Any:
        if event.get("logger") == AUDIT:
            return _as_json(logger, name, event)
        return console(logger, name, _escaped(event))

    return render


def _as_json(_: WrappedLogger, __: str, event: EventDict) -> str:
    line = orjson.dumps(event).decode()
    # orjson leaves U+2028 and its like as they are: legal JSON, but a line break to some readers.
    return line if line.isascii() else escape(line)


def _escaped(event: EventDict) -> EventDict:
    exception = event.pop("exception", None)
    escaped: EventDict = {
        escape(key): escape(value if isinstance(value, str) else repr(value))
        for key, value in event.items()
    }
    if exception is not None:
        # Indented, so that a line break in an error's text cannot pass for a line of ours.
        lines = exception.split("\n")
        escaped["exception"] = "\n".join(f"  | {escape(line)}" for line in lines)
    return escaped


def _log_uncaught(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    structlog.get_logger().critical("process_crashed", exc_info=error)

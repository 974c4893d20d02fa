"""Where log lines go in the end: a descriptor, memory, or nowhere any more.

A sink may block and may fail; `worker.telemetry.log_writer` sees to it that no caller notices.
"""

import codecs
import errno
import os
import select
from io import UnsupportedOperation
from typing import Protocol, TextIO

WAIT_MILLISECONDS = 1000
"""Longest wait for a non-blocking descriptor to take bytes, before the writer looks around."""

_ESCAPED = "worker_log_escape"


class Sink(Protocol):
    """Takes bytes, as many as it can at a time."""

    waits: bool
    """Whether writing may block, so that it needs a thread of its own."""

    def encode(self, text: str) -> bytes:
        """Return `text` as this sink wants it; never raises for a character it does not have."""
        ...

    def write(self, data: memoryview) -> int:
        """Return how many bytes were taken; raise OSError when none can be."""
        ...

    def close(self) -> None:
        """Let go of what it holds."""
        ...


def open_sink(stream: TextIO | None) -> Sink:
    """Return the sink behind `stream`; None stands for an output that was closed before we came."""
    if stream is None or getattr(stream, "closed", False):
        return _Closed()
    try:
        descriptor = stream.fileno()
    except (AttributeError, UnsupportedOperation):
        return _Memory(stream)
    try:
        # Our own: were the stream closed, its number would soon be a socket's.
        return _Descriptor(os.dup(descriptor), getattr(stream, "encoding", None) or "utf-8")
    except OSError:
        return _Closed()


class _Descriptor:
    waits = True

    def __init__(self, descriptor: int, encoding: str) -> None:
        self._descriptor = descriptor
        self._encoding = encoding

    def encode(self, text: str) -> bytes:
        return text.encode(self._encoding, _ESCAPED)

    def write(self, data: memoryview) -> int:
        try:
            return os.write(self._descriptor, data)
        except BlockingIOError:
            # Whoever started us made it non-blocking, for us too: it is one setting for both.
            poll = select.poll()
            poll.register(self._descriptor, select.POLLOUT)
            poll.poll(WAIT_MILLISECONDS)
            return 0

    def close(self) -> None:
        os.close(self._descriptor)


class _Memory:
    """A stream without a descriptor: `StringIO`, a test's capture. Nothing to wait for."""

    waits = False

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def encode(self, text: str) -> bytes:
        return text.encode("utf-8", _ESCAPED)

    def write(self, data: memoryview) -> int:
        try:
            self._stream.write(str(data, "utf-8"))
        except ValueError as error:  # closed
            raise OSError(errno.EBADF, "closed") from error
        return len(data)

    def close(self) -> None:
        pass


class _Closed:
    waits = False

    def encode(self, text: str) -> bytes:
        return text.encode("utf-8", _ESCAPED)

    def write(self, _: memoryview) -> int:
        raise OSError(errno.EBADF, "closed")

    def close(self) -> None:
        pass


def _escape_json(error: UnicodeError) -> tuple[str, int]:
    """Write what a charset lacks as JSON does; `backslashreplace` has forms that JSON has not."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    wanting = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    units = (wanting[at : at + 2].hex() for at in range(0, len(wanting), 2))
    return "".join(f"\\u{unit}" for unit in units), error.end


codecs.register_error(_ESCAPED, _escape_json)

"""Log lines on their way out: a bounded queue, one thread that writes, and the sink.

A log call neither waits for the sink nor raises its errors. What does not fit is dropped and
counted; `problem` reports to the liveness probe a sink that has failed for too long.
"""

import codecs
import errno
import os
import select
import threading
import time
from collections.abc import Callable, Iterable
from io import UnsupportedOperation
from queue import Empty, SimpleQueue
from typing import Literal, Protocol, TextIO

from worker.telemetry import metrics

WAIT_MILLISECONDS = 1000
"""Longest wait for a non-blocking descriptor to take bytes, before the writer checks again."""

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
            # The parent process made it non-blocking for us as well: the flag is shared.
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


CAPACITY = 4096
"""Lines that may wait, the reserve included."""

AUDIT_RESERVE = 512
"""The last places of the queue, for audit lines only."""

LINGER_SECONDS = 0.02
"""Pause before a write, in which lines gather: one wake of the thread and one call for all."""

BATCH_CHARACTERS = 64 * 1024
CHUNK_BYTES = 16 * 1024
"""Most given to the sink at once, so that a slow reader is seen to take something."""

RETRY_SECONDS = 1.0
FAILING_SECONDS = 10.0
"""How long writes must fail, without one that succeeds, before that is a problem."""

STALL_SECONDS = 60.0
"""How long a sink may take nothing while lines wait."""

GONE = frozenset({errno.EPIPE, errno.EBADF, errno.ECONNRESET, errno.ENOTCONN})
"""The reader is gone: no later attempt will help, but with a named pipe."""

Kind = Literal["log", "audit"]
Dropped = dict[Kind, int]


class LogWriter:
    """Writes lines to a stream's descriptor from a daemon thread. No method raises."""

    def __init__(
        self,
        stream: TextIO | None,
        dropped_line: Callable[[Dropped], str],
        *,
        capacity: int = CAPACITY,
        reserve: int = AUDIT_RESERVE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`dropped_line`: renders the line that owns up to what was dropped."""
        self._sink = open_sink(stream)
        self._dropped_line = dropped_line
        self._limits: dict[Kind, int] = {"log": capacity - reserve, "audit": capacity}
        # Not `Queue`: its lock would deadlock when a finalizer logs in the middle of a put.
        self._queue: SimpleQueue[str | threading.Event | None] = SimpleQueue()
        self._force = threading.Event()
        self._closing = False
        self._health = SinkHealth(clock)
        self._lock = threading.RLock()
        self._dropped: Dropped = {"log": 0, "audit": 0}
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        if self._sink.waits:
            self._thread.start()

    def write(self, line: str, kind: Kind = "log") -> None:
        """Have `line` written soon; without a place in the queue it is dropped and counted."""
        if not self._sink.waits:
            self._write_now(line, kind)
        elif self._queue.qsize() >= self._limits[kind]:
            self._drop(kind)
        else:
            self._queue.put(line)

    def flush(self, seconds: float = 1.0) -> bool:
        """Wait until all lines so far are written, or `seconds`; return whether they are."""
        if not self._sink.waits or self._health.gone:
            return not self._health.gone
        written = threading.Event()
        self._queue.put(written)
        self._force.set()
        return written.wait(seconds)

    def close(self, seconds: float = 1.0) -> None:
        """Write what waits, for at most `seconds`, and end the thread."""
        self.flush(seconds)
        self._closing = True
        self._queue.put(None)
        self._force.set()

    def problem(self) -> str | None:
        """Return why the sink is unusable, as text for a probe, or None."""
        return self._health.problem()

    def _write_now(self, line: str, kind: Kind) -> None:
        try:
            self._sink.write(memoryview(self._sink.encode(f"{line}\n")))
            self._health.took()
        except Exception as error:  # noqa: BLE001  a stream of unknown type
            self._health.failed(error)
            self._drop(kind)

    def _drop(self, kind: Kind, count: int = 1) -> None:
        metrics.log_lines_dropped.labels(kind).inc(count)
        with self._lock:
            self._dropped[kind] += count

    def _run(self) -> None:
        while not self._closing:
            lines, flushes = self._gather()
            try:
                self._deliver(lines)
                self._own_up()
            except Exception as error:  # noqa: BLE001  the thread must outlive whatever it is
                self._health.failed(error)
                self._health.done()
                self._drop("log", len(lines))
            for written in flushes:
                written.set()
        self._sink.close()

    def _gather(self) -> tuple[list[str], list[threading.Event]]:
        """Wait for a line, then a moment for more; stop at the first flush."""
        lines: list[str] = []
        entry = self._queue.get()
        if isinstance(entry, str) and self._queue.empty():
            self._force.wait(LINGER_SECONDS)
        try:
            characters = 0
            while isinstance(entry, str):
                lines.append(entry)
                characters += len(entry)
                if characters > BATCH_CHARACTERS:
                    return lines, []
                entry = self._queue.get_nowait()
        except Empty:
            return lines, []
        self._force.clear()
        return lines, [] if entry is None else [entry]

    def _deliver(self, lines: Iterable[str]) -> None:
        """Write `lines`, however long it takes; given up only when the writer is closed."""
        data = memoryview(b"".join(self._sink.encode(f"{line}\n") for line in lines))
        self._health.given(len(data))
        while data:
            try:
                taken = self._sink.write(data[:CHUNK_BYTES])
            except OSError as error:
                self._health.failed(error)
                self._force.wait(RETRY_SECONDS)
                self._force.clear()
                taken = 0
            if taken:
                self._health.took()
            elif self._closing:
                return
            data = data[taken:]
        self._health.done()

    def _own_up(self) -> None:
        """Write how many lines are missing, now that the sink takes some again."""
        with self._lock:
            dropped, self._dropped = self._dropped, {"log": 0, "audit": 0}
        if any(dropped.values()):
            self._deliver([self._dropped_line(dropped)])


class SinkHealth:
    """How the sink does: written by the one that writes, read by the probe's thread."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._waiting_since: float | None = None
        self._failing_since: float | None = None
        self._error = ""
        self.gone = False
        """Whether the last write found the reader gone."""

    def given(self, count: int) -> None:
        """Record that bytes wait for the sink from now on."""
        self._waiting_since = self._clock() if count else None

    def took(self) -> None:
        """Record that it took some."""
        if self._waiting_since is not None:
            self._waiting_since = self._clock()
        self._failing_since, self.gone = None, False

    def done(self) -> None:
        """Record that nothing waits for it now."""
        self._waiting_since = None

    def failed(self, error: Exception) -> None:
        """Record that a write failed."""
        number = error.errno if isinstance(error, OSError) else None
        self._error = errno.errorcode.get(number or 0, type(error).__name__)
        self.gone = number in GONE
        if self._failing_since is None:
            self._failing_since = self._clock()

    def problem(self) -> str | None:
        """Return what is wrong, or None."""
        now, failing, waiting = self._clock(), self._failing_since, self._waiting_since
        if self.gone:
            return f"log sink gone ({self._error})"
        if failing is not None and now - failing >= FAILING_SECONDS:
            return f"log sink failing for {now - failing:.0f} s ({self._error})"
        if waiting is not None and now - waiting >= STALL_SECONDS:
            return f"log sink stalled: nothing taken for {now - waiting:.0f} s"
        return None

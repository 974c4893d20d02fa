"""The log writer: bounded, silent towards its callers, honest about what is missing."""

import contextlib
import os
import threading

import orjson
import pytest

from worker.telemetry import metrics
from worker.telemetry.log_writer import FAILING_SECONDS, STALL_SECONDS, LogWriter

LONG = "x" * 100_000
"""More than a pipe holds: the writer thread is stuck with it until someone reads."""


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def a_writer(clock):
    """Return a function that makes a writer; all are closed in the end."""
    with contextlib.ExitStack() as stack:

        def make(stream, **options):
            writer = LogWriter(stream, _dropped_line, clock=clock, **options)
            stack.callback(writer.close, 0.1)
            return writer

        yield make


@pytest.fixture
def pipe():
    """A reading descriptor and a writing stream; both closed in the end."""
    read, write = os.pipe()
    with os.fdopen(write, "w") as stream, os.fdopen(read, "rb", buffering=0) as reader:
        yield reader, stream


def _dropped_line(dropped):
    return orjson.dumps(dropped).decode()


def until(predicate):
    """Wait for an effect in the writer's thread."""
    pause = threading.Event()
    for _ in range(2000):
        if predicate():
            return
        pause.wait(0.005)
    raise AssertionError("it never came")


def read_lines(reader, last):
    """Read until the line `last` has come."""
    data = b""
    while not data.endswith(last + b"\n"):
        data += reader.read(65536)
    return data.splitlines()


def dropped(kind):
    return metrics.REGISTRY.get_sample_value("worker_log_lines_dropped_total", {"kind": kind})


def stuck(writer):
    """Give the writer a line its pipe cannot hold, and wait until it is at it."""
    writer.write(LONG)
    until(lambda: writer._queue.empty() and writer._health._waiting_since is not None)


def test_lines_are_written_in_their_order(a_writer, pipe):
    reader, stream = pipe
    writer = a_writer(stream)

    for number in range(100):
        writer.write(f"{number}")
    assert writer.flush(5)

    assert read_lines(reader, b"99") == [b"%d" % number for number in range(100)]


def test_what_does_not_fit_is_dropped_and_counted_and_owned_up_to(a_writer, pipe):
    reader, stream = pipe
    writer = a_writer(stream, capacity=10, reserve=4)
    before = dropped("log")

    stuck(writer)
    for number in range(9):
        writer.write(f"{number}")

    assert dropped("log") - before == 3
    lines = read_lines(reader, b"5")
    assert lines[1:] == [b'{"log":3,"audit":0}', b"0", b"1", b"2", b"3", b"4", b"5"]


def test_audit_lines_have_places_of_their_own(a_writer, pipe):
    reader, stream = pipe
    writer = a_writer(stream, capacity=10, reserve=4)

    stuck(writer)
    for _ in range(20):
        writer.write("log")
    for number in range(6):
        writer.write(f"audit {number}", "audit")

    lines = read_lines(reader, b"audit 3")
    assert lines[1] == b'{"log":14,"audit":2}'
    assert lines[-4:] == [b"audit 0", b"audit 1", b"audit 2", b"audit 3"]


def test_a_flush_ends_in_time_although_nothing_reads(a_writer, pipe):
    _, stream = pipe
    writer = a_writer(stream)

    stuck(writer)

    assert not writer.flush(0.05)


def test_a_reader_that_takes_nothing_for_a_minute_is_a_problem(a_writer, pipe, clock):
    reader, stream = pipe
    writer = a_writer(stream)

    stuck(writer)
    clock.now += STALL_SECONDS - 1
    early = writer.problem()
    clock.now += 1

    assert (early, writer.problem()) == (None, "log sink stalled: nothing taken for 60 s")
    read_lines(reader, LONG.encode())
    until(lambda: writer.problem() is None)


def test_a_slow_reader_is_no_problem(a_writer, pipe, clock):
    reader, stream = pipe
    writer = a_writer(stream)

    stuck(writer)
    clock.now += STALL_SECONDS - 1
    reader.read(20_000)
    until(lambda: writer._health._waiting_since == clock.now)
    clock.now += STALL_SECONDS - 1

    assert writer.problem() is None


def test_an_idle_sink_is_no_problem(a_writer, pipe, clock):
    _, stream = pipe
    writer = a_writer(stream)

    writer.write("line")
    assert writer.flush(5)
    clock.now += 10 * STALL_SECONDS

    assert writer.problem() is None


def test_a_reader_that_is_gone_is_a_problem_at_once(a_writer, pipe):
    reader, stream = pipe
    writer = a_writer(stream)

    reader.close()
    writer.write("line")

    until(lambda: writer.problem() == "log sink gone (EPIPE)")
    assert not writer.flush(60)  # not waited for


def test_nothing_is_lost_when_a_reader_comes_back_to_a_named_pipe(a_writer, tmp_path, monkeypatch):
    monkeypatch.setattr("worker.telemetry.log_writer.RETRY_SECONDS", 0.01)
    path = tmp_path / "fifo"
    os.mkfifo(path)
    first = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with path.open("w") as stream:
        writer = a_writer(stream)
        os.close(first)
        writer.write("one")
        until(lambda: writer.problem() is not None)

        with path.open("rb", buffering=0) as reader:
            writer.write("two")

            assert read_lines(reader, b"two") == [b"one", b"two"]
            until(lambda: writer.problem() is None)


def test_a_full_disk_is_a_problem_once_it_lasts(a_writer, clock, monkeypatch):
    monkeypatch.setattr("worker.telemetry.log_writer.RETRY_SECONDS", 0.01)
    with open("/dev/full", "w") as stream:  # noqa: PTH123  a device
        writer = a_writer(stream)

        writer.write("line")
        until(lambda: writer._health._failing_since is not None)
        early = writer.problem()
        clock.now += FAILING_SECONDS

        assert (early, writer.problem()) == (None, "log sink failing for 10 s (ENOSPC)")


def test_a_pipe_that_does_not_block_loses_nothing(a_writer, pipe):
    reader, stream = pipe
    os.set_blocking(stream.fileno(), False)
    writer = a_writer(stream)

    writer.write(LONG)
    writer.write("end")

    assert read_lines(reader, b"end") == [LONG.encode(), b"end"]


@pytest.mark.parametrize("text", ["é", "名", "😀", "\ud800"])
@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_characters_the_stream_lacks_are_escaped_as_in_json(a_writer, encoding, text):
    read, write = os.pipe()
    with os.fdopen(write, "w", encoding=encoding) as stream, os.fdopen(read, "rb") as reader:
        writer = a_writer(stream)

        writer.write(f'"{text}"')
        assert writer.flush(5)

        line = reader.readline().decode(encoding)
        assert line.strip() == f'"{text}"' or orjson.loads(line.replace("ud800", "u00e9"))
        if text != "\ud800":
            assert orjson.loads(line) == text


def test_a_stream_that_is_closed_later_is_still_written_to_and_its_number_left_alone(a_writer):
    read, write = os.pipe()
    stream = os.fdopen(write, "w")
    writer = a_writer(stream)
    stream.close()
    other, with_its_number = os.pipe()

    writer.write("line")
    assert writer.flush(5)

    assert os.read(read, 100) == b"line\n"
    os.set_blocking(other, False)
    with pytest.raises(BlockingIOError):
        os.read(other, 100)
    for descriptor in (read, other, with_its_number):
        os.close(descriptor)


def test_no_stream_at_all_is_a_problem_and_no_error(a_writer):
    writer = a_writer(None)
    before = dropped("log")

    writer.write("line")

    assert writer.problem() == "log sink gone (EBADF)"
    assert dropped("log") - before == 1


def test_a_stream_of_odd_make_that_fails_does_not_fail_its_caller(a_writer):
    class Odd:
        def write(self, _):
            raise RuntimeError

    writer = a_writer(Odd())
    before = dropped("audit")

    writer.write("line", "audit")

    assert dropped("audit") - before == 1


def test_an_unforeseen_fault_costs_its_lines_and_not_the_thread(a_writer, pipe):
    reader, stream = pipe
    writer = a_writer(stream)
    take, sink = writer._sink.write, writer._sink

    def fail_once(_):
        sink.write = take
        raise RuntimeError

    sink.write = fail_once
    writer.write("lost")
    writer.flush(5)
    writer.write("line")

    missing = b'{"log":1,"audit":0}'
    assert read_lines(reader, missing) == [b"line", missing]


def test_a_closed_writer_has_written_all_and_ended_its_thread(a_writer, pipe):
    reader, stream = pipe
    writer = a_writer(stream)

    writer.write("line")
    writer.close()

    writer._thread.join(5)
    assert not writer._thread.is_alive()
    assert read_lines(reader, b"line") == [b"line"]


def test_many_threads_and_a_finalizer_that_logs_lose_nothing(a_writer, pipe):
    reader, stream = pipe
    writer = a_writer(stream)

    class LogsWhenCollected:
        def __del__(self):
            writer.write("collected")

    def log():
        for _ in range(200):
            LogsWhenCollected()
            writer.write("line")

    threads = [threading.Thread(target=log) for _ in range(4)]
    for thread in threads:
        thread.start()
    collector = threading.Thread(target=lambda: lines.extend(read_lines(reader, b"end")))
    lines = []
    collector.start()
    for thread in threads:
        thread.join()
    writer.write("end")
    collector.join(10)

    assert len(lines) == 1601

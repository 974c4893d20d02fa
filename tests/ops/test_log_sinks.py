"""What becomes of a process whose log sink fails: nothing, and /livez says so."""

import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import orjson
import pytest

COUNT = 20_000
"""More lines than may wait and a pipe holds."""

CALL_SECONDS = 1.0
"""More than any log call may take on a busy machine, and far less than the reader stalls."""


class Child:
    def __init__(self, process):
        self._process = process
        self.url = self.heard()

    def command(self, command):
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()

    def heard(self):
        return self._process.stderr.readline().strip()

    def log(self, count):
        """Have it log, and return the seconds of the longest call."""
        self.command(f"log {count}")
        return float(self.heard().removeprefix("logged "))

    def livez(self):
        reply = httpx.get(f"{self.url}/livez", timeout=5)
        return reply.status_code, reply.text

    def metric(self, name):
        text = httpx.get(f"{self.url}/metrics", timeout=5).text
        return float(re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)[1])

    def end(self, command="exit"):
        """Have it end; return its exit code, and seconds it took."""
        begun = time.monotonic()
        self.command(command)
        return self._process.wait(20), time.monotonic() - begun


@contextmanager
def a_child(stdout, *arguments, **options):
    environment = os.environ | options.pop("environment", {})
    with subprocess.Popen(  # noqa: S603  our own child
        [sys.executable, "-m", "tests.ops.log_child", *arguments],
        stdin=subprocess.PIPE,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        cwd=Path(__file__).parents[2],
        **options,
    ) as process:
        try:
            yield Child(process)
        finally:
            process.kill()


@pytest.fixture
def pipe():
    """A pipe's two descriptors; what a test closes is closed."""
    read, write = os.pipe()
    yield read, write
    for descriptor in (read, write):
        try:
            os.close(descriptor)
        except OSError:
            continue


def read_all(descriptor):
    with os.fdopen(descriptor, "rb") as reader:
        return [orjson.loads(line) for line in reader.read().splitlines()]


def counted(lines):
    """Return how many lines are there, and how many are owned up to."""
    missing = [line for line in lines if line["event"] == "log_lines_dropped"]
    there = sum(line["event"] == "line" for line in lines)
    return there, sum(line["log"] for line in missing), sum(line["audit"] for line in missing)


def eventually(predicate):
    deadline = time.monotonic() + 20
    while not predicate():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_reader_that_is_gone_costs_lines_and_fails_livez(pipe):
    read, write = pipe
    with a_child(write) as child:
        os.close(write)
        assert child.livez() == (200, "ok\n")

        os.close(read)
        longest = child.log(COUNT)

        assert longest < CALL_SECONDS
        eventually(lambda: child.livez() == (503, "log sink gone (EPIPE)\n"))
        assert child.metric('worker_log_lines_dropped_total{kind="log"}') > 0
        assert child.end()[0] == 0


def test_a_reader_that_stalls_holds_up_nothing_and_learns_what_is_missing(pipe):
    read, write = pipe
    with a_child(write) as child:
        os.close(write)

        longest = child.log(COUNT)
        assert longest < CALL_SECONDS
        assert child.livez() == (200, "ok\n")  # a minute is given to it
        dropped = child.metric('worker_log_lines_dropped_total{kind="log"}')
        with ThreadPoolExecutor() as readers:
            reading = readers.submit(read_all, read)
            child.command("flush")
            assert child.heard() == "flushed True"
            child.end()
            lines = reading.result(20)

    assert dropped > 0
    assert counted(lines) == (COUNT - dropped, dropped, 0)
    assert sum(line["event"] == "audit_line" for line in lines) == COUNT / 100
    assert lines[-1]["event"] == "last_line"


def test_a_reader_that_stalls_does_not_hold_up_the_exit(pipe):
    with a_child(pipe[1]) as child:
        child.log(COUNT)

        code, seconds = child.end()

    assert code == 0
    assert seconds < 5


def test_stdout_of_ascii_takes_ids_of_all_alphabets(pipe):
    read, write = pipe
    ascii_only = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    with a_child(write, environment=ascii_only) as child:
        os.close(write)
        child.log(10)
        child.end()

    lines = read_all(read)
    assert {line["id"] for line in lines if line["event"] == "line"} == {"Zoë-名-😀"}
    assert counted(lines) == (10, 0, 0)


def test_a_file_at_its_limit_costs_lines_fails_livez_and_heals(tmp_path):
    path = tmp_path / "log"
    with path.open("wb") as file, a_child(file, str(100_000)) as child:
        longest = child.log(COUNT)
        assert longest < CALL_SECONDS
        eventually(lambda: child.livez()[1].startswith("log sink failing"))
        size = path.stat().st_size
        dropped = child.metric('worker_log_lines_dropped_total{kind="log"}')

        child.command("lift")
        child.command("flush")
        assert (child.heard(), child.heard()) == ("lifted", "flushed True")
        assert child.livez() == (200, "ok\n")
        child.end()

    lines = [orjson.loads(line) for line in path.read_bytes().splitlines()]
    assert size == 100_000
    assert counted(lines) == (COUNT - dropped, dropped, 0)


def test_a_closed_stdout_fails_livez_and_nothing_is_written_to_other_descriptors():
    with a_child(None, preexec_fn=lambda: os.close(1)) as child:
        child.log(10)

        assert child.livez() == (503, "log sink gone (EBADF)\n")
        assert child.end()[0] == 0


@pytest.mark.parametrize(("command", "code"), [("exit", 0), ("leave", 1)])
def test_the_last_line_is_there_however_the_process_ends(pipe, command, code):
    read, write = pipe
    with a_child(write) as child:
        os.close(write)

        assert child.end(command)[0] == code

    assert read_all(read)[-1]["event"] == "last_line"


def test_the_error_that_ended_the_process_is_its_last_line(pipe):
    read, write = pipe
    with a_child(write) as child:
        os.close(write)

        assert child.end("crash")[0] == 1

    last = read_all(read)[-1]
    assert (last["event"], last["error_class"]) == ("process_crashed", "ValueError")

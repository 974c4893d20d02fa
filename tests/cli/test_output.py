"""Standard output that cannot be written: a full disk, a reader that has left."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

LOST = "output could not be written: No space left on device\n"
SAMPLE = "tests/samples/events/platform/sta_sentiment.json"

COMMANDS = [
    ["--version"],
    ["--help"],
    ["settings"],
    ["settings", "--json"],
    ["inspect", SAMPLE],
    ["inspect", SAMPLE, "--json"],
]


def worker_into(output, *arguments, **environ):
    """Run a command whose standard output is `output`."""
    return subprocess.run(  # noqa: S603  our own command
        [sys.executable, "-m", "worker", *arguments],
        env={**os.environ, **environ},
        stdout=output,
        stderr=subprocess.PIPE,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.fixture
def full_disk():
    with Path("/dev/full").open("wb") as disk:
        yield disk


@pytest.fixture
def left_pipe():
    """A pipe that is read no more."""
    reading, writing = os.pipe()
    os.close(reading)
    yield writing
    os.close(writing)


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_full_disk_is_reported_in_a_line_and_exit_code_2(full_disk, command, unbuffered):
    run = worker_into(full_disk, *command, PYTHONUNBUFFERED=unbuffered)

    assert (run.returncode, run.stderr) == (2, LOST)


def test_dead_lettered_messages_are_not_lost_without_a_word_on_a_full_disk(full_disk, a_queue):
    queues = {"SQS_QUEUE_URL": a_queue(), "SQS_DEAD_LETTER_QUEUE_URL": a_queue("-dead-lettered")}

    run = worker_into(full_disk, "dlq", "list", "--json", **queues)

    assert (run.returncode, run.stderr) == (2, LOST)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_reader_that_has_left_is_no_trouble(left_pipe, command):
    run = worker_into(left_pipe, *command)

    assert run.returncode in (1, 2)
    assert "could not be" not in run.stderr
    assert "Error" not in run.stderr

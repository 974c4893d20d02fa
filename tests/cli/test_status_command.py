"""`worker status`: replicas behind one name, one overview; those that do not answer are shown."""

import json
from contextlib import ExitStack
from itertools import pairwise

import pytest
from typer.testing import CliRunner

from tests.support.replicas import (
    ADDRESSES,
    NAME,
    free_port,
    frozen_replica,
    names,
    replica,
    two_that_answer,
)
from tests.support.snapshots import HOSTILE, a_worker_at_work, a_worker_in_trouble, hostile_worker
from worker.cli.commands import app


@pytest.fixture
def port():
    return free_port()


@pytest.fixture
def named():
    with names({NAME: ADDRESSES}) as known:
        yield known


@pytest.fixture
def serve(port):
    """Return a function that serves a snapshot as a replica at an address."""
    with ExitStack() as stack:
        yield lambda snapshot, address, **more: stack.enter_context(
            replica(snapshot, address, port, **more)
        )


@pytest.fixture
def status():
    def run(*arguments, columns=200):
        return CliRunner(env={"COLUMNS": str(columns)}).invoke(app, ["status", *arguments])

    return run


def rows_of(output):
    return [line.split() for line in output.splitlines()]


@pytest.fixture
def frozen(port):
    with frozen_replica(ADDRESSES[2], port) as process:
        yield process


def test_three_replicas_behind_one_name_one_of_them_frozen(serve, status, named, frozen, port):
    moving, shut = two_that_answer()
    serve(moving, ADDRESSES[0], host="pod-a")
    serve(shut, ADDRESSES[1], host="pod-b")

    result = status("--url", f"http://{NAME}:{port}")

    frozen_at = f"{ADDRESSES[2]}:{port}"
    rows = rows_of(result.output)
    assert f"{frozen_at}  No answer: frozen: takes connections, and answers none" in result.output
    assert "1 replica does not answer: all sums are without it." in result.output
    assert ["voice", "differs", "40", "8", "12", "4"] in rows
    assert ["pod-a", "open", "5"] in rows
    assert ["pod-b", "closed", "3"] in rows
    assert [frozen_at, "unknown", "-"] in rows
    assert ["voice", "open", "ok", "150,", "retry", "1", "-"] in rows
    assert ["bad", "voice", "f1", "4", "0"] in rows
    assert "voice on pod-b: Gate closed: crm; 3 in flight, 38 visible" in result.output
    assert result.exit_code == 1


def test_a_replica_whose_loop_is_stalled_is_shown_as_such(serve, status, port):
    serve(a_worker_at_work(), ADDRESSES[0])._stall_seconds = 0

    result = status("--url", f"http://{ADDRESSES[0]}:{port}")

    assert "Not alive: process: event loop stalled" in result.output
    assert result.exit_code == 1


def test_a_worker_that_is_ready_is_exit_code_0(serve, status, port):
    serve(a_worker_at_work(), ADDRESSES[0], host="pod-a")

    result = status("--url", f"{ADDRESSES[0]}:{port}", columns=80)

    assert result.exit_code == 0
    assert ["genesys-voice", "open", "12", "3", "2", "0"] in rows_of(result.output)
    assert "reports" in result.output
    assert "warning: queue genesys-voice: maxReceiveCount: 3" in result.output


def test_cause_and_remedy_of_each_problem_are_shown_with_the_replicas_that_have_it(
    serve, status, named, port
):
    for address in ADDRESSES:
        serve(a_worker_in_trouble(), address, host=f"pod-{address[-1]}")

    result = status("--url", f"http://{NAME}:{port}")

    assert (
        "queue genesys-voice: ReceiveMessage fails with AccessDenied [pod-1, pod-2, pod-3]\n"
        "  What to do: allow the role sqs:ReceiveMessage on the queue"
    ) in result.output


def test_one_that_answers_at_two_addresses_is_counted_once(serve, status, named, port):
    serve(a_worker_at_work(), "127.0.0.1")
    named[NAME] = ("127.0.0.1", "::1")

    document = json.loads(status("--url", f"http://{NAME}:{port}", "--json").output)

    assert len(document["replicas"]) == 1
    assert document["queues"][0]["in_flight"] == 3


def test_none_that_answers_is_exit_code_3(status, port):
    result = status("--url", f"http://127.0.0.1:{port}", "--url", "http://nothing.invalid:1")

    assert result.exit_code == 3
    assert "No answer: no connection (ConnectionRefusedError)" in result.output
    assert "No answer: the name does not resolve" in result.output
    assert "No worker answers. Start one, or name them: `--url http://HOST:PORT`" in result.output
    assert "all sums" not in result.output


def test_a_narrow_terminal_gets_a_line_for_each_cell_and_no_broken_word(serve, status, named, port):
    moving, shut = two_that_answer()
    serve(moving, ADDRESSES[0], host="pod-a")
    serve(shut, ADDRESSES[1], host="pod-b")

    lines = status("--url", f"http://{NAME}:{port}", columns=40).output.splitlines()

    assert {"Queue: voice", "Gate: differs", "Dead letters: 4", "Fingerprint: f1"} <= {*lines}
    assert f"Address: {ADDRESSES[0]}:{port}" in lines
    assert "" in lines
    assert not any(pair == ("", "") for pair in pairwise(lines))
    assert max(map(len, lines)) <= 40


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_and_reasons_control_no_terminal(serve, status, port, text):
    serve(hostile_worker(text), ADDRESSES[0])

    result = status("--url", f"http://{ADDRESSES[0]}:{port}")

    assert "\x1b" not in result.output
    assert "\u202e" not in result.output


@pytest.mark.parametrize("url", ["https://worker:9464", "http://", "http://worker:0", "ftp://x"])
def test_a_url_that_cannot_be_asked_is_a_wrong_argument(status, url):
    assert status("--url", url).exit_code == 2


def test_a_port_that_the_worker_chose_itself_must_be_named(serve, status, port, monkeypatch):
    monkeypatch.setenv("OPS_PORT", "0")
    serve(a_worker_at_work(), ADDRESSES[0])

    asked = status()

    assert (asked.exit_code, "by --url" in asked.output) == (2, True)
    assert status("--url", f"{ADDRESSES[0]}:{port}").exit_code == 0


def test_watching_goes_on_until_it_is_interrupted(serve, status, port, monkeypatch):
    serve(a_worker_at_work(), ADDRESSES[0], host="pod-a")
    waits = []

    def interrupted(seconds):
        waits.append(seconds)
        if len(waits) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("worker.cli.status.time.sleep", interrupted)
    result = status("--watch", "--interval", "5", "--url", f"http://{ADDRESSES[0]}:{port}")

    assert waits == [5.0] * 3
    assert result.output.count("Ready") == 3
    assert result.exit_code == 0

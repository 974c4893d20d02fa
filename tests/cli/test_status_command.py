"""`worker status`: replicas behind one name, one overview; those that do not answer are shown."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from tests.support.snapshots import HOSTILE, a_worker_at_work, a_worker_in_trouble, hostile_worker
from worker.cli.main import app
from worker.ops import Health, OpsServer, Status, replicas
from worker.settings import Ops
from worker.telemetry import DeadLetterCause, JobStatus, QueueStatus, Snapshot

NAME = "worker.cluster.test"
ADDRESSES = ("127.0.0.21", "127.0.0.22", "127.0.0.23")
FROZEN = """
import socket
listener = socket.create_server(("127.0.0.23", {port}))
print("listening", flush=True)
while True: listener.accept()
"""
"""A process that is stopped takes connections all the same: its kernel does."""


@pytest.fixture
def port():
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


@pytest.fixture
def named(monkeypatch):
    """Let the resolver know a name of several addresses, as a headless service has."""
    known = {NAME: ADDRESSES}
    resolve = socket.getaddrinfo

    def lookup(host, port, *more, **options):
        if host not in known:
            return resolve(host, port, *more, **options)
        return [found for one in known[host] for found in resolve(one, port, *more, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    return known


@pytest.fixture
def serve(port):
    """Return a function that serves a snapshot as a replica at an address."""
    with ExitStack() as stack:

        def start(snapshot, address, *, host="", **checks):
            health = Health(stall_seconds=3600, checks=checks)
            health.beat()
            status = Status(lambda: snapshot, health)
            server = OpsServer(
                Ops(host=address, port=port), health, lambda: replace(status(), host=host)
            )
            stack.enter_context(server)
            return health

        yield start


@pytest.fixture
def status():
    def run(*arguments, columns=200):
        return CliRunner(env={"COLUMNS": str(columns)}).invoke(app, ["status", *arguments])

    return run


def a_queue(**over):
    return QueueStatus(
        **{
            "name": "voice",
            "jobs": ("voice",),
            "last_receive_seconds_ago": 0.1,
            "last_message_seconds_ago": 0.1,
            **over,
        }
    )


def a_replica(queue, **outcomes):
    cause = DeadLetterCause(reason="bad", job="voice", fingerprint="f1", dead_letters=2)
    return Snapshot(
        queues=(queue,),
        jobs=(JobStatus(name="voice", state="open", outcomes=outcomes),),
        dead_letter_causes=(cause,),
        in_flight=queue.in_flight,
        concurrency=64,
        uptime_seconds=7_500.0,
    )


def rows_of(output):
    return [line.split() for line in output.splitlines()]


@pytest.fixture
def frozen(port):
    """A process that was stopped: nothing of it runs, and its port takes connections."""
    command = [sys.executable, "-c", FROZEN.format(port=port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)  # noqa: S603  ours
    process.stdout.readline()
    os.kill(process.pid, signal.SIGSTOP)
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_three_replicas_behind_one_name_one_of_them_frozen(serve, status, named, frozen, port):
    # 20 in flight at SQS in all: 5 and 3 here, 12 elsewhere, as each of the two sees it.
    moving = a_queue(in_flight=5, visible=40, invisible=15, dead_letters=4)
    shut = a_queue(
        in_flight=3, visible=38, invisible=17, dead_letters=4, gate="closed", gate_reason="crm"
    )
    serve(a_replica(moving, ok=100, retry=1), ADDRESSES[0], host="pod-a")
    serve(a_replica(shut, ok=50), ADDRESSES[1], host="pod-b")

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


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\n\r\n<html>another server</html>",
        b"HTTP/1.1 200 OK\r\n\r\n{}",
        b"HTTP/1.1 404 Not Found\r\n\r\n{}",
        b"",
    ],
)
async def test_what_is_no_worker_is_shown_as_such(answer):
    async def reply(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(reply, "127.0.0.1", 0) as server:
        place = server.sockets[0].getsockname()
        [replica] = await replicas.ask_all([place])

    assert replica.status is None
    assert replica.problem == "answers, but not as a worker of this version does"


async def test_one_that_drips_is_given_up(monkeypatch):
    monkeypatch.setattr(replicas, "ANSWER_SECONDS", 0.5)

    given_up = asyncio.Event()

    async def drip(reader, writer):
        while not writer.is_closing():
            writer.write(b"H")
            await asyncio.sleep(0.05)
        given_up.set()

    async with await asyncio.start_server(drip, "127.0.0.1", 0) as server:
        [replica] = await replicas.ask_all([server.sockets[0].getsockname()])
        await given_up.wait()

    assert replica.problem.startswith("frozen: ")


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_names_and_reasons_control_no_terminal(serve, status, port, text):
    serve(hostile_worker(text), ADDRESSES[0])

    result = status("--url", f"http://{ADDRESSES[0]}:{port}")

    assert "\x1b" not in result.output
    assert "\u202e" not in result.output


@pytest.mark.parametrize("url", ["https://worker:9464", "http://", "http://worker:0", "ftp://x"])
def test_a_url_that_cannot_be_asked_is_a_wrong_argument(status, url):
    assert status("--url", url).exit_code == 2


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

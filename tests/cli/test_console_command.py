"""`worker console` as a process: where it listens, what it says, how it ends."""

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from urllib.request import Request, urlopen

import pytest


@contextmanager
def console(*options, **environ):
    """Run the command on a free port; yield the process and what it said first."""
    process = subprocess.Popen(  # noqa: S603  our own command
        [sys.executable, "-m", "worker", "console", "--port", "0", *options],
        env={**os.environ, **environ},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process, json.loads(process.stderr.readline())
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_listens_on_loopback_changes_nothing_and_ends_by_a_signal(number):
    with console() as (process, first):
        with urlopen(first["url"]) as reply:  # noqa: S310  ours
            page = reply.read().decode()
        process.send_signal(number)
        code = process.wait(20)

    assert first["event"] == "console_listening"
    assert first["url"].startswith("http://127.0.0.1:")
    assert first["changes_allowed"] is False
    assert "read-only" in page
    assert code == 0


def test_a_proxys_host_and_changes_are_allowed_by_options():
    options = ("--allow-host", "console.example", "--allow-changes")
    with console(*options) as (_, first):
        request = Request(first["url"], headers={"Host": "console.example"})  # noqa: S310  ours
        with urlopen(request) as reply:  # noqa: S310  ours
            page = reply.read().decode()

    assert "changes allowed" in page


def test_a_stream_that_is_open_does_not_hold_up_the_end():
    with console() as (process, first), urlopen(f"{first['url']}/live/") as stream:  # noqa: S310
        stream.readline()
        process.send_signal(signal.SIGTERM)

        assert process.wait(20) == 0


def test_that_others_can_reach_it_without_a_login_is_a_warning():
    with console("--host", "0.0.0.0") as (process, first):  # noqa: S104  what is warned of
        second = json.loads(process.stderr.readline())

    assert first["event"] == "console_listening"
    assert second["event"] == "console_open_to_network"
    assert second["level"] == "warning"


def test_a_port_that_is_taken_is_exit_code_1(worker_process):
    with console() as (_, first):
        port = first["url"].rpartition(":")[2]

        done = worker_process("console", "--port", port)

    assert done.code == 1
    assert f"cannot listen on 127.0.0.1, port {port}: " in done.err


@pytest.mark.parametrize(
    "options",
    [("--allow-host", "https://a.example"), ("--allow-host", ""), ("--url", "ftp://x")],
)
def test_what_is_no_host_is_exit_code_2(worker, options):
    assert worker("console", *options).code == 2

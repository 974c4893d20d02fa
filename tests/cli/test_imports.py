"""A command imports what it uses: that stays in memory, and a probe runs every few seconds."""

import os
import re
import subprocess
import sys

import pytest

NOTE = """
import atexit, runpy, sys
atexit.register(lambda: print(*sys.modules, sep="\\n", file=sys.stderr))
"""
RUN = "runpy.run_module('worker', run_name='__main__', alter_sys=True)"

TERMINALS = {"rich", "pygments", "click", "typer"}
SDK = {"aioboto3", "aiobotocore", "aiohttp", "s3transfer", "yarl"}
"""And aiohttp, which is another fifth of the imports: the SDK and proxies need it."""

OF_COMMANDS = re.compile(
    r"worker\.(demo|emulators|testing|ops\.replicas)\b"
    r"|worker\.jobs\.\w+\.(backfill|by_hand|checks|demo)$"
)
"""What the daemon has no use for, of our own: `source`, `status`, `check`, `backfill` and others
load it by name."""

EMULATORS = {"moto", "flask", "werkzeug"}


@pytest.fixture
def imported_by():
    """Return the modules that a command imports, under an environment without any setting."""

    def imported(*arguments, code=RUN):
        done = subprocess.run(  # noqa: S603  our own command
            [sys.executable, "-c", NOTE + code, *arguments],
            env={name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return set(done.stderr.split())

    return imported


def packages(modules):
    return {name.partition(".")[0] for name in modules}


def commands(modules):
    return {name for name in modules if name.startswith("worker.cli.")}


def test_the_daemon_imports_nothing_of_terminals_other_commands_or_emulators(imported_by):
    found = imported_by("run")  # it ends at its settings, with all imported

    assert found >= {"worker.app.main", "worker.jobs.reports", "worker.jobs.forward"}
    assert packages(found) & (TERMINALS | SDK | EMULATORS) == set()
    assert commands(found) == {"worker.cli.main", "worker.cli.run"}
    assert not any(OF_COMMANDS.match(name) for name in found)


def test_the_handlers_of_all_jobs_import_no_sdk_and_nothing_of_commands(imported_by):
    code = """
from importlib import import_module
from worker.app.jobs import BUILT_IN, known_jobs
for name in BUILT_IN:
    import_module(f"worker.jobs.{name}.handler")
"""
    found = imported_by(code=code)

    assert found >= {"worker.jobs.voice.records", "worker.jobs.reports.handler"}
    assert packages(found) & (SDK | EMULATORS) == set()
    assert not any(OF_COMMANDS.match(name) for name in found)


def test_open_clients_have_imported_neither_the_sdk_nor_aiohttp(imported_by):
    code = """
import asyncio, contextlib, os
from worker.clients.aws.session import AwsSession, ClientLimits
from worker.clients.http import HttpClient, HttpLimits

os.environ |= {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}

async def main():
    session = AwsSession(region="eu-west-1")
    async with contextlib.AsyncExitStack() as opened:
        for name in ("sqs", "dynamodb", "stepfunctions", "events", "s3", "kinesis", "firehose"):
            limits = ClientLimits(pool=1, read_seconds=1, attempts=1)
            await opened.enter_async_context(session.client(name, limits))
        await opened.enter_async_context(
            HttpClient("crm", "https://crm.example", HttpLimits(total_seconds=1))
        )
        import this

asyncio.run(main())
"""
    found = imported_by(code=code)

    assert "this" in found  # all were opened
    assert packages(found) & SDK == set()


def test_a_probe_imports_neither_the_settings_nor_any_client(imported_by):
    found = imported_by("health", "--url", "http://127.0.0.1:1/livez")

    assert "worker.cli.health" in found
    assert not any(re.match(r"worker\.(settings|clients|app|api|jobs)\b", name) for name in found)


def test_a_command_imports_no_other(imported_by):
    found = imported_by("trace", "--help")

    shared = {"worker.cli.main", "worker.cli.commands", "worker.cli.exit_codes"}
    assert commands(found) == shared | {"worker.cli.trace"}


def test_what_the_daemon_does_without_is_there_for_the_jobs_of_other_packages(imported_by):
    code = """
from worker.cli.run import spare_imports
with spare_imports():
    import httpx, structlog
import click, gc, rich
assert gc.isenabled() and gc.get_freeze_count() > 10_000
import this
"""
    found = imported_by(code=code)

    assert {"rich", "click", "this"} <= found

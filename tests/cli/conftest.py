"""The command line as a user meets it: arguments and environment in; text and exit code out."""

import asyncio
import os
import socket
import subprocess
import sys
from uuid import uuid4

import pytest

from tests.support.commands import Run, process_as_before
from worker.app.jobs import describe
from worker.cli.main import main
from worker.clients.aws.session import AwsSession, ClientLimits
from worker.emulators.moto import moto_server

LIMITS = ClientLimits(pool=5, read_seconds=60, attempts=1)


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch):
    for row in describe({}):
        if not row.name.startswith("AWS_"):
            monkeypatch.delenv(row.name, raising=False)
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture(autouse=True)
def _process_as_before():
    with process_as_before():
        yield


@pytest.fixture
def worker(monkeypatch, capsys):
    """Run a command in this process: `worker("settings", SQS_CONCURRENCY="no")`."""

    def run(*arguments, **environ):
        with monkeypatch.context() as patch:
            for name, value in environ.items():
                patch.setenv(name, value)
            patch.setattr(sys, "argv", ["worker", *arguments])
            capsys.readouterr()
            with pytest.raises(SystemExit) as exit_:
                main()
        return Run(exit_.value.code or 0, *capsys.readouterr())

    return run


@pytest.fixture
def worker_process():
    """Run a command as a process of its own."""

    def run(*arguments, **environ):
        done = subprocess.run(  # noqa: S603  our own command
            [sys.executable, "-m", "worker", *arguments],
            env={**os.environ, **environ},
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        return Run(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def closed_port():
    """A port of loopback that refuses every caller."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listened on
        yield taken.getsockname()[1]


@pytest.fixture(scope="session")
def moto_url():
    with moto_server() as url:
        yield url


@pytest.fixture
def aws(moto_url, monkeypatch):
    """Call AWS once: `aws("sqs", "create_queue", QueueName=...)`."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto_url)

    def call(service, operation, **arguments):
        async def once():
            async with AwsSession(transport="sdk").client(service, LIMITS) as client:
                return await getattr(client, operation)(**arguments)

        return asyncio.run(once())

    return call


@pytest.fixture
def a_queue(aws):
    def make(suffix="", **attributes):
        reply = aws(
            "sqs",
            "create_queue",
            QueueName=f"q-{uuid4().hex}{suffix}",
            Attributes={name: str(value) for name, value in attributes.items()},
        )
        return reply["QueueUrl"]

    return make

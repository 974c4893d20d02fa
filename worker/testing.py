"""For the tests of a job: emulators of all upstreams, and one run of the job against them.

A pytest plugin: `addopts = ["-p", "worker.testing"]`, or `pytest_plugins = ["worker.testing"]` in
the outermost conftest. It needs the extra `testing`; the worker itself never imports it.

    async def test_a_record_is_put(emulators):
        result = await run_job(JOB, an_event("v2.users.{id}.presence", {"id": "1"}))

Semantic versioning: what stands in `__all__` changes only with a new major version of the package.
"""

import json
import os
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from signal import SIGTERM
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio

from worker import settings as core
from worker.api import Event, Job, Result
from worker.app.command_line import open_with
from worker.app.intake import build_handler
from worker.app.jobs import declared, reader_of
from worker.demo import (
    LEDGER_TABLE,
    WorkerFailed,
    WorkerProcess,
    make_fixtures,
    open_environment,
    platform,
)
from worker.demo import Environment as Emulators
from worker.settings import Settings

__all__ = [
    "Emulators",
    "WorkerFailed",
    "WorkerProcess",
    "an_event",
    "emulators",
    "run_job",
    "run_worker",
    "until_settled",
]

STOP_SECONDS = 40


@pytest_asyncio.fixture
async def emulators(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Emulators]:
    """Start SQS, Genesys Cloud, AWS (moto), a CRM and webhook sinks; set the environment.

    All of it is new for each test. `emulators.aws("kinesis")` is a client of the emulated AWS.
    """
    async with open_environment() as started:
        await make_fixtures(started)
        for name, value in started.variables().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AWS_DEFAULT_REGION", started.variables()["AWS_REGION"])
        monkeypatch.delenv("AWS_PROFILE", raising=False)
        yield started


def an_event(
    topic: str,
    body: Mapping[str, Any],
    *,
    subject: str = "1",
    at: datetime | None = None,
    event_id: str | None = None,
) -> str:
    """Return an event as Genesys Cloud sends it over EventBridge.

    `topic`: with a literal `{id}`, in whose place `subject` stands. `at`, `event_id`: when it was
    sent and the id of its envelope; None: now, and a new one.
    """
    sent, envelope_id = at or datetime.now(UTC), event_id or str(uuid4())
    return platform(topic, body, at=sent, event_id=envelope_id, subject=subject)


async def run_job(
    job: Job[Any], event: Event | str | bytes | Mapping[str, Any], **settings: object
) -> Result:
    """Build the job as the daemon does, run it on one event, and return what it did.

    `event`: an event, or the body of a message, which is read by the job's own readers; of a body
    that stands for several events, each is run, and the last result returned.
    `settings`: variables, whatever their case, over those of the environment; None unsets one.

    Raises what the job raises, Permanent for a body that cannot be read, ConfigurationError for
    wrong settings, and ValueError for an event that is not the job's.
    """
    loaded = _settings_of(job, settings)
    events = [event] if isinstance(event, Event) else _read(job, loaded, _body(event))
    async with open_with(loaded) as context:
        handler = await build_handler(context, job)
        return [await handler(one) for one in events][-1]


@asynccontextmanager
async def run_worker(emulators: Emulators, **settings: object) -> AsyncIterator[WorkerProcess]:
    """Run `worker run` as a process on the emulators; at the end SIGTERM drains it.

    It knows the jobs that are installed. `settings`: as those of `run_job`, over those of the
    emulators alone. Raises WorkerFailed, with the end of its log, when it does not start, or ends
    with another exit code than 0.
    """
    environ = {**emulators.variables(), "LEDGER_TABLE": LEDGER_TABLE}
    with tempfile.TemporaryDirectory(prefix="worker-testing-") as folder:
        log = Path(folder) / "worker.log"
        async with WorkerProcess(_over(environ, settings), log) as worker:
            yield worker
            worker.signal(SIGTERM)
            if (code := await worker.wait(STOP_SECONDS)) != 0:
                raise WorkerFailed(f"ended with {code}:\n{worker.tail()}")


async def until_settled(emulators: Emulators, seconds: float = 60) -> None:
    """Wait until no message is left on the queues. Raises TimeoutError."""
    await emulators.sqs.wait_until(lambda: emulators.waiting() == 0, seconds)


def _settings_of(job: Job[Any], settings: Mapping[str, object]) -> Settings:
    environ = {**os.environ, "HANDLERS": job.name}
    return core.load_settings(_over(environ, settings), {job.name: declared(job)})


def _over(environ: Mapping[str, str], settings: Mapping[str, object]) -> dict[str, str]:
    named = {name.upper(): value for name, value in settings.items()}
    kept = {name: value for name, value in environ.items() if name not in named}
    return kept | {name: str(value) for name, value in named.items() if value is not None}


def _body(event: str | bytes | Mapping[str, Any]) -> str | bytes:
    return event if isinstance(event, str | bytes) else json.dumps(event)


def _read(job: Job[Any], settings: Settings, body: str | bytes) -> list[Event]:
    found = reader_of(job, settings)(body)
    if not isinstance(found, tuple):
        raise ValueError(f"job {job.name} takes no event of type {found.detail_type}")  # noqa: TRY004
    return [one.event for one in found]

"""What every test has: no AWS account in reach, and clean loops."""

import asyncio
import gc
from functools import cache

import pytest
import structlog
from hypothesis import settings

# The machine is shared; its speed is no failure.
settings.register_profile("steady", deadline=None, max_examples=40)
settings.register_profile("thorough", deadline=None, max_examples=200)
settings.load_profile("steady")


def pytest_itemcollected(item):
    """Let virtual time jump after four turns of the loop in which nothing happens.

    looptime waits for 42. What goes over loopback is there in the next turn, and hours of
    virtual time went in empty ones.
    """
    if item.get_closest_marker("looptime"):
        item.add_marker(pytest.mark.looptime(noop_cycles=4))


def pytest_collection_finish():
    """Look no more at what was imported: a fifth of the time went into collecting it again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def _tracebacks_are_plain():
    # structlog's own logger draws them with rich: a quarter of the time of tests full of faults.
    renderer = structlog.dev.ConsoleRenderer.get_active()
    renderer.exception_formatter = structlog.dev.plain_traceback


@pytest.fixture(scope="session", autouse=True)
def _models_are_read_once():
    """Let all sessions of a process share botocore's files: to read them took longer than tests."""
    from worker.clients.aws import session

    with pytest.MonkeyPatch.context() as patch:
        loader = cache(session.create_loader)
        patch.setattr("botocore.session.create_loader", loader)
        patch.setattr(session, "create_loader", loader)
        patch.setattr(session, "SlimLoader", cache(session.SlimLoader))
        yield


@pytest.fixture(scope="session", autouse=True)
def _a_loop_that_is_closed():
    # pytest-asyncio 1.5 asks Python 3.11 for «the current loop» before a session's first async
    # test; without one, Python makes a loop that no one closes, and warnings are errors here.
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    loop.close()


@pytest.fixture(autouse=True)
def _no_account(monkeypatch):
    """Dummy credentials and no metadata service: a test that forgets its endpoint fails fast."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)


@pytest.fixture(scope="session")
def moto():
    """The URL of one moto for all tests of a process: each makes what it needs, by a new name."""
    from worker.emulators.moto import moto_server

    with moto_server() as url:
        yield url


@pytest.fixture
async def wire(moto, monkeypatch):
    """A way to moto that can be cut; AWS_ENDPOINT_URL leads through it."""
    from tests.support.dynamodb import a_wire

    async with a_wire(moto) as wire:
        monkeypatch.setenv("AWS_ENDPOINT_URL", wire.url)
        yield wire

"""Servers to ask, and clients of each transport."""

import asyncio

import pytest
from aiohttp import web

from tests.support.aws import TRANSPORTS, WIRE
from tests.support.aws_stub import Stub, a_client
from worker.emulators import serving
from worker.emulators.sqs import SqsServer


@pytest.fixture(autouse=True)
def _only_the_tests_own_environment(monkeypatch, tmp_path):
    """No proxy, no bundle and no profile of the one who runs the tests."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))


@pytest.fixture
async def stub(monkeypatch):
    stub = Stub()
    app = web.Application(client_max_size=2**22)
    app.router.add_route("*", "/{tail:.*}", stub.serve)
    async with serving(app) as stub.url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", stub.url)
        yield stub


@pytest.fixture(params=TRANSPORTS)
def transport(request):
    return request.param


@pytest.fixture(params=WIRE)
def wire(request):
    """By whose connections the wire client calls."""
    return request.param


@pytest.fixture
def open_client(transport):
    """Make a client of the transport under test."""
    return lambda service="sqs", **limits: a_client(transport, service, **limits)


@pytest.fixture
def pauses(monkeypatch):
    """No pause takes time; how long each was meant to be."""
    asked = []
    sleep = asyncio.sleep

    async def at_once(seconds, *result):
        if seconds < 3600:
            asked.append(seconds)
            seconds = 0
        return await sleep(seconds, *result)

    monkeypatch.setattr(asyncio, "sleep", at_once)
    return asked


@pytest.fixture
async def sqs(monkeypatch):
    async with SqsServer() as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.endpoint_url)
        yield server

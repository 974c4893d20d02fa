"""Both transports look for the same server, with the same trust, on the same way."""

import asyncio
import ssl
from contextlib import asynccontextmanager

import pytest
from aiobotocore.session import AioSession
from aiohttp import web
from botocore.exceptions import (
    EndpointProviderError,
    InvalidRegionError,
    NoRegionError,
    ProxyConnectionError,
    SSLError,
)

from tests.support.aws_stub import a_client
from tests.support.tls import a_certificate
from worker.clients.aws.session import AwsSession, ClientLimits
from worker.clients.aws.wire.connection import endpoint_of
from worker.settings import Aws

SERVICES = ("sqs", "dynamodb", "stepfunctions", "events")
PROFILE = """
[default]
region = eu-central-1
services = mine
endpoint_url = https://all.example

[services mine]
dynamodb =
  endpoint_url = https://tables.example:8443/path/a b
"""

WORLDS = {
    "a region": {"AWS_DEFAULT_REGION": "eu-west-1"},
    "China": {"AWS_DEFAULT_REGION": "cn-north-1"},
    "the government's": {"AWS_DEFAULT_REGION": "us-gov-west-1"},
    "a region to come": {"AWS_DEFAULT_REGION": "eu-nowhere-9"},
    "FIPS": {"AWS_USE_FIPS_ENDPOINT": "true"},
    "a FIPS region of old": {"AWS_DEFAULT_REGION": "fips-us-east-2"},
    "dual stack": {"AWS_USE_DUALSTACK_ENDPOINT": "true"},
    "FIPS and dual stack": {
        "AWS_USE_FIPS_ENDPOINT": "true",
        "AWS_USE_DUALSTACK_ENDPOINT": "true",
    },
    "an endpoint": {"AWS_ENDPOINT_URL": "http://127.0.0.1:4566"},
    "an endpoint with a path": {"AWS_ENDPOINT_URL": "https://proxy.example/aws/"},
    "an IPv6 endpoint": {"AWS_ENDPOINT_URL": "http://[::1]:4566"},
    "endpoints of their own": {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_ENDPOINT_URL_SQS": "http://127.0.0.1:2",
        "AWS_ENDPOINT_URL_SFN": "http://127.0.0.1:3",
        "AWS_ENDPOINT_URL_EVENTBRIDGE": "http://127.0.0.1:4",
        "AWS_ENDPOINT_URL_DYNAMODB": "http://127.0.0.1:5",
    },
    "endpoints to be ignored": {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
    },
    "a profile": {"AWS_CONFIG_FILE": "profile"},
}


class _Seen(Exception):
    """Raised in place of sending."""


async def sdk_place(service):
    """The URL that the SDK would send to, and the scope of its signature."""

    def look(request, **_):
        scope = request.headers["Authorization"].decode().split("Credential=")[1].split(",")[0]
        _, _, region, name, _ = scope.split("/")
        raise _Seen(request.url, region, name)

    session = AwsSession(Aws(transport="sdk"))
    limits = ClientLimits(pool=1, read_seconds=1, attempts=1)
    async with session.client(service, limits) as client:
        client.meta.events.register("before-send", look)
        operation = {"sqs": "list_queues", "dynamodb": "list_tables", "events": "list_rules"}
        with pytest.raises(_Seen) as caught:
            await getattr(client, operation.get(service, "list_activities"))()
    url, region, name = caught.value.args
    return url.rstrip("/"), region, name


SIGNING_NAMES = {"stepfunctions": "states"}


@pytest.mark.parametrize("world", WORLDS)
async def test_a_service_is_where_the_sdk_finds_it(monkeypatch, tmp_path, world):
    (tmp_path / "profile").write_text(PROFILE)
    if world == "a profile":
        monkeypatch.delenv("AWS_DEFAULT_REGION")
    for name, value in WORLDS[world].items():
        monkeypatch.setenv(name, str(tmp_path / value) if name == "AWS_CONFIG_FILE" else value)

    for service in SERVICES:
        place = endpoint_of(AioSession(), service)
        ours = (str(place.url).rstrip("/"), place.region, SIGNING_NAMES.get(service, service))
        assert ours == await sdk_place(service)


async def test_a_missing_region_is_told_when_a_client_is_opened(transport, monkeypatch):
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    session = AwsSession(Aws(transport=transport))
    opening = session.client("sqs", ClientLimits(pool=1, read_seconds=1, attempts=1))

    with pytest.raises(NoRegionError):
        await opening.__aenter__()


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("AWS_DEFAULT_REGION", "not a region", InvalidRegionError),
        ("AWS_ENDPOINT_URL", "nonsense", ValueError),
    ],
)
async def test_a_place_that_cannot_be_is_told_when_a_client_is_opened(
    transport, monkeypatch, name, value, error
):
    monkeypatch.setenv(name, value)
    session = AwsSession(Aws(transport=transport))
    opening = session.client("sqs", ClientLimits(pool=1, read_seconds=1, attempts=1))

    with pytest.raises(error):
        await opening.__aenter__()


def test_endpoints_of_accounts_are_refused_where_they_are_required(monkeypatch):
    monkeypatch.setenv("AWS_ACCOUNT_ID_ENDPOINT_MODE", "required")

    with pytest.raises(EndpointProviderError):
        endpoint_of(AioSession(), "dynamodb")


async def test_a_proxy_of_the_environment_is_used(stub, open_client, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", stub.url.replace("http://", "http://user:pass%20word@"))
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://sqs.example")
    async with open_client() as client:
        await client.receive_message(QueueUrl="q")

    ((request, _),) = stub.asked
    assert str(request.url).rstrip("/") == "http://sqs.example"
    assert stub.headers("Proxy-Authorization") == ["Basic dXNlcjpwYXNzIHdvcmQ="]


async def test_a_place_that_is_excepted_needs_no_proxy(stub, open_client, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    async with open_client() as client:
        await client.receive_message(QueueUrl="q")

    assert len(stub.asked) == 1


async def test_a_proxy_that_is_down_is_told_without_its_password(open_client, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://user:canary@127.0.0.1:9")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://sqs.example")
    async with open_client() as client:
        with pytest.raises(ProxyConnectionError) as caught:
            await client.receive_message(QueueUrl="q")

    assert "canary" not in str(caught.value)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    return a_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
async def secure(certificate, monkeypatch):
    """The port of a server with that certificate."""

    async def answer(_):
        return web.Response(body=b"{}")

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    app = web.Application()
    app.router.add_post("/", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    port = runner.addresses[0][1]
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"https://localhost:{port}")
    yield port
    await runner.cleanup()


@pytest.mark.parametrize("variable", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"])
async def test_a_bundle_of_the_environment_is_trusted(
    secure, certificate, open_client, monkeypatch, variable
):
    monkeypatch.setenv(variable, str(certificate))
    async with open_client() as client:
        await client.receive_message(QueueUrl="q")


async def test_a_server_that_nobody_vouches_for_is_not_spoken_to(secure, open_client):
    async with open_client() as client:
        with pytest.raises(SSLError):
            await client.receive_message(QueueUrl="q")


@asynccontextmanager
async def a_tunnel():
    """A proxy that passes bytes on after CONNECT; gives its URL."""

    async def pass_on(reader, writer):
        try:
            while chunk := await reader.read(65536):
                writer.write(chunk)
        finally:
            writer.close()

    async def connect(reader, writer):
        request = await reader.readuntil(b"\r\n\r\n")
        host, _, port = request.split()[1].decode().partition(":")
        there_reader, there = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await asyncio.gather(pass_on(reader, there), pass_on(there_reader, writer))

    server = await asyncio.start_server(connect, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def test_a_server_behind_a_proxy_must_be_vouched_for_too(secure, certificate, monkeypatch):
    async with a_tunnel() as url:
        monkeypatch.setenv("HTTPS_PROXY", url)
        async with a_client("wire") as client:
            with pytest.raises(SSLError):
                await client.receive_message(QueueUrl="q")

        monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
        async with a_client("wire") as client:
            await client.receive_message(QueueUrl="q")

"""Both transports look for the same server, with the same trust, on the same way."""

import ssl

import pytest
from aiohttp import web
from botocore.exceptions import (
    EndpointProviderError,
    InvalidRegionError,
    NoRegionError,
    ProxyConnectionError,
    SSLError,
)
from botocore.session import Session

from tests.support.aws_stub import Say, a_client
from tests.support.proxy import a_proxy
from tests.support.tls import a_certificate
from worker.clients.aws.session import AwsSession, ClientLimits
from worker.clients.aws.wire.connection import endpoint_of

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

    session = AwsSession(transport="sdk")
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
        place = endpoint_of(Session(), service)
        ours = (place.url.geturl().rstrip("/"), place.region, SIGNING_NAMES.get(service, service))
        assert ours == await sdk_place(service)


async def test_a_missing_region_is_reported_when_a_client_is_opened(transport, monkeypatch):
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    session = AwsSession(transport=transport)
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
async def test_a_place_that_cannot_be_is_reported_when_a_client_is_opened(
    transport, monkeypatch, name, value, error
):
    monkeypatch.setenv(name, value)
    session = AwsSession(transport=transport)
    opening = session.client("sqs", ClientLimits(pool=1, read_seconds=1, attempts=1))

    with pytest.raises(error):
        await opening.__aenter__()


def test_endpoints_of_accounts_are_refused_where_they_are_required(monkeypatch):
    monkeypatch.setenv("AWS_ACCOUNT_ID_ENDPOINT_MODE", "required")

    with pytest.raises(EndpointProviderError):
        endpoint_of(Session(), "dynamodb")


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


async def test_a_proxy_that_is_down_is_reported_without_its_password(open_client, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://user:canary@127.0.0.1:9")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://sqs.example")
    async with open_client() as client:
        with pytest.raises(ProxyConnectionError) as caught:
            await client.receive_message(QueueUrl="q")

    assert "canary" not in str(caught.value)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    return a_certificate(tmp_path_factory.mktemp("tls"))


ASSUMED = b"""<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>
<AccessKeyId>k</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>
<Expiration>2126-03-02T12:00:00Z</Expiration>
</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"""


@pytest.fixture
async def secure(certificate, monkeypatch):
    """The port of a server with that certificate."""

    async def answer(request):
        if b"AssumeRole" in await request.read():
            return web.Response(body=ASSUMED, content_type="text/xml")
        return web.Response(body=b"{}" if request.method == "POST" else b"<Buckets/>")

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    port = runner.addresses[0][1]
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"https://localhost:{port}")
    yield port
    await runner.cleanup()


@pytest.mark.parametrize("variable", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
async def test_a_bundle_of_the_environment_is_trusted(
    secure, certificate, open_client, monkeypatch, variable
):
    monkeypatch.setenv(variable, str(certificate))
    async with open_client() as client:
        await client.receive_message(QueueUrl="q")


async def test_a_server_without_a_trusted_certificate_is_not_spoken_to(secure, open_client):
    async with open_client() as client:
        with pytest.raises(SSLError):
            await client.receive_message(QueueUrl="q")


@pytest.mark.parametrize("service", ["sqs", "s3"])
async def test_a_server_behind_a_proxy_must_be_vouched_for_too(
    secure, certificate, open_client, monkeypatch, service
):
    call = {"sqs": ("receive_message", {"QueueUrl": "q"}), "s3": ("list_buckets", {})}
    operation, parameters = call[service]
    async with a_proxy() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        async with open_client(service) as client:
            with pytest.raises(SSLError):
                await getattr(client, operation)(**parameters)

        monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
        async with open_client(service) as client:
            await getattr(client, operation)(**parameters)

    assert proxy.hosts == [f"localhost:{secure}"] * 2


@pytest.fixture
def role(monkeypatch, tmp_path):
    """Credentials are those that STS gives for a token in a file."""
    token = tmp_path / "token"
    token.write_text("a.web.token")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(token))
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::111122223333:role/worker")


@pytest.mark.usefixtures("role")
async def test_credentials_of_a_role_are_asked_for_through_a_proxy_with_the_same_trust(
    secure, monkeypatch
):
    async with a_proxy() as proxy:
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        with pytest.raises(SSLError):
            async with a_client("wire") as client:
                await client.receive_message(QueueUrl="q")

    assert proxy.hosts == [f"localhost:{secure}"]


@pytest.mark.usefixtures("secure", "role")
@pytest.mark.parametrize("variable", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"])
async def test_credentials_of_a_role_are_asked_for_with_a_bundle_of_the_environment(
    certificate, open_client, monkeypatch, variable
):
    monkeypatch.setenv(variable, str(certificate))
    async with open_client() as client:
        answer = await client.receive_message(QueueUrl="q")

    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200


async def test_a_reply_header_of_60_kib_is_read(stub, open_client):
    stub.replies = [Say(headers={"X-Trace": "t" * 60 * 1024})]
    async with open_client() as client:
        await client.receive_message(QueueUrl="q")

    assert len(stub.asked) == 1

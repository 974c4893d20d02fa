"""Private authorities and proxies: every client of ours goes the same way."""

import ssl
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from tests.support.proxy import a_proxy
from tests.support.tls import a_certificate
from worker.clients.http import HttpClient, HttpLimits
from worker.clients.http_network import proxy_for, shaken_hands, trusted
from worker.clients.http_types import Request
from worker.errors import ConfigurationError, Unavailable

LIMITS = HttpLimits(total_seconds=5)
HOST = "crm.example"
GET = Request(method="GET", path="/x?sig=%2F", template="/x")


@pytest.fixture(autouse=True)
def _only_the_tests_own_environment(monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    return a_certificate(tmp_path_factory.mktemp("tls"), HOST)


@asynccontextmanager
async def a_tls_server(certificate):
    """Give its port, and what it is asked for."""
    asked = []

    async def answer(request):
        asked.append(request.raw_path)
        return web.Response(body=b"{}")

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    yield runner.addresses[0][1], asked
    await runner.cleanup()


async def got(url):
    async with HttpClient("crm", url, LIMITS) as http:
        return (await http.send(GET)).status


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"])
async def test_a_private_authority_is_trusted(certificate, monkeypatch, variable):
    monkeypatch.setenv(variable, str(certificate))
    async with a_tls_server(certificate) as (port, _):
        assert await got(f"https://localhost:{port}") == 200


async def test_a_server_without_a_trusted_certificate_is_not_spoken_to(certificate):
    async with a_tls_server(certificate) as (port, asked):
        with pytest.raises(Unavailable, match="certificate is not trusted; SSL_CERT_FILE"):
            await got(f"https://localhost:{port}")

    assert asked == []


async def test_a_proxy_of_the_environment_is_used_and_the_server_still_vouched_for(
    certificate, monkeypatch
):
    async with a_tls_server(certificate) as (port, asked), a_proxy() as proxy:
        proxy.routes[HOST] = port
        monkeypatch.setenv("HTTPS_PROXY", proxy.url.replace("//", "//user:pass%20word@"))
        with pytest.raises(Unavailable):
            await got(f"https://{HOST}")

        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert await got(f"https://{HOST}") == 200

    assert proxy.hosts == [f"{HOST}:443"] * 2
    assert b"Proxy-Authorization: Basic dXNlcjpwYXNzIHdvcmQ=" in proxy.heads[1]
    assert asked == [GET.path]


async def test_a_host_that_is_excepted_needs_no_proxy(certificate, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "other.example,localhost")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    async with a_tls_server(certificate) as (port, _):
        assert await got(f"https://localhost:{port}") == 200


async def test_a_proxy_that_is_down_is_unavailable_and_its_password_untold(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://user:canary@127.0.0.1:9")
    with pytest.raises(Unavailable) as caught:
        await got(f"https://{HOST}")

    assert "the proxy of HTTPS_PROXY is not reached" in str(caught.value)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("proxy", ["proxy.example:3128", "//proxy.example:3128"])
def test_a_proxy_may_be_named_without_its_scheme(monkeypatch, proxy):
    monkeypatch.setenv("https_proxy", proxy)

    assert proxy_for("https://crm.example") == "http://proxy.example:3128"


def test_a_proxy_of_another_kind_is_a_configuration_error(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "socks5://user:canary@127.0.0.1:1080")
    with pytest.raises(ConfigurationError, match="HTTPS_PROXY") as caught:
        proxy_for("https://crm.example")

    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_bundle_that_cannot_be_read_is_a_configuration_error(monkeypatch, tmp_path, content):
    bundle = tmp_path / "ca.pem"
    if content is not None:
        bundle.write_text(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(bundle))

    with pytest.raises(ConfigurationError, match="SSL_CERT_FILE: is no bundle of certificates"):
        trusted()


async def test_authorities_are_read_where_there_is_tls(monkeypatch, tmp_path):
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))

    with pytest.raises(ConfigurationError, match="SSL_CERT_FILE"):
        HttpClient("crm", "https://127.0.0.1:1", LIMITS)
    async with HttpClient("crm", "http://127.0.0.1:1", LIMITS) as http:
        with pytest.raises(Unavailable):
            await http.send(GET)


async def test_hands_are_shaken_through_the_proxy_with_the_same_trust(certificate, monkeypatch):
    async with a_tls_server(certificate) as (port, asked), a_proxy() as proxy:
        proxy.routes[HOST] = port
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        with pytest.raises(ssl.SSLCertVerificationError):
            await shaken_hands(f"https://{HOST}/canary")

        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        await shaken_hands(f"https://{HOST}/canary")

    assert (proxy.hosts, asked) == ([f"{HOST}:443"] * 2, [])


async def test_a_proxy_that_refuses_is_an_error_of_the_network(monkeypatch):
    async with a_proxy() as proxy:
        proxy.routes[HOST] = 9
        monkeypatch.setenv("HTTPS_PROXY", proxy.url)
        with pytest.raises(OSError, match="refuse"):
            await shaken_hands(f"https://{HOST}/canary")

"""A whole worker behind a proxy, and with servers that only a private authority vouches for."""

import asyncio
import json
import re
import ssl
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from tests.service.conftest import CUSTOMER, sample
from tests.support.proxy import a_proxy
from tests.support.tls import a_certificate
from worker.demo.environment import REPORT_BUCKET, put_events
from worker.emulators.genesys.history import History, Past

TRANSCRIPTS = "inin-prod-useast1-transcripts.s3.us-east-1.amazonaws.com"
EVENTS = [
    sample("events/platform/sta_sentiment.json"),
    sample("events/platform/customer_start.json"),
    sample("events/platform/customer_end_message.json"),
    json.dumps(
        {
            "id": "5e000000-0000-4000-8000-000000000001",
            "detail-type": "report.due",
            "source": "scheduler",
            "time": "2026-03-02T02:00:00Z",
            "detail": {"name": "daily", "interval": "2026-03-01T00:00:00Z/2026-03-02T00:00:00Z"},
        }
    ),
]
_LOCAL = re.compile(r"http://127\.0\.0\.1:(\d+)")


def host_of(port):
    """Return a name without a dot: the emulated S3 takes the first of several for a bucket."""
    return f"port-{port}"


@asynccontextmanager
async def a_tls_front(certificate, port):
    """Unwrap TLS in front of a plain server of this machine; give the port."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)

    async def passed(reader, writer):
        try:
            while chunk := await reader.read(65536):
                writer.write(chunk)
        except OSError:
            pass  # either side may go at any time
        finally:
            writer.close()

    async def serve(reader, writer):
        behind_reader, behind = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(passed(reader, behind), passed(behind_reader, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    yield server.sockets[0].getsockname()[1]
    server.close()


@pytest.fixture
async def private(emulators, tmp_path):
    """The proxy, and the settings of a worker that reaches all emulators only through it."""
    variables = emulators.variables()
    ports = {int(port) for value in variables.values() for port in _LOCAL.findall(value)}
    genesys = int(_LOCAL.match(emulators.genesys.url)[1])
    certificate = a_certificate(tmp_path, *map(host_of, ports), TRANSCRIPTS)
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(a_proxy())
        fronts = {
            port: await stack.enter_async_context(a_tls_front(certificate, port)) for port in ports
        }
        proxy.routes = {host_of(port): front for port, front in fronts.items()}
        proxy.routes[TRANSCRIPTS] = fronts[genesys]
        emulators.genesys.url = f"https://{TRANSCRIPTS}"
        settings = {
            name: _LOCAL.sub(lambda found: f"https://{host_of(found[1])}", value)
            for name, value in variables.items()
        }
        network = {"HTTPS_PROXY": proxy.url, "SSL_CERT_FILE": str(certificate)}
        yield proxy, settings | network


async def test_genesys_crm_webhooks_transcripts_s3_and_sqs_are_reached_through_the_proxy(
    emulators,
    private,
    start_worker,
    known_customer,
    flow_and_customer,
    severe_chat,
    settled,
    records,
):
    proxy, settings = private
    emulators.genesys.history = History([Past(id=CUSTOMER, start_ms=1_772_330_400_000)])

    async with start_worker(**settings):
        for event in EVENTS:
            emulators.sqs.send(emulators.queue_url, event)
        await settled()

    assert len(await records()) == 1
    assert {name: len(sink.taken) for name, sink in emulators.sinks.items()} == dict.fromkeys(
        emulators.sinks, 1
    )
    assert len(await put_events(emulators, "genesys.sentiment.forwarder")) == 2
    async with emulators.aws("s3") as s3:
        assert (await s3.list_objects_v2(Bucket=REPORT_BUCKET))["KeyCount"] == 4
    assert emulators.sqs.messages(emulators.dead_letter_url) == ()
    assert {host.rpartition(":")[0] for host in proxy.hosts} == set(proxy.routes)

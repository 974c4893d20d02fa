"""`worker demo --emulators`: for a worker that another starts."""

import asyncio
import signal
import socket
import sys
from contextlib import suppress

import aiohttp
import pytest

from worker.demo import standalone
from worker.demo.environment import PORTS
from worker.demo.process import WorkerProcess
from worker.demo.standalone import Endless
from worker.emulators import Address

READY_SECONDS = 60


def nine_free_ports():
    """Return the first of as many free ports in a row as the emulators take."""
    for first in range(21_000, 30_000, 50):
        try:
            for port in range(first, first + len(PORTS)):
                socket.create_server(("127.0.0.1", port)).close()
        except OSError:
            continue
        return first
    raise AssertionError("no free ports")


@pytest.fixture
async def alone():
    """Start the command; return its process and first port once it says that all is ready."""
    port = nine_free_ports()
    command = [sys.executable, "-m", "worker", "demo", "--emulators", "--port", str(port)]
    process = await asyncio.create_subprocess_exec(
        *command, "--rate", "50", stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(READY_SECONDS):
        while not (await process.stdout.readline()).startswith(b"# ready"):
            assert process.returncode is None
    yield process, port
    if process.returncode is None:
        process.kill()
    await process.wait()


async def environment_at(port):
    url = f"http://127.0.0.1:{port}/environment"
    async with aiohttp.ClientSession() as http, http.get(url) as reply:
        return dict(line.split("=", 1) for line in (await reply.text()).splitlines())


async def test_a_worker_given_the_printed_environment_handles_the_traffic(alone, tmp_path):
    _, port = alone

    async with WorkerProcess(await environment_at(port), tmp_path / "worker.log") as worker:
        async with asyncio.timeout(READY_SECONDS):
            while "\nworker_messages_acked_total 0.0" in await worker.page("/metrics"):  # noqa: ASYNC110
                await asyncio.sleep(0.1)


async def test_sigterm_ends_the_emulators_well(alone):
    process, _ = alone

    process.send_signal(signal.SIGTERM)

    assert await asyncio.wait_for(process.wait(), 60) == 0


async def test_a_taken_port_is_a_configuration_error_and_no_endless_wait(alone):
    _, port = alone

    second = await asyncio.create_subprocess_exec(
        *[sys.executable, "-m", "worker", "demo", "--emulators", "--port", str(port - 2)],
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        _, reported = await asyncio.wait_for(second.communicate(), READY_SECONDS)
    finally:
        with suppress(ProcessLookupError):
            second.kill()

    assert second.returncode == 2
    assert b"DEMO_HOST, DEMO_PORT" in reported


@pytest.fixture
def send_cycles(emulators, monkeypatch):
    """Return a function that sends five small cycles and calls `look` at each message."""

    async def play(look):
        sent = []
        enough = asyncio.Event()

        def send(_, body):
            sent.append(look(body))
            if len(sent) == 250:
                enough.set()

        monkeypatch.setattr(standalone, "EVENTS_A_CYCLE", 20)
        monkeypatch.setattr(emulators.sqs, "send", send)
        traffic = asyncio.create_task(Endless(emulators, 10_000).send(1))
        await asyncio.wait_for(enough.wait(), READY_SECONDS)
        traffic.cancel()
        return sent

    return play


async def test_what_old_cycles_asked_for_is_forgotten(emulators, send_cycles, monkeypatch):
    monkeypatch.setattr(standalone, "KEEP_SECONDS", 0)

    held = await send_cycles(lambda _: len(emulators.genesys.conversations))

    assert max(held) <= 3 * held[0]


async def test_what_recent_cycles_asked_for_is_kept(emulators, send_cycles):
    held = await send_cycles(lambda _: len(emulators.genesys.conversations))

    assert held[-1] > 3 * held[0]


async def test_unreadable_messages_come_in_the_first_cycle_only(send_cycles):
    sent = await send_cycles(lambda body: body)

    assert sent.count("not JSON") == 1


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:4700"),
        ("0.0.0.0", "http://127.0.0.1:4700"),  # noqa: S104  named, not listened on
        ("::", "http://[::1]:4700"),
        ("10.0.0.7", "http://10.0.0.7:4700"),
    ],
)
def test_a_url_names_an_address_that_clients_can_call(host, url):
    assert Address(host).url(4700) == url

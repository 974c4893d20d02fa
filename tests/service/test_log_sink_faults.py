"""A whole worker whose log has nowhere to go: everything is done once all the same."""

import asyncio
import os
import resource
import signal
import socket
import sys
from contextlib import asynccontextmanager

import aiohttp
import pytest

from tests.service.test_shutdown import scores

COUNT = 100


def a_free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


class Worker:
    def __init__(self, process, url):
        self.process = process
        self.url = url

    async def page(self, path):
        async with aiohttp.ClientSession() as http, http.get(f"{self.url}{path}") as reply:
            return reply.status, await reply.text()

    async def is_ready(self):
        try:
            return (await self.page("/readyz"))[0] == 200
        except aiohttp.ClientError:
            assert self.process.returncode is None
            return False

    async def end(self, *signals):
        for number in signals:
            self.process.send_signal(number)
        async with asyncio.timeout(30):
            return await self.process.wait()


@pytest.fixture
def start(emulators, eventually):
    """Return a context manager that runs a ready worker with a stdout of the test's own."""

    @asynccontextmanager
    async def start(stdout, preexec_fn=None, **overrides):
        port = a_free_port()
        environment = emulators.variables() | {"OPS_PORT": str(port)} | overrides
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "worker", "run"),
            stdout=stdout,
            env=environment,
            preexec_fn=preexec_fn,
        )
        try:
            worker = Worker(process, f"http://127.0.0.1:{port}")
            await eventually(worker.is_ready)
            yield worker
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    return start


@pytest.fixture
def send_all(emulators, settled, records):
    """Return a function that sends events and asserts that each was done once."""

    async def send():
        for body in scores(COUNT):
            emulators.sqs.send(emulators.queue_url, body)
        await settled(60)

        assert len(await records()) == COUNT
        assert sum(emulators.sqs.depth(emulators.dead_letter_url)) == 0

    return send


async def test_a_reader_that_is_gone_is_not_felt_in_the_work(start, send_all, eventually):
    read, write = os.pipe()
    async with start(write) as worker:
        os.close(write)
        os.close(read)

        await send_all()

        async def livez_says_so():
            return await worker.page("/livez") == (503, "log sink gone (EPIPE)\n")

        await eventually(livez_says_so)
        assert await worker.end(signal.SIGTERM) == 0


async def test_stdout_of_ascii_is_not_felt_in_the_work(start, send_all, tmp_path):
    with (tmp_path / "log").open("wb") as file:
        async with start(file, PYTHONIOENCODING="ascii", PYTHONUTF8="0") as worker:
            await send_all()

            assert (await worker.page("/livez"))[0] == 200


async def test_a_file_at_its_limit_is_not_felt_in_the_work(start, send_all, tmp_path, eventually):
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    with (tmp_path / "log").open("wb") as file:
        async with start(file, preexec_fn=limit) as worker:
            await send_all()

            async def livez_says_so():
                return (await worker.page("/livez"))[1].startswith("log sink failing")

            await eventually(livez_says_so)
            assert await worker.end(signal.SIGTERM) == 0


@pytest.mark.parametrize("signals", [[signal.SIGTERM], [signal.SIGTERM, signal.SIGTERM]])
async def test_a_reader_that_stalls_is_not_felt_in_the_work_nor_at_the_end(
    start, send_all, signals
):
    read, write = os.pipe()
    with os.fdopen(read), os.fdopen(write, "wb") as stdout:
        # Full from the start.
        os.set_blocking(write, False)
        while stdout.raw.write(b"\n" * 4096):
            pass
        os.set_blocking(write, True)
        async with start(write, LOG_LEVEL="debug") as worker:
            await send_all()

            assert (await worker.page("/livez"))[0] == 200
            async with asyncio.timeout(15):
                assert await worker.end(*signals) in (0, 1)

"""`worker demo`, to its own end, or ended by a person at a terminal or by a supervisor."""

import asyncio
import os
import re
import signal
import sys

import aiohttp
import pytest

END_SECONDS = 90


@pytest.fixture
async def demo():
    """Start the command in a process group of its own, as a shell does."""
    started = []

    async def start(*options):
        process = await asyncio.create_subprocess_exec(
            *[sys.executable, "-m", "worker", "demo", "--events", "20", *options],
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            # A company's proxy, which reaches nothing of this machine.
            env={**os.environ, "HTTP_PROXY": "http://127.0.0.1:9"},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def line_with(process, text):
    async with asyncio.timeout(END_SECONDS):
        while text not in (line := (await process.stdout.readline()).decode()):
            assert line
    return line


@pytest.mark.parametrize("queues", ["one", "per-job"])
async def test_the_demo_proves_every_effect_however_many_queues_there_are(demo, queues):
    process = await demo("--queues", queues)

    async with asyncio.timeout(END_SECONDS):
        outcome, _ = await process.communicate()
    assert "WRONG" not in outcome.decode()
    assert process.returncode == 0
    rows = re.findall(r"chat end +(workflow|sentiment)?", outcome.decode())
    assert rows == {"one": [""], "per-job": ["sentiment", "workflow"]}[queues]


async def test_ctrl_c_at_a_terminal_ends_a_served_demo_well(demo):
    process = await demo("--serve")
    await line_with(process, "serving")

    os.killpg(process.pid, signal.SIGINT)  # a terminal signals everyone who belongs to it

    async with asyncio.timeout(END_SECONDS):
        outcome, _ = await process.communicate()
    assert "WRONG" not in outcome.decode()
    assert process.returncode == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
async def test_a_demo_that_is_ended_takes_its_worker_with_it(demo, number):
    process = await demo()
    url = re.search(r"http://\S+?(?=/status)", await line_with(process, "worker ready"))[0]

    process.send_signal(number)

    async with asyncio.timeout(END_SECONDS):
        said, _ = await process.communicate()
    assert (process.returncode, "Traceback" in said.decode()) == (128 + number, False)
    async with aiohttp.ClientSession() as http:
        with pytest.raises(aiohttp.ClientConnectorError):
            await http.get(f"{url}/livez")

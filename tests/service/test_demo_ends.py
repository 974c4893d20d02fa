"""`worker demo`, to its own end, or ended by a person at a terminal or by a supervisor."""

import asyncio
import os
import pty
import re
import signal
import sys

import aiohttp
import pytest

END_SECONDS = 90
COLOUR = re.compile(r"\x1b\[(?:\d+;)*(?:[34][0-8]|9[0-7]|10[0-7])[;m]")


STYLE = re.compile(r"\x1b\[[\d;]*m")


class Terminal:
    """A terminal of 100 columns, and what was written on it."""

    def __init__(self, ours, end):
        self.end = end
        self._ours = ours
        self._written = ""
        self._more = asyncio.Event()

    def take(self):
        self._written += os.read(self._ours, 65536).decode(errors="replace")
        self._more.set()

    async def until(self, text):
        """Wait until that line was written, and return all since the last call."""
        async with asyncio.timeout(END_SECONDS):
            while text not in self._written:
                self._more.clear()
                await self._more.wait()
        seen, self._written = self._written, ""
        return seen


@pytest.fixture
async def terminal():
    ours, end = pty.openpty()
    terminal = Terminal(ours, end)
    asyncio.get_running_loop().add_reader(ours, terminal.take)
    yield terminal
    asyncio.get_running_loop().remove_reader(ours)
    os.close(ours)
    os.close(end)


@pytest.fixture
async def demo():
    """Start the command in a process group of its own, as a shell does."""
    started = []

    async def start(*options, stdout=asyncio.subprocess.PIPE, **environment):
        process = await asyncio.create_subprocess_exec(
            *[sys.executable, "-m", "worker", "demo", "--events", "20", *options],
            stdout=stdout,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            # A company's proxy, which reaches nothing of this machine.
            env={**os.environ, "HTTP_PROXY": "http://127.0.0.1:9", "COLUMNS": "100", **environment},
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def page_of(url):
    async with aiohttp.ClientSession() as http, http.get(url) as reply:
        return await reply.text()


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
    assert "\x1b" not in outcome.decode()  # a pipe is no terminal


async def test_ctrl_c_at_a_terminal_ends_a_served_demo_well(demo, terminal, tmp_path):
    (tmp_path / "worker.log").write_text('{"event":"of a demo before"}\n')
    process = await demo("--serve", "--keep", tmp_path, stdout=terminal.end, NO_COLOR="1")
    before = await terminal.until("serving")
    console = await page_of(re.search(r"console: (http://127\.0\.0\.1:\d+/)", before)[1])

    os.killpg(process.pid, signal.SIGINT)  # a terminal signals everyone who belongs to it

    async with asyncio.timeout(END_SECONDS):
        await process.wait()
    after = await terminal.until("clean exits of the worker")
    assert process.returncode == 0
    assert "changes allowed" in console
    assert "genesys-voice" in console
    assert "WRONG" not in before + after
    sent = re.findall(r" (\d+) +\d+ +\d+ +\d+ +\d+\.\d\d +\d+\.\d\d", STYLE.sub("", before))
    totals = re.findall(r" \d+/(\d+) ", before)
    assert totals[0] == str(sum(map(int, sent)))  # of the bar, from its start
    assert re.search(r"\d+\.\d +the CRM is down", before)
    assert ("SQS calls per" in before, "SQS calls per" in after) == (True, False)
    assert not COLOUR.search(before + after)
    kept = sorted(path.name for path in tmp_path.rglob("*.*"))
    assert kept == [
        *("console.log", "manifest.json", "report.csv", "report.html", "report.json"),
        *("results.html", "worker.log"),
    ]
    assert "the CRM is down" in (tmp_path / "results.html").read_text()
    assert "of a demo before" not in (tmp_path / "worker.log").read_text()


async def test_a_folder_that_cannot_be_made_is_refused_before_anything_starts(demo, tmp_path):
    (tmp_path / "file").touch()

    process = await demo("--keep", tmp_path / "file" / "folder")

    outcome, _ = await process.communicate()
    assert process.returncode == 2
    assert "Not a directory" in outcome.decode()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
async def test_a_demo_that_is_ended_leaves_neither_worker_nor_folder(demo, number, tmp_path):
    process = await demo(TMPDIR=str(tmp_path))
    url = re.search(r"http://\S+?(?=/status)", await line_with(process, "worker ready"))[0]

    process.send_signal(number)

    async with asyncio.timeout(END_SECONDS):
        said, _ = await process.communicate()
    assert (process.returncode, "Traceback" in said.decode()) == (128 + number, False)
    assert list(tmp_path.glob("worker-demo-*")) == []
    async with aiohttp.ClientSession() as http:
        with pytest.raises(aiohttp.ClientConnectorError):
            await http.get(f"{url}/livez")

"""Whatever becomes of the log: all is acked and reported once, or the process says it is ill."""

import asyncio
import fcntl
import os
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tests.isolation.lab import Lab, open_lab
from tests.isolation.process import RUN, Worker
from tests.isolation.proof import Proof
from tests.isolation.sizes import Size
from tests.isolation.traffic import chat

CHATS = 60
ILL_SECONDS = 30
STALL_SECONDS = 20
PIPE_BYTES = 4096
LOG_BYTES = 8192
TWICE_SECONDS = 5
CODE = """
import os, resource, sys
most = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""
LIMITED = ("-c", CODE, str(LOG_BYTES))
"""Program that runs another one whose files may not grow beyond."""


@dataclass
class Pipe:
    """The reading end of a worker's stdout."""

    reading: int
    writing: int
    open: bool = True

    def gone(self) -> None:
        """Close it: the next line breaks the pipe."""
        if self.open:
            asyncio.get_running_loop().remove_reader(self.reading)
            os.close(self.reading)
        self.open = False

    def flow(self) -> None:
        """Read on, and throw away."""
        if self.open:
            reader = asyncio.get_running_loop().add_reader
            reader(self.reading, lambda: os.read(self.reading, PIPE_BYTES))

    def stall(self) -> None:
        """Read no more."""
        asyncio.get_running_loop().remove_reader(self.reading)


@asynccontextmanager
async def a_pipe() -> AsyncIterator[Pipe]:
    """Make a small one, so that few lines fill it."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    os.set_blocking(reading, False)
    pipe = Pipe(reading, writing)
    pipe.flow()
    try:
        yield pipe
    finally:
        pipe.gone()
        os.close(writing)


async def reader_gone(size: Size) -> Proof:
    """Close the pipe that stdout goes to, then send."""
    async with open_lab(size) as lab, a_pipe() as pipe:
        worker = lab.worker(("sentiment",), output=pipe.writing)
        await worker.start()
        pipe.gone()
        await _reported_or_ill(lab, worker)
        return lab.proof


async def ascii_stdout(size: Size) -> Proof:
    """Let stdout take ASCII only, and send ids that are none."""
    async with open_lab(size) as lab:
        worker = lab.worker(
            ("sentiment",), PYTHONIOENCODING="ascii:strict", PYTHONUTF8=0, LC_ALL="C"
        )
        await worker.start()
        await _reported_or_ill(lab, worker, correlation_id="Zürich-")
        return lab.proof


async def full_file(size: Size) -> Proof:
    """Let the log file reach its limit (RLIMIT_FSIZE)."""
    async with open_lab(size) as lab:
        worker = lab.worker(("sentiment",), program=(*LIMITED, *RUN))
        await worker.start()
        await _reported_or_ill(lab, worker)
        lab.proof.at_least("bytes of the log, of 8,192", worker.log.stat().st_size, 8000)
        return lab.proof


async def stalled_reader(size: Size) -> Proof:
    """Let the reader take nothing for 20 s, with more lines than the pipe holds."""
    async with open_lab(size) as lab, a_pipe() as pipe:
        worker = lab.worker(("sentiment",), output=pipe.writing)
        await worker.start()
        pipe.stall()
        asyncio.get_running_loop().call_later(STALL_SECONDS, pipe.flow)
        await _reported_or_ill(lab, worker)
        return lab.proof


async def stalled_and_stopped(size: Size) -> Proof:
    """Send SIGTERM twice while no one reads the log."""
    async with open_lab(size) as lab, a_pipe() as pipe:
        worker = lab.worker(("sentiment",), output=pipe.writing)
        await worker.start()
        pipe.stall()
        lab.send(*[chat(lab.emulators) for _ in range(CHATS)])
        await asyncio.sleep(STALL_SECONDS / 2)
        worker.signal(signal.SIGTERM)
        await asyncio.sleep(0.5)
        worker.signal(signal.SIGTERM)
        lab.proof.at_most("ended after SIGTERM twice, s", await worker.ended(30), TWICE_SECONDS)
        return lab.proof


async def _reported_or_ill(lab: Lab, worker: Worker, *, correlation_id: str = "") -> None:
    """Send chats; hold the worker to one of its two duties."""
    events = [chat(lab.emulators, correlation_id=correlation_id) for _ in range(CHATS)]
    ids = lab.send(*events)
    began = time.monotonic()
    ill: list[str] = []

    async def settled_or_ill() -> bool:
        if lab.open(ids):
            ill.extend(await _illness(worker))
        return bool(ill) or not lab.open(ids)

    await lab.until(settled_or_ill, ILL_SECONDS)
    seconds = time.monotonic() - began
    reported = Counter(
        one.body["data"]["conversationId"] for one in lab.emulators.sinks["crm"].taken
    )
    once = sum(reported[event.conversation_id] == 1 for event in events)
    proof, acked = lab.proof, CHATS - len(lab.open(ids))
    proof.note(f"acked of {CHATS}", acked)
    proof.note(f"reported once of {CHATS}", once)
    proof.note("reported more than once", sum(times > 1 for times in reported.values()))
    said = ill[0] if ill else "all acked" if acked == CHATS else "nothing said"
    proof.note("outcome", f"{said}, after {seconds:.1f} s")
    proof.holds(
        "all acked and reported once, or ended, or /livez fails, within 30 s",
        ill or (acked == CHATS == once),
        said,
    )


async def _illness(worker: Worker) -> list[str]:
    if worker.returncode is not None:
        return [f"ended with {worker.returncode}"]
    status, text = await worker.page("/livez")
    return [] if status == 200 else [f"/livez {status} {text.strip()}"]


PLAYS: dict[str, Callable] = {
    "reader_gone": reader_gone,
    "ascii_stdout": ascii_stdout,
    "full_file": full_file,
    "stalled_reader": stalled_reader,
    "stalled_and_stopped": stalled_and_stopped,
}

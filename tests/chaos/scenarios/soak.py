"""A great many messages through one process: memory, file descriptors and tasks stay flat."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from random import Random
from statistics import linear_regression
from typing import NamedTuple

import orjson
from aiohttp import web

from tests.chaos.arena import Arena, open_arena
from tests.chaos.findings import Findings
from tests.chaos.sizes import Sizes
from worker.demo import an_id, envelope, iso
from worker.emulators import serving
from worker.intake.consumer import UNSETTLED_PER_PERMIT
from worker.jobs.voice.demo import START

BACKLOG = 1000
SAMPLES = 60
SLOPE_MEGABYTES = 5.0
"""Per 100,000 messages."""

NOISE_MEGABYTES = 3.0
"""Of a short run, in which a slope says little."""

FDS = 20
IDLE_TASKS = 30
MOST_TASKS = 64 * (1 + UNSETTLED_PER_PERMIT) + 100
"""A task per message in flight, and there may be that many: running, or waiting for their ack."""

INSIDE = Path(__file__).parents[1] / "inside"


class Sample(NamedTuple):
    """The worker at one moment."""

    messages: int
    rss_megabytes: float
    fds: int
    tasks: int


async def play(seed: int, sizes: Sizes) -> Findings:
    """60 % scores with many repeats, 35 % types no job wants, 5 % that cannot be read."""
    async with open_arena(seed) as arena, _bottomless_table() as table:
        tasks_file = arena.folder / "tasks"
        worker = await arena.worker(
            AWS_ENDPOINT_URL=table, PYTHONPATH=INSIDE, TASKS_FILE=tasks_file
        )
        await worker.start()
        began = time.monotonic()
        samples = await _feed(arena, worker._process.pid, sizes.messages, tasks_file)
        arena.findings.expect(await arena.settled(120), "all is settled")
        took = time.monotonic() - began
        samples.append(await _look(sizes.messages, worker._process.pid, tasks_file))
        _check_outcome(arena.findings, samples)
        arena.findings.figures |= {
            "messages": sizes.messages,
            "messages/s": round(sizes.messages / took),
            "dead letters": len(arena.dead_letters()),
        }
        return arena.findings


async def _feed(arena: Arena, pid: int, count: int, tasks_file: Path) -> list[Sample]:
    """Keep a backlog until all is sent, and check the worker on the way."""
    sqs, url, samples = arena.emulators.sqs, arena.emulators.queue_url, []
    bodies = _bodies(arena.random, count)
    for number in range(count):
        sqs.send(url, next(bodies))
        if number % 100 == 0:
            await sqs.wait_until(lambda: sqs.depth(url).visible < BACKLOG, 120)
            sqs.journal.records.clear()  # ours, not the worker's, but this machine's memory
        if number and number % max(1, count // SAMPLES) == 0:
            samples.append(await _look(number, pid, tasks_file))
    return samples


def _bodies(random: Random, count: int):
    keys = max(100, count // 10)
    for _ in range(count):
        share = random.random()
        if share < 0.6:
            yield _score(random.randrange(keys))
        elif share < 0.95:
            yield envelope(
                f"v2.users.{random.randrange(5000)}.presence",
                {},
                at=START,
                event_id=an_id(random),
            )
        else:
            yield f"not JSON {random.random()}"


def _score(number: int) -> str:
    at, random = START + timedelta(seconds=number), Random(number)
    detail = {
        "conversationId": an_id(random),
        "timestamp": iso(at),
        "phoneNumber": f"+1555{number % 5000:07d}",
        "sentiment": {"overall": 0.25},
    }
    return envelope("voice.analytics", detail, at=at, event_id=an_id(random))


async def _look(messages: int, pid: int, tasks_file: Path) -> Sample:
    os.kill(pid, signal.SIGUSR1)
    async with asyncio.timeout(10):
        while not (tasks := _reported(tasks_file)):  # noqa: ASYNC110  another process has no event
            await asyncio.sleep(0.01)
    return Sample(messages, _rss_megabytes(pid), _fds(pid), int(tasks))


def _reported(tasks_file: Path) -> str:
    """Take what the worker wrote, once it did."""
    if not tasks_file.exists() or not (reported := tasks_file.read_text()):
        return ""
    tasks_file.unlink()
    return reported


def _rss_megabytes(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    rss = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(rss.split()[1]) / 1024


def _fds(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def _check_outcome(findings: Findings, samples: list[Sample]) -> None:
    warm = samples[len(samples) // 2 :]
    slope, _ = linear_regression([s.messages for s in warm], [s.rss_megabytes for s in warm])
    grown = slope * (warm[-1].messages - warm[0].messages)
    span = (warm[-1].messages - warm[0].messages) / 100_000
    allowed = SLOPE_MEGABYTES * max(span, NOISE_MEGABYTES / SLOPE_MEGABYTES)
    findings.expect(grown <= allowed, "memory is flat after warm-up", f"grew by {grown:.1f} MB")
    early, late = (max(s.fds for s in part) for part in (samples[: -len(warm)], warm))
    findings.expect(late <= early + FDS, "file descriptors are flat", f"{early}, then {late}")
    most = max(sample.tasks for sample in samples)
    findings.expect(most <= MOST_TASKS, "tasks are bounded", most)
    findings.expect(samples[-1].tasks <= IDLE_TASKS, "no task is left", samples[-1].tasks)
    findings.figures |= {
        "RSS MB": f"{samples[0].rss_megabytes:.0f} → {samples[-1].rss_megabytes:.0f}",
        "RSS MB per 100,000 after warm-up": round(slope * 100_000, 2),
        "fds, most in each half": f"{early}, {late}",
        "tasks, most and at the end": f"{most}, {samples[-1].tasks}",
    }


@asynccontextmanager
async def _bottomless_table() -> AsyncIterator[str]:
    """Serve a DynamoDB that is empty and takes all: moto would be all there is to measure."""

    async def answer(request: web.Request) -> web.Response:
        await request.read()
        asked = request.headers.get("X-Amz-Target", "").endswith("Query")
        body = {"Items": [], "Count": 0, "ScannedCount": 0} if asked else {}
        return web.Response(body=orjson.dumps(body), content_type="application/x-amz-json-1.0")

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", answer)
    async with serving(app) as url:
        yield url

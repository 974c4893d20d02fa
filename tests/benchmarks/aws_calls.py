"""CPU of one AWS call at 64 in flight: our wire, the same over aiohttp, and the SDK.

A put of an item to a table that answers at once, in another process. What differs is what is below
the worker's client alone; deadlines and retries are as the worker has them. Each way is a process
of its own, so that its CPU time is its own:

    python -m tests.benchmarks.aws_calls TRANSPORT URL CALLS

prints the CPU microseconds of one call, as JSON.
"""

import asyncio
import os
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from tests.benchmarks.children import answer_of, upstream
from tests.benchmarks.contest import say
from tests.benchmarks.contestants import AWS
from tests.benchmarks.findings import Claim, Findings, Spread, Table, ratio
from tests.benchmarks.size import Size
from worker.cli.run import fast_loop
from worker.clients.aws.session import AwsSession, ClientLimits

IN_FLIGHT = 64
CALLS = 10_000
CALLS_QUICK = 2000
WIRE, AIOHTTP, SDK = "wire", "aiohttp", "sdk"
SHARES = {SDK: 0.2}
"""Part of the calls that a transport is given."""

LIMITS = ClientLimits(pool=IN_FLIGHT, read_seconds=30, attempts=1)


async def measure(size: Size) -> Findings:
    """Measure the transports by turns."""
    calls = CALLS_QUICK if size.quick else CALLS
    used: dict[str, list[float]] = {WIRE: [], AIOHTTP: [], SDK: []}
    async with upstream("dynamodb") as url:
        for _ in range(size.rounds):
            for transport, rounds in used.items():
                count = int(calls * SHARES.get(transport, 1))
                rounds.append(await answer_of("aws_calls", transport, url, count))
                say(f"aws_calls: {transport}: {rounds[-1]:.0f} µs")
    return reported(used)


def reported(used: Mapping[str, Sequence[float]]) -> Findings:
    """Return table and claim of the CPU microseconds of a call, by transport and round."""
    of_aiohttp = {way: ratio(rounds, used[AIOHTTP]) for way, rounds in used.items()}
    rows = [[way, Spread(rounds), of_aiohttp[way]] for way, rounds in used.items()]
    columns = ("AWS_TRANSPORT", "CPU µs a call", "of that over aiohttp")
    table = Table("aws_calls", "A call of DynamoDB, 64 in flight", columns, rows)
    claim = Claim("CPU of an AWS call, of the same over aiohttp", of_aiohttp[WIRE], 0.4)
    return Findings([table], claims=[claim])


async def cpu_us(transport: str, url: str, calls: int) -> float:
    """Return the CPU microseconds of a call, without what comes before the first."""
    os.environ |= AWS | {"AWS_ENDPOINT_URL": url}
    async with AwsSession(transport=transport).client("dynamodb", LIMITS) as table:
        await _repeat(table, 0, IN_FLIGHT * 2)
        began = time.process_time()
        await _repeat(table, IN_FLIGHT * 2, calls)
        return (time.process_time() - began) / calls * 1e6


async def _repeat(table: Any, first: int, times: int) -> None:
    left = iter(range(first, first + times))

    async def caller() -> None:
        for number in left:
            await table.put_item(TableName="bench", Item=_item(number))

    await asyncio.gather(*(caller() for _ in range(IN_FLIGHT)))


def _item(number: int) -> dict[str, dict[str, str]]:
    return {
        "conversationId": {"S": f"10000000-0000-4000-8000-{number:012}"},
        "eventTimestamp": {"S": "2026-03-02T10:00:00.000Z"},
        "overall": {"N": "0.25"},
    }


if __name__ == "__main__":
    asked, address, count = sys.argv[1:]
    with asyncio.Runner(loop_factory=fast_loop()) as runner:
        used_us = runner.run(cpu_us(asked, address, int(count)))
    sys.stdout.write(orjson.dumps(used_us).decode() + "\n")

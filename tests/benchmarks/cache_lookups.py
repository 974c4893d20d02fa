"""What a lookup costs in a cache of a given size: run as a process of its own.

`python -m tests.benchmarks.cache_lookups ENTRIES` prints CPU microseconds of a hit and of a load
that pushes out the oldest entry, as JSON.
"""

import asyncio
import sys
import time
from random import Random

import orjson

from worker.resilience.cache import Cache, CachePolicy

LOOKUPS = 20_000
STRIDE = 7919
"""Prime, so that hits go all over the entries."""


async def cpu_us(entries: int) -> dict[str, float]:
    """Return the cost of a hit and of a load, with so many entries held."""
    policy = CachePolicy(entries, 3600, 3600, 3600)
    cache: Cache[bytes, int] = Cache("bench", policy, random=Random(1))
    await _look_up(cache, range(entries))
    hits = (number * STRIDE % entries for number in range(LOOKUPS))
    loads = range(entries, entries + LOOKUPS)
    return {"hit": await _look_up(cache, hits), "load": await _look_up(cache, loads)}


async def _look_up(cache, numbers) -> float:
    keys = [b"%032d" % number for number in numbers]
    began = time.process_time()
    for key in keys:
        await cache.get(key, _answer)
    return (time.process_time() - began) / len(keys) * 1e6


async def _answer() -> int:
    return 1


if __name__ == "__main__":
    sys.stdout.write(orjson.dumps(asyncio.run(cpu_us(int(sys.argv[1])))).decode())

"""Answers of an upstream, kept for a while: LRU, one load at a time, stale ones in need."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from random import Random
from typing import Final, Generic, TypeVar

from msgspec import Struct

from worker.errors import Transient, Unavailable
from worker.resilience.work import WorkGroup, current_work, working_for
from worker.telemetry import metrics

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

TTL_JITTER = 0.1
"""Lifetimes differ by up to this share, so that what was loaded together expires apart."""


class CachePolicy(Struct, frozen=True):
    """How much is kept and for how long; the fields are those of `settings.Cache`."""

    max_entries: int
    """Least recently used ones go first."""

    soft_ttl_seconds: float
    """Age at which an entry is asked for anew."""

    hard_ttl_seconds: float
    """Age up to which it still serves while the upstream is down."""

    negative_ttl_seconds: float
    """How long a None is believed; it never serves stale."""


class Cached(Struct, Generic[V], frozen=True):
    """An answer; `value` None means the upstream knows of no such thing."""

    value: V | None
    stale: bool
    """True when it is past its soft lifetime and a newer one could not be had."""


class _Entry(Struct, Generic[V], frozen=True):
    value: V | None
    soft_until: float
    hard_until: float


@dataclass(slots=True, eq=False)
class _Load(Generic[V]):
    """A load that is under way, what it works for, and how many wait for it."""

    task: "asyncio.Task[Cached[V]]"
    works: WorkGroup
    waiting: int = 0


class Cache(Generic[K, V]):
    """A cache in front of one kind of lookup. Keys never reach a log or a metric."""

    def __init__(
        self,
        name: str,
        policy: CachePolicy,
        *,
        random: Random,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.name: Final = name
        self._policy = policy
        self._random = random
        self._clock = clock or asyncio.get_running_loop().time
        self._entries: OrderedDict[K, _Entry[V]] = OrderedDict()
        self._loads: dict[K, _Load[V]] = {}
        self._held = metrics.cache_entries.labels(name)
        self._hits = metrics.cache_requests.labels(name, "hit")

    async def get(self, key: K, load: Callable[[], Awaitable[V | None]]) -> Cached[V]:
        """Return the answer for `key`: the kept one while it is fresh, else what `load` returns.

        Any number of callers share one load. It runs in a task of its own: a caller that is
        cancelled leaves the others waiting, the last one to leave cancels it.

        Raises what `load` raised, to every caller; it is not kept. A `Transient` is raised only
        when no answer within its hard lifetime is there to serve in its place.
        """
        entry = self._entries.get(key)
        if entry and self._clock() < entry.soft_until:
            self._entries.move_to_end(key)
            if entry.value is None:
                self._count("negative")
            else:
                self._hits.inc()
            return Cached(entry.value, stale=False)
        result = "coalesced" if key in self._loads else "miss"
        try:
            cached = await self._join(key, load)
            result = "stale" if cached.stale else result
        finally:
            self._count(result)
        return cached

    def remembered(self, key: K) -> Cached[V] | None:
        """Return an answer within its hard lifetime, without asking; None when there is none."""
        entry = self._entries.get(key)
        if entry is None or self._clock() >= entry.hard_until:
            return None
        self._count("stale")
        return Cached(entry.value, stale=True)

    async def _join(self, key: K, load: Callable[[], Awaitable[V | None]]) -> Cached[V]:
        running = self._loads.get(key) or self._start_load(key, load)
        running.waiting += 1
        works = current_work()
        running.works.join(works, self._clock())
        try:
            # Not `shield`: it hands an error without a waiter to the loop's exception handler.
            await asyncio.wait([running.task])
        finally:
            running.waiting -= 1
            running.works.leave(works, self._clock())
            if not running.waiting:
                self._forget(key, running)
                running.task.cancel()
        if running.task.cancelled():
            raise Unavailable(f"load of {self.name} was cancelled from within")
        return running.task.result()

    def _start_load(self, key: K, load: Callable[[], Awaitable[V | None]]) -> _Load[V]:
        with working_for(()) as works:  # callers join and leave
            running = _Load(asyncio.create_task(self._load(key, load)), works)
        self._loads[key] = running
        running.task.add_done_callback(lambda _: self._load_done(key, running))
        return running

    def _load_done(self, key: K, running: _Load[V]) -> None:
        self._forget(key, running)
        if not running.task.cancelled():
            running.task.exception()  # seen, even if every caller has gone

    def _forget(self, key: K, running: _Load[V]) -> None:
        # By identity: once abandoned, the key may have a new running before the old one ends.
        if self._loads.get(key) is running:
            del self._loads[key]

    async def _load(self, key: K, load: Callable[[], Awaitable[V | None]]) -> Cached[V]:
        try:
            value = await load()
        except Transient:
            entry = self._entries.get(key)
            if entry is None or self._clock() >= entry.hard_until:
                raise
            self._entries.move_to_end(key)
            return Cached(entry.value, stale=True)
        self._keep(key, value)
        return Cached(value, stale=False)

    def _keep(self, key: K, value: V | None) -> None:
        policy, now = self._policy, self._clock()
        jitter = self._random.uniform(1 - TTL_JITTER, 1 + TTL_JITTER)
        soft, hard = policy.soft_ttl_seconds, policy.hard_ttl_seconds
        if value is None:
            soft = hard = policy.negative_ttl_seconds
        self._entries[key] = _Entry(value, now + soft * jitter, now + hard * jitter)
        self._entries.move_to_end(key)
        if len(self._entries) > policy.max_entries:
            self._entries.popitem(last=False)
        self._held.set(len(self._entries))

    def _count(self, result: str) -> None:
        metrics.cache_requests.labels(self.name, result).inc()

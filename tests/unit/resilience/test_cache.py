"""The cache: against a model of itself, and its single flight under cancellation."""

import asyncio
import gc
from random import Random

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from worker.errors import Rejected, Unavailable
from worker.resilience.cache import Cache, Cached, CachePolicy
from worker.resilience.work import Work, begin, current_work, waiting_for
from worker.telemetry import metrics

POLICY = CachePolicy(
    max_entries=3, soft_ttl_seconds=100, hard_ttl_seconds=1000, negative_ttl_seconds=20
)


class Upstream:
    """A thing to be looked up: counts its loads, and holds them until released."""

    def __init__(self, answer="ann", *, held=False):
        self.answer = answer
        self.loads = 0
        self.cancelled = 0
        self.go = asyncio.Event()
        if not held:
            self.go.set()

    async def __call__(self):
        self.loads += 1
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def clock():
    return [0.0]


@pytest.fixture
def cache(clock, request):
    return Cache(request.node.name[:60], POLICY, clock=lambda: clock[0], random=Random(3))


def count(cache, result):
    labels = {"cache": cache.name, "result": result}
    return metrics.REGISTRY.get_sample_value("worker_cache_requests_total", labels) or 0


async def test_fresh_answer_is_not_asked_for_again(cache, clock):
    upstream = Upstream()
    await cache.get("k", upstream)
    clock[0] = 89

    again = await cache.get("k", upstream)

    assert again == Cached("ann", stale=False)
    assert upstream.loads == 1
    assert (count(cache, "miss"), count(cache, "hit")) == (1, 1)


async def test_answer_past_its_soft_lifetime_is_asked_for_anew(cache, clock):
    await cache.get("k", Upstream("old"))
    clock[0] = 111

    assert await cache.get("k", Upstream("new")) == Cached("new", stale=False)


async def test_stale_answer_serves_while_the_upstream_is_down(cache, clock):
    await cache.get("k", Upstream("old"))
    clock[0] = 899

    answer = await cache.get("k", Upstream(Unavailable("down")))

    assert answer == Cached("old", stale=True)
    assert count(cache, "stale") == 1
    assert count(cache, "miss") == 1


async def test_stale_answer_that_serves_is_not_the_next_to_go(cache, clock):
    down = Upstream(Unavailable("down"))
    for key in ("a", "b", "c"):
        await cache.get(key, Upstream(key))
    clock[0] = 500
    await cache.get("a", down)
    await cache.get("d", Upstream("d"))

    assert await cache.get("a", down) == Cached("a", stale=True)
    with pytest.raises(Unavailable):
        await cache.get("b", down)


async def test_answer_past_its_hard_lifetime_does_not_serve(cache, clock):
    await cache.get("k", Upstream("old"))
    clock[0] = 1101

    with pytest.raises(Unavailable):
        await cache.get("k", Upstream(Unavailable("down")))


async def test_permanent_failure_is_raised_though_a_stale_answer_is_there(cache, clock):
    await cache.get("k", Upstream("old"))
    clock[0] = 200

    with pytest.raises(Rejected):
        await cache.get("k", Upstream(Rejected("no", status=403)))


async def test_none_is_an_answer_with_its_own_lifetime(cache, clock):
    no_one = Upstream(None)
    await cache.get("k", no_one)
    clock[0] = 17

    again = await cache.get("k", no_one)
    clock[0] = 23
    later = await cache.get("k", Upstream("ann"))

    assert again == Cached(None, stale=False)
    assert (no_one.loads, count(cache, "negative")) == (1, 1)
    assert later.value == "ann"


async def test_none_never_serves_stale(cache, clock):
    await cache.get("k", Upstream(None))
    clock[0] = 23

    with pytest.raises(Unavailable):
        await cache.get("k", Upstream(Unavailable("down")))


async def test_failure_is_not_kept(cache):
    with pytest.raises(Unavailable):
        await cache.get("k", Upstream(Unavailable("down")))

    assert await cache.get("k", Upstream("ann")) == Cached("ann", stale=False)


async def test_lifetimes_of_answers_loaded_together_differ(clock):
    policy = CachePolicy(1000, 100, 1000, 20)
    cache: Cache[int, str] = Cache("jitter", policy, clock=lambda: clock[0], random=Random(3))
    for key in range(200):
        await cache.get(key, Upstream())
    clock[0] = 100
    again = Upstream()

    for key in range(200):
        await cache.get(key, again)

    assert 50 < again.loads < 150


async def test_a_thousand_callers_share_one_load_and_a_cancelled_leader_leaves_999_answers(cache):
    upstream = Upstream(held=True)
    callers = [asyncio.create_task(cache.get("k", upstream)) for _ in range(1000)]
    await asyncio.sleep(0)

    callers[0].cancel()
    await asyncio.sleep(0)
    upstream.go.set()
    answers = await asyncio.gather(*callers, return_exceptions=True)

    assert isinstance(answers[0], asyncio.CancelledError)
    assert answers[1:] == [Cached("ann", stale=False)] * 999
    assert upstream.loads == 1
    assert (count(cache, "miss"), count(cache, "coalesced")) == (1, 999)


async def test_failure_reaches_every_waiter(cache):
    upstream = Upstream(Unavailable("down"), held=True)
    callers = [asyncio.create_task(cache.get("k", upstream)) for _ in range(5)]
    await asyncio.sleep(0)

    upstream.go.set()
    answers = await asyncio.gather(*callers, return_exceptions=True)

    assert [type(answer) for answer in answers] == [Unavailable] * 5
    assert upstream.loads == 1


async def test_stale_answer_reaches_every_waiter_and_counts_once_for_each(cache, clock):
    await cache.get("k", Upstream("old"))
    clock[0] = 200
    upstream = Upstream(Unavailable("down"), held=True)
    callers = [asyncio.create_task(cache.get("k", upstream)) for _ in range(5)]
    await asyncio.sleep(0)

    upstream.go.set()

    assert await asyncio.gather(*callers) == [Cached("old", stale=True)] * 5
    assert count(cache, "stale") == 5


async def test_load_is_cancelled_when_its_last_caller_is(cache):
    upstream = Upstream(held=True)
    callers = [asyncio.create_task(cache.get("k", upstream)) for _ in range(3)]
    await asyncio.sleep(0)

    for caller in callers:
        caller.cancel()
    await asyncio.gather(*callers, return_exceptions=True)
    await asyncio.sleep(0)

    assert upstream.cancelled == 1


async def test_new_caller_does_not_join_a_load_that_was_given_up_and_dies_slowly(cache):
    dead = asyncio.Event()

    async def slow_to_die():
        try:
            await asyncio.Event().wait()
        finally:
            await dead.wait()

    given_up = asyncio.create_task(cache.get("k", slow_to_die))
    await asyncio.sleep(0)
    given_up.cancel()
    await asyncio.gather(given_up, return_exceptions=True)
    upstream = Upstream("new", held=True)

    second = asyncio.create_task(cache.get("k", upstream))
    await asyncio.sleep(0)
    dead.set()
    await asyncio.sleep(0.01)
    third = asyncio.create_task(cache.get("k", upstream))
    await asyncio.sleep(0)
    upstream.go.set()

    assert [await second, await third] == [Cached("new", stale=False)] * 2
    assert upstream.loads == 1


async def test_failure_that_is_not_awaited_makes_no_noise(cache):
    noise = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: noise.append(context))

    async def stubborn():
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise Unavailable("down") from None

    caller = asyncio.create_task(cache.get("k", stubborn))
    await asyncio.sleep(0)
    caller.cancel()
    await asyncio.gather(caller, return_exceptions=True)
    await asyncio.sleep(0)
    del caller
    gc.collect()

    assert noise == []


async def test_load_cancelled_from_within_is_unavailable_not_a_cancellation_of_the_caller(cache):
    async def cancelled():
        raise asyncio.CancelledError

    with pytest.raises(Unavailable):
        await cache.get("k", cancelled)


async def test_caller_can_give_a_load_its_own_time_limit(cache):
    upstream = Upstream(held=True)
    patient = asyncio.create_task(cache.get("k", upstream))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await cache.get("k", upstream)

    upstream.go.set()

    assert (await patient).value == "ann"
    assert upstream.loads == 1


class AnyUse(RuleBasedStateMachine):
    """Lookups of few keys over time, against a list of what was loaded when."""

    def __init__(self):
        super().__init__()
        self.runner = asyncio.Runner()
        self.now = 0.0
        self.cache: Cache[int, int] = Cache(
            "model", POLICY, clock=lambda: self.now, random=Random(5)
        )
        self.model = {}  # key -> (value, loaded at), least recently used first
        self.number = 0

    def teardown(self):
        self.runner.close()

    @rule(seconds=st.sampled_from([1.0, 15.0, 30.0, 95.0, 300.0, 950.0]))
    def time_passes(self, seconds):
        self.now += seconds

    @rule(key=st.integers(0, 5), outcome=st.sampled_from(["value", "none", "down", "rejected"]))
    def look_up(self, key, outcome):
        self.number += 1
        loads = []
        answer = {
            "value": self.number,
            "none": None,
            "down": Unavailable("down"),
            "rejected": Rejected("no", status=403),
        }[outcome]

        async def load():
            loads.append(key)
            if isinstance(answer, Exception):
                raise answer
            return answer

        try:
            got: object = self.runner.run(self.cache.get(key, load))
        except (Unavailable, Rejected) as error:
            got = error
        self.check(key, bool(loads), answer, got)

    def check(self, key, loaded, answer, got):
        value, at = self.model.get(key, (None, float("-inf")))
        soft, hard = (20, 20) if value is None else (100, 1000)
        age = self.now - at
        if not loaded:
            assert age < soft * 1.1
            assert got == Cached(value, stale=False)
            self.model[key] = self.model.pop(key)
            return
        assert age >= soft * 0.9
        if not isinstance(answer, Exception):
            assert got == Cached(answer, stale=False)
            self.model.pop(key, None)
            self.model[key] = (answer, self.now)
            if len(self.model) > POLICY.max_entries:
                del self.model[next(iter(self.model))]
        elif got is answer:
            assert isinstance(answer, Rejected) or age >= hard * 0.9
        else:
            assert isinstance(answer, Unavailable)
            assert got == Cached(value, stale=True)
            assert age < hard * 1.1
            self.model[key] = self.model.pop(key)

    @invariant()
    def the_same_keys_are_kept_in_the_same_order(self):
        assert list(self.cache._entries) == list(self.model)
        assert len(self.model) <= POLICY.max_entries


TestAnyUse = AnyUse.TestCase


# ── on behalf of messages ──────────────────────────────────────────────────────────────────────
async def test_a_load_works_for_all_messages_that_wait_for_it_and_they_wait_along(cache, clock):
    go, seen = asyncio.Event(), []

    async def load():
        with waiting_for("budget", lambda: clock[0]):
            await go.wait()
        seen.append({work.message_id for work in current_work()})
        return "ann"

    async def asking(work):
        begin(work)
        return await cache.get("k", load)

    works = [Work(name, "attributes", ends_by=60) for name in ("a", "b", "gone")]
    tasks = [asyncio.create_task(asking(work)) for work in works]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    reported = [work.waiting_for for work in works]
    clock[0] = 50
    tasks[2].cancel()
    await asyncio.gather(tasks[2], return_exceptions=True)
    go.set()
    await asyncio.gather(*tasks[:2])

    assert reported == ["budget"] * 3
    assert seen == [{"a", "b"}]
    assert [(work.waiting_for, work.ends_by) for work in works] == [("", 110)] * 3

"""The request budget: who waits, who is refused, who goes first."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.errors import RateLimited
from worker.resilience.limiter import Limiter
from worker.telemetry import metrics

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]


def now():
    return asyncio.get_running_loop().time()


async def exhausted(limiter):
    """Return the limiter with its burst used up."""
    while True:
        try:
            await limiter.acquire(max_wait=0)
        except RateLimited:
            return limiter


async def granted_at(limiter, log=None, name=None, *, max_wait=3600, background=False, job=""):
    await limiter.acquire(max_wait=max_wait, background=background, job=job)
    if log is not None:
        log.append(name)
    return now()


async def test_default_burst_is_five_seconds_of_the_rate():
    limiter = Limiter("x", per_minute=240)

    at = await asyncio.gather(*(granted_at(limiter) for _ in range(24)))

    assert at == pytest.approx([0] * 20 + [0.25, 0.5, 0.75, 1.0])


async def test_burst_is_at_least_one_call_at_any_rate():
    limiter = Limiter("x", per_minute=1)

    assert await granted_at(limiter) == 0


async def test_caller_is_refused_at_once_when_the_wait_would_be_too_long():
    limiter = await exhausted(Limiter("x", per_minute=6))

    with pytest.raises(RateLimited) as refused:
        await limiter.acquire(max_wait=9.9)

    assert now() == 0
    assert refused.value.retry_after == pytest.approx(10)


async def test_caller_whose_turn_comes_in_its_last_moment_is_not_refused_on_the_way():
    limiter = await exhausted(Limiter("x", per_minute=7))
    waiting = asyncio.create_task(granted_at(limiter, max_wait=60 / 7))
    for _ in range(20):
        await asyncio.sleep(0.3)
        with pytest.raises(RateLimited):
            await limiter.acquire(max_wait=0)

    assert await waiting == pytest.approx(60 / 7, abs=1e-5)


async def test_those_who_wait_count_in_the_wait_of_the_next():
    limiter = await exhausted(Limiter("x", per_minute=6))
    waiting = [asyncio.create_task(granted_at(limiter)) for _ in range(3)]
    await asyncio.sleep(0)

    with pytest.raises(RateLimited) as refused:
        await limiter.acquire(max_wait=39)

    assert refused.value.retry_after == pytest.approx(40)
    assert await asyncio.gather(*waiting) == pytest.approx([10, 20, 30])


async def test_live_callers_go_before_background_ones_and_in_order():
    limiter = await exhausted(Limiter("x", per_minute=60))
    order: list[str] = []

    async with asyncio.TaskGroup() as group:
        for name in ("b1", "b2"):
            group.create_task(granted_at(limiter, order, name, background=True))
        for name in ("l1", "l2"):
            group.create_task(granted_at(limiter, order, name))

    assert order == ["l1", "l2", "b1", "b2"]


async def test_jobs_take_turns_whichever_came_first_and_however_many_wait():
    limiter = await exhausted(Limiter("x", per_minute=60))
    order: list[str] = []

    async with asyncio.TaskGroup() as group:
        for name in ("a1", "a2", "a3", "a4", "b1", "b2", "c1"):
            group.create_task(granted_at(limiter, order, name, job=name[0]))

    assert order == ["a1", "b1", "c1", "a2", "b2", "a3", "a4"]


async def test_job_that_comes_later_gets_its_turn_before_the_rest_of_a_backlog():
    limiter = await exhausted(Limiter("x", per_minute=60))
    order: list[str] = []
    backlog = [
        asyncio.create_task(granted_at(limiter, order, f"a{n}", job="a")) for n in range(100)
    ]
    await asyncio.sleep(2.5)

    at = await granted_at(limiter, order, "b", job="b")

    assert order[:4] == ["a0", "a1", "a2", "b"] or order[:4] == ["a0", "a1", "b", "a2"]
    assert at <= 4 + 1e-5
    for task in backlog:
        task.cancel()
    await asyncio.gather(*backlog, return_exceptions=True)


async def test_place_that_is_foretold_is_that_in_the_order_of_turns():
    limiter = await exhausted(Limiter("x", per_minute=60))
    backlog = [asyncio.create_task(granted_at(limiter, job="a")) for _ in range(10)]
    await asyncio.sleep(0)

    with pytest.raises(RateLimited) as refused:
        await limiter.acquire(max_wait=1.9, job="b")

    assert refused.value.retry_after == pytest.approx(2)
    await asyncio.gather(*backlog)


async def test_background_caller_is_refused_as_soon_as_live_ones_make_it_hopeless():
    limiter = await exhausted(Limiter("x", per_minute=60))
    background = asyncio.create_task(granted_at(limiter, max_wait=2.5, background=True))
    await asyncio.sleep(0)

    live = [asyncio.create_task(granted_at(limiter)) for _ in range(2)]
    with pytest.raises(RateLimited):
        await background
    refused_at = now()

    assert refused_at == 0
    assert await asyncio.gather(*live) == pytest.approx([1, 2])


async def test_cancelled_waiter_gives_its_place_to_the_next():
    limiter = await exhausted(Limiter("x", per_minute=60))
    first, second = (asyncio.create_task(granted_at(limiter)) for _ in range(2))
    await asyncio.sleep(0.5)

    first.cancel()

    assert await second == pytest.approx(1)


async def test_grant_is_not_lost_when_its_waiter_is_cancelled_in_the_same_moment():
    limiter = await exhausted(Limiter("x", per_minute=60))
    first, second = (asyncio.create_task(granted_at(limiter)) for _ in range(2))
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_at(1.0, first.cancel)  # after the limiter's own timer

    assert await second == pytest.approx(1)
    assert first.cancelled()


async def test_waiters_cancelled_in_the_moment_of_a_grant_do_not_break_the_queue():
    limiter = await exhausted(Limiter("x", per_minute=60))
    tasks = [asyncio.create_task(granted_at(limiter)) for _ in range(3)]
    await asyncio.sleep(0.5)

    tasks[0].cancel()
    limiter.pause_for(0.1)  # serves the queue before the cancelled task has run
    limiter.refund()

    assert await tasks[1] < await tasks[2]


async def test_429_of_seven_seconds_is_followed_by_no_call_for_seven_seconds():
    limiter = Limiter("x", per_minute=240)

    limiter.pause_for(7)

    assert await granted_at(limiter) == pytest.approx(7)


async def test_pause_is_not_cut_by_a_smaller_later_one():
    limiter = Limiter("x", per_minute=240)
    limiter.pause_for(600)
    limiter.pause_for(1)

    with pytest.raises(RateLimited) as refused:
        await limiter.acquire(max_wait=60)

    assert refused.value.retry_after == 600


async def test_pause_refuses_those_who_wait_and_could_not_be_served_in_time():
    limiter = await exhausted(Limiter("x", per_minute=60))
    patient = asyncio.create_task(granted_at(limiter, max_wait=500))
    hasty = asyncio.create_task(granted_at(limiter, max_wait=25))
    await asyncio.sleep(0)

    limiter.pause_for(300)
    with pytest.raises(RateLimited):
        await hasty

    assert now() == 0
    assert await patient >= 300


async def test_rate_is_halved_after_a_429_and_recovers_within_a_minute():
    limiter = await exhausted(Limiter("x", per_minute=60))

    limiter.pause_for(10)
    for _ in range(4):
        limiter.pause_for(10)  # the replies of calls that were under way
    at = [await granted_at(limiter) for _ in range(40)]

    assert at[1] - at[0] == pytest.approx(2)
    assert at[-1] - at[-2] == pytest.approx(1)


async def test_rate_follows_the_headers_once_the_budget_is_nearly_exhausted():
    limiter = await exhausted(Limiter("x", per_minute=240))

    limiter.observe(290, 300, 20)
    at = [await granted_at(limiter) for _ in range(12)]

    assert at[:10] == pytest.approx([2.0 * (n + 1) for n in range(10)])
    assert at[11] - at[10] == pytest.approx(0.25)


async def test_exhausted_budget_holds_until_its_reset():
    limiter = await exhausted(Limiter("x", per_minute=60))

    limiter.observe(300, 300, 30)

    assert await granted_at(limiter) == pytest.approx(31)


@pytest.mark.parametrize("reply", [(200, 300, 60), (5, 0, 30), (300, 300, -1), (300, 300, 0)])
async def test_headers_change_nothing_when_there_is_room_or_they_make_no_sense(reply):
    limiter = await exhausted(Limiter("x", per_minute=240))

    limiter.observe(*reply)

    assert await granted_at(limiter) == pytest.approx(0.25)


async def test_absurd_reset_holds_for_a_minute_at_most():
    limiter = await exhausted(Limiter("x", per_minute=60))

    limiter.observe(300, 300, 1_000_000)

    assert await granted_at(limiter) == pytest.approx(61)


async def test_released_grant_goes_to_the_next_in_the_queue():
    limiter = await exhausted(Limiter("x", per_minute=6))
    waiting = asyncio.create_task(granted_at(limiter))
    await asyncio.sleep(0)

    limiter.refund()

    assert await waiting == 0


async def test_waiting_costs_one_timer_and_no_turns_of_the_loop():
    limiter = await exhausted(Limiter("x", per_minute=6))
    waiting = [asyncio.create_task(granted_at(limiter)) for _ in range(50)]
    await asyncio.sleep(0)
    served = []
    serve = limiter._serve

    def counting():
        served.append(now())
        serve()

    limiter._serve = counting

    limiter.refund()
    await asyncio.gather(*waiting)

    assert len(served) <= 52


async def test_waits_throttling_and_free_share_are_measured():
    limiter = await exhausted(Limiter("limiter-metrics", per_minute=60))
    await granted_at(limiter)
    limiter.pause_for(5)

    sample = metrics.REGISTRY.get_sample_value
    label = {"dependency": "limiter-metrics"}
    assert sample("worker_ratelimit_wait_seconds_sum", label) == pytest.approx(1)
    assert sample("worker_ratelimit_throttled_total", label) == 1
    assert sample("worker_ratelimit_remaining_ratio", label) == 0


@settings(deadline=None)
@given(
    per_minute=st.sampled_from([7, 60, 240]),
    burst=st.sampled_from([None, 1, 10]),
    callers=st.lists(
        st.tuples(
            st.floats(min_value=0, max_value=90),  # when it comes
            st.sampled_from([0, 1, 20, 200]),  # how long it would wait
            st.booleans(),  # background
            st.sampled_from(["call", "call", "call", "leave", "429", "headers"]),
            st.sampled_from(["", "a", "b"]),  # job
        ),
        min_size=20,
        max_size=150,
    ),
)
async def test_no_minute_sees_more_grants_than_rate_and_burst_for_any_callers(
    per_minute, burst, callers
):
    limiter = Limiter("x", per_minute=per_minute, burst=burst)
    begin = now()
    grants = []

    async def caller(at, max_wait, background, kind, job):
        await asyncio.sleep(at)
        if kind == "429":
            limiter.pause_for(max_wait)
        if kind == "headers":
            limiter.observe(280 + at % 30, 300, max_wait)
        asked = now()
        try:
            async with asyncio.timeout(0.3 if kind == "leave" else None):
                await limiter.acquire(max_wait=max_wait, background=background, job=job)
            grants.append(now() - begin)
        except (RateLimited, TimeoutError):
            pass
        assert now() - asked <= max_wait + 0.001

    await asyncio.gather(*(caller(*args) for args in callers))

    allowed = per_minute + max(1, per_minute / 12 if burst is None else burst)
    for start in grants:
        assert sum(start <= at <= start + 60 for at in grants) <= allowed + 0.001
    assert not limiter._live
    assert not limiter._background


async def test_one_that_comes_just_when_there_is_budget_again_does_not_overtake():
    now = [0.0]
    limiter = Limiter("overtaken", per_minute=60, burst=1, clock=lambda: now[0])
    await limiter.acquire(max_wait=0)
    first = asyncio.create_task(limiter.acquire(max_wait=60))
    await asyncio.sleep(0)
    now[0] = 1.0  # there is a token, and the timer has not rung yet

    with pytest.raises(RateLimited):
        await limiter.acquire(max_wait=0)
    await first

"""The fleet's budget: no slot twice, none beyond the budget, and who goes first."""

import asyncio
from bisect import bisect_left
from collections import Counter
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.simulation.clock import EPOCH, simulate
from tests.simulation.fleet import Line, Table, kill, now
from worker.clients.aws.budget import TableClock
from worker.errors import RateLimited, Unavailable
from worker.resilience.fleet import FleetBudget, Pacing, Position, RecentUse
from worker.resilience.limiter import Limiter

AMPLE = 100_000


def a_table(seed=1):
    return Table(Random(seed))


def a_fleet(table, per_minute=300, *, skew=0.0):
    clock = TableClock(now, lambda: EPOCH + now() + skew)
    return FleetBudget(Line(table, clock), per_minute, random=Random(table.random.random()))


def a_limiter(table, per_minute=300, *, skew=0.0, token_per_minute=AMPLE):
    fleet = a_fleet(table, per_minute, skew=skew)
    return Limiter("x", per_minute=token_per_minute, burst=100, fleet=fleet)


async def called_at(limiter, calls, *, background=False, max_wait=3600):
    await limiter.acquire(max_wait=max_wait, background=background)
    calls.append(now())


async def until(seconds, *tasks):
    """Let time pass, and end what still waits then."""
    await asyncio.sleep(seconds)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def calling(limiter, count, calls, **how):
    return [asyncio.ensure_future(called_at(limiter, calls, **how)) for _ in range(count)]


def calling_on(limiter, calls):
    async def on():
        while True:
            await called_at(limiter, calls)

    return asyncio.ensure_future(on())


# ── the budget ─────────────────────────────────────────────────────────────────────────────────
Bursts = st.lists(
    st.tuples(st.floats(0, 100), st.integers(0, 3), st.integers(1, 80), st.booleans()),
    min_size=1,
    max_size=8,
)
"""When, at which replica, how many callers, background or live."""


@given(
    bursts=Bursts,
    per_minute=st.integers(10, 60),
    skews=st.lists(st.floats(-600, 600), min_size=4, max_size=4),
    kill_at=st.floats(0, 100),
    seed=st.integers(0, 1000),
)
def test_no_60_seconds_see_more_calls_than_the_budget_has(bursts, per_minute, skews, kill_at, seed):
    calls: list[float] = []

    async def run():
        table = a_table(seed)
        replicas = [a_limiter(table, per_minute, skew=skew) for skew in skews]
        tasks: dict[int, list] = {}

        async def burst(at, replica, count, background):
            await asyncio.sleep(at)
            waiting = calling(replicas[replica], count, calls, background=background)
            tasks.setdefault(replica, []).extend(waiting)

        async def kill_one():
            await asyncio.sleep(kill_at)
            kill(replicas[0]._fleet)
            for task in tasks.get(0, ()):
                task.cancel()

        started = [asyncio.ensure_future(burst(*one)) for one in bursts]
        await until(150, *started, asyncio.ensure_future(kill_one()))
        await until(0, *(task for some in tasks.values() for task in some))

    simulate(run)

    calls.sort()
    assert (
        max((n for n in Counter(int(at // 60) for at in calls).values()), default=0) <= per_minute
    )
    assert all(bisect_left(calls, at + 60) - i <= per_minute for i, at in enumerate(calls))


def test_a_rush_after_an_idle_time_begins_at_once_and_keeps_the_budget():
    calls: list[float] = []

    async def run():
        table = a_table()
        limiters = [a_limiter(table, 100) for _ in range(4)]
        await asyncio.sleep(50)
        await until(90, *(task for one in limiters for task in calling(one, 60, calls)))
        return table.writes.total() + table.refusals.total()

    asked = simulate(run)

    calls.sort()
    assert calls[0] < 51
    assert max(bisect_left(calls, at + 60) - i for i, at in enumerate(calls)) <= 100
    assert asked < 250


def test_a_slot_is_lost_soon_after_its_time():
    async def run():
        fleet = a_fleet(a_table())
        fleet.want(10, 0, 10)
        await asyncio.sleep(1)
        assert fleet.take()
        await asyncio.sleep(3)
        return fleet.take()

    assert not simulate(run)


def test_a_slot_is_not_used_before_its_time():
    async def run():
        fleet = a_fleet(a_table())
        fleet.want(10, 0, 10)
        await asyncio.sleep(0.1)
        return [fleet.take() for _ in range(10)]

    assert sum(simulate(run)) <= 3


def test_all_but_two_percent_of_the_budget_is_used_by_the_one_that_needs_it():
    calls: list[float] = []

    async def run():
        table = a_table()
        idle, busy = a_limiter(table), a_limiter(table)
        waiting = calling(busy, 600, calls)
        await until(120, *waiting)
        assert idle.exhausted_for() == 0

    simulate(run)

    assert Counter(int(at // 60) for at in calls)[1] == pytest.approx(294, abs=1)


def test_calls_are_spread_over_the_minute():
    calls: list[float] = []

    async def run():
        limiter = a_limiter(a_table())
        await until(90, *calling(limiter, 500, calls))

    simulate(run)

    gaps = [later - earlier for earlier, later in pairwise(calls)]
    assert max(gaps[20:]) < 2 * 60 / 294 + 0.05


def test_the_tokens_own_limit_holds_beside_the_fleets():
    calls: list[float] = []

    async def run():
        limiter = Limiter("x", per_minute=30, burst=1, fleet=a_fleet(a_table(), 300))
        await until(121, *calling(limiter, 200, calls))

    simulate(run)

    assert 56 <= len(calls) <= 61


def test_a_caller_that_cannot_be_served_in_time_is_refused_at_its_own_end():
    async def run():
        limiter = a_limiter(a_table(), 10)
        waiting = calling(limiter, 30, [])
        await asyncio.sleep(0)
        with pytest.raises(RateLimited):
            await limiter.acquire(max_wait=5)
        assert now() == pytest.approx(5, abs=0.1)
        await until(0, *waiting)

    simulate(run)


# ── who goes first ─────────────────────────────────────────────────────────────────────────────
def test_live_work_of_one_replica_goes_before_background_work_of_another():
    live: list[float] = []
    background: list[float] = []

    async def run():
        table = a_table()
        reports, calls = a_limiter(table), a_limiter(table)
        before = calling(reports, 700, background, background=True)
        await asyncio.sleep(90)
        waiting = calling(calls, 400, live)
        await until(60, *before, *waiting)

    simulate(run)

    assert sum(at < 90 for at in background) > 400
    assert len([at for at in live if at < 150]) > 285
    assert sum(95 < at < 150 for at in background) < 10


def test_of_fifty_hungry_replicas_none_waits_much_longer_than_another():
    calls: list[list[float]] = [[] for _ in range(50)]

    async def run():
        table = a_table()
        limiters = [a_limiter(table) for _ in calls]
        waiting = [
            task
            for limiter, its in zip(limiters, calls, strict=True)
            for task in calling(limiter, 150, its)
        ]
        await until(1200, *waiting)

    simulate(run)

    fair = 294 * 20 / 50
    assert all(0.5 * fair < len(its) < 1.5 * fair for its in calls)


# ── what is not used ───────────────────────────────────────────────────────────────────────────
def test_slots_are_released_when_no_caller_waits_any_more():
    async def run():
        table = a_table()
        limiter = a_limiter(table)
        await until(1, *calling(limiter, 10, []))
        await asyncio.sleep(0.1)
        return table.items

    [position] = simulate(run).values()
    assert position.used <= 7  # of ten that were drawn


def test_slots_before_anothers_are_not_released():
    async def run():
        table = a_table()
        one, other = a_limiter(table), a_limiter(table)
        first = calling(one, 10, [])
        await asyncio.sleep(0.2)
        second = calling(other, 10, [])
        await asyncio.sleep(0.2)
        drawn = table.items[table_minute()].used
        await until(0, *first)
        await asyncio.sleep(0.1)
        assert table.items[table_minute()].used == drawn
        await until(0, *second)

    simulate(run)


def test_what_another_drew_in_between_is_not_released():
    async def run():
        table = a_table()
        one, other = a_fleet(table), a_fleet(table)
        for fleet in (one, other):
            fleet.want(10, 0, 10)
            await asyncio.sleep(0.2)
        while one.take() or one._slots:  # noqa: ASYNC110  in virtual time
            await asyncio.sleep(0.05)
        one.want(10, 0, 10)
        await asyncio.sleep(0.2)
        drawn = table.items[table_minute()].used
        one.want(0, 0, 0)
        await asyncio.sleep(0.1)
        return drawn - table.items[table_minute()].used

    assert 5 <= simulate(run) <= 10


def table_minute():
    return int(EPOCH // 60)


def test_a_refunded_grant_serves_the_next_caller():
    async def run():
        table = a_table()
        limiter = a_limiter(table)
        await limiter.acquire(max_wait=5)
        waiting = calling(limiter, 1, [])
        limiter.refund()
        await asyncio.wait_for(asyncio.gather(*waiting), 0.001)

    simulate(run)


# ── without the table ──────────────────────────────────────────────────────────────────────────
def test_without_the_table_each_goes_on_at_its_own_average():
    calls: list[list[float]] = [[], []]

    async def run():
        table = a_table()
        table.outage = (6, 9)
        limiters = [a_limiter(table, token_per_minute=200), a_limiter(table, token_per_minute=50)]
        pairs = zip(limiters, calls, strict=True)
        waiting = [task for one, its in pairs for task in (calling_on(one, its) for _ in range(12))]
        await until(660, *waiting)

    simulate(run)

    for its, usual in zip(calls, (200, 50), strict=True):
        minutes = Counter(int(at // 60) for at in its)
        assert 0.8 * usual <= minutes[7] <= 1.05 * usual
        assert minutes[10] >= 0.95 * usual


def test_who_never_reached_the_table_takes_a_tenth_of_the_budget():
    calls: list[float] = []

    async def run():
        table = a_table()
        table.outage = (0, 5)
        await until(180, *calling(a_limiter(table), 500, calls))

    simulate(run)

    assert Counter(int(at // 60) for at in calls)[1] == pytest.approx(30, abs=3)


def test_an_average_is_over_five_minutes_however_new_the_replica():
    use = RecentUse()
    for second in range(60):
        use.add(second, 1)

    assert use.per_second(60) == pytest.approx(60 / 300)
    assert use.per_second(1000) == pytest.approx(1 / 300)


def test_an_error_of_ours_stops_no_caller():
    async def run():
        limiter = Limiter("x", per_minute=AMPLE, fleet=FleetBudget(Broken(), 300, random=Random(1)))
        await asyncio.wait_for(limiter.acquire(max_wait=60), 10)

    simulate(run)


class Broken:
    def now(self):
        return EPOCH + now()

    async def draw(self, *_):
        raise ZeroDivisionError

    async def release(self, *_):
        raise Unavailable("down")


def test_a_closed_one_asks_no_more():
    async def run():
        table = a_table()
        limiter = a_limiter(table)
        waiting = calling(limiter, 100, [])
        await asyncio.sleep(5)
        await limiter._fleet.aclose()
        writes = table.writes.total()
        await until(60, *waiting)
        assert table.writes.total() == writes

    simulate(run)


# ── where a draw begins ────────────────────────────────────────────────────────────────────────
def test_a_draw_skips_what_is_over():
    pacing = Pacing(300)

    draw = pacing.draw(600 + 30, Position(10, 20), ahead=10)

    assert (draw.minute, draw.skips) == (10, True)
    assert 140 <= draw.first <= 147 <= draw.last == 157


def test_a_draw_goes_on_to_the_next_minute_when_this_one_is_used_up():
    pacing = Pacing(300)

    draw = pacing.draw(600 + 59, Position(10, 294), ahead=10)

    assert (draw.minute, draw.first, draw.skips) == (11, 0, False)
    assert draw.last == 5


def test_a_position_of_another_hour_is_not_believed():
    draw = Pacing(300).draw(600, Position(70, 12), ahead=10)

    assert (draw.minute, draw.first) == (10, 0)


def test_the_margin_is_two_percent_and_at_least_one_call():
    assert [Pacing(n).slots for n in (10, 100, 300, 3000)] == [9, 98, 294, 2940]

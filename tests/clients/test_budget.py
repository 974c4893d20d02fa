"""The table of the fleet's budget, on moto: no slot is drawn twice; the time is the table's."""

import asyncio
import time
from random import Random

import pytest

from tests.support.dynamodb import a_client, a_guard, a_store_table, a_stub
from worker.clients.aws.budget import DynamoBudget, TableClock
from worker.clients.aws.session import AwsService
from worker.errors import Misconfigured, RateLimited
from worker.resilience.fleet import Draw, FleetBudget, Position

CLIENT = "3f2b1c9e-8d47-4a56-9b0e-1c2d3e4f5a6b"


@pytest.fixture
async def client(wire):
    async with a_client() as client:
        yield client


@pytest.fixture
async def table(client):
    return await a_store_table(client)


def a_clock(wall_clock=time.time):
    return TableClock(asyncio.get_running_loop().time, wall_clock)


def a_budget(client, table, clock=None, client_id=CLIENT):
    service = AwsService("budget", client, a_guard(), "BUDGET_TABLE")
    return DynamoBudget(service, table, client_id, clock or known(a_clock()))


def known(clock):
    """Return a clock that need not ask first."""
    clock.is_known = True
    return clock


def a_draw(minute=1000, first=0, last=20, *, skips=False):
    return Draw(minute, first, last, skips)


async def items_of(client, table):
    return (await client.scan(TableName=table, ConsistentRead=True))["Items"]


# ── draws ──────────────────────────────────────────────────────────────────────────────────────
async def test_the_first_draw_makes_the_item_of_the_minute(client, table):
    answer = await a_budget(client, table).draw(a_draw(first=3), 10, 1.5)

    assert answer == (True, Position(1000, 13, 1.5))
    [item] = await items_of(client, table)
    assert item == {
        "id": {"S": f"budget|{CLIENT}|1970-01-01T16:40Z"},
        "used": {"N": "13"},
        "waited": {"N": "1.5"},
        "expiresAt": {"N": str(60_000 + 3600)},
    }


async def test_draws_follow_each_other(client, table):
    one, other = a_budget(client, table), a_budget(client, table)

    used = [(await each.draw(a_draw(), 5, 0)).position.used for each in (one, other, one)]

    assert used == [5, 10, 15]


async def test_fifty_draws_at_once_get_fifty_places(client, table):
    budgets = [a_budget(client, table) for _ in range(50)]

    answers = await asyncio.gather(*(each.draw(a_draw(last=1000), 2, 0) for each in budgets))

    assert sorted(answer.position.used for answer in answers) == list(range(2, 102, 2))


async def test_a_refused_draw_shows_how_far_the_others_are(client, table):
    budget = a_budget(client, table)
    await budget.draw(a_draw(last=30), 30, 8)

    assert await budget.draw(a_draw(last=20), 5, 0) == (False, Position(1000, 30, 8))


async def test_slots_that_are_over_are_skipped_and_never_drawn(client, table):
    budget = a_budget(client, table)
    await budget.draw(a_draw(), 5, 0)

    behind = await budget.draw(a_draw(first=40, last=60), 5, 0)
    skipped = await budget.draw(a_draw(first=40, last=60, skips=True), 5, 0)
    again = await budget.draw(a_draw(first=40, last=60, skips=True), 5, 0)

    assert behind == (False, Position(1000, 5))
    assert skipped == (True, Position(1000, 45))
    assert again == (False, Position(1000, 45))


async def test_another_client_and_another_minute_have_budgets_of_their_own(client, table):
    await a_budget(client, table).draw(a_draw(), 5, 0)

    other = await a_budget(client, table, client_id="other").draw(a_draw(), 5, 0)
    later = await a_budget(client, table).draw(a_draw(1001), 5, 0)

    assert (other.position.used, later.position.used) == (5, 5)


async def test_what_is_released_is_drawn_again_unless_another_drew_after_it(client, table):
    budget = a_budget(client, table)
    await budget.draw(a_draw(), 10, 0)
    await budget.release(1000, 4, 10)
    assert (await budget.draw(a_draw(), 2, 0)).position.used == 6

    await budget.release(1000, 0, 5)

    assert (await budget.draw(a_draw(), 2, 0)).position.used == 8


async def test_a_table_that_is_missing_is_a_problem_of_the_setting(client):
    with pytest.raises(Misconfigured) as missing:
        await a_budget(client, "no-such-table").draw(a_draw(), 5, 0)

    assert missing.value.setting == "BUDGET_TABLE"


async def test_a_throttled_table_is_asked_once(monkeypatch):
    throttled = {"__type": "ProvisionedThroughputExceededException", "message": "slow down"}
    async with a_stub(400, throttled) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        async with a_client() as client:
            with pytest.raises(RateLimited):
                await a_budget(client, "any").draw(a_draw(), 5, 0)


# ── the clock ──────────────────────────────────────────────────────────────────────────────────
async def test_nothing_is_drawn_before_the_tables_time_is_known(client, table):
    clock = a_clock(lambda: time.time() + 300)
    fleet = FleetBudget(a_budget(client, table, clock), 300, random=Random(1))

    fleet.want(5, 0, 5)
    async with asyncio.timeout(10):
        while fleet.wait() == float("inf"):  # noqa: ASYNC110  what comes says nothing
            await asyncio.sleep(0.01)
    await fleet.aclose()

    assert clock.is_known
    assert abs(clock.now() - time.time()) < 2
    minutes = {item["id"]["S"][-17:] for item in await items_of(client, table)}
    now = time.time()
    assert minutes <= {time.strftime("%Y-%m-%dT%H:%MZ", time.gmtime(now - ago)) for ago in (0, 10)}


class Time:
    """A clock moved by hand, and the server's behind a way that takes time."""

    def __init__(self, ahead):
        self.now = 1000.0
        self.ahead = ahead

    def __call__(self):
        return self.now

    def server(self):
        return self.now + 1_800_000_000

    def wall(self):
        return self.server() + self.ahead


@pytest.mark.parametrize("ahead", [-400, -0.2, 0, 0.3, 700])
async def test_the_tables_time_is_known_to_half_a_second_and_better_with_each_reply(ahead):
    ours, random = Time(ahead), Random(1)
    clock = TableClock(ours, ours.wall)
    errors = []

    for _ in range(50):
        ours.now += random.uniform(0, 7)
        asked_at = ours.now
        ours.now += random.uniform(0.001, 0.05)
        date = int(ours.server())
        ours.now += random.uniform(0.001, 0.05)
        clock.heard(date, asked_at)
        errors.append(abs(clock.now() - ours.server()))

    assert max(errors) <= 0.6
    assert errors[-1] <= 0.1 if abs(ahead) > 1 else errors[-1] <= abs(ahead) + 0.1


async def test_a_step_of_the_wall_clock_moves_no_slot():
    ours = Time(0)
    clock = TableClock(ours, ours.wall)
    clock.heard(int(ours.server()), ours.now)

    ours.ahead = 3600

    assert clock.now() == pytest.approx(ours.server(), abs=0.6)
    clock.heard(int(ours.server()), ours.now)
    assert clock.now() == pytest.approx(ours.server(), abs=0.6)

"""The token is asked for once, early, and never in a storm."""

import asyncio
import gc
import time
from contextlib import asynccontextmanager

import pytest

from worker.clients.genesys.api import Tokens
from worker.clients.genesys.dialects import Platform, Reference
from worker.clients.http import HttpClient, HttpLimits
from worker.emulators.genesys import GenesysCloud, GenesysServer, token_rate_limited
from worker.emulators.genesys.replies import hang
from worker.errors import RateLimited, Transient, Unauthorized, Unavailable
from worker.settings import Genesys, load_group
from worker.telemetry import metrics

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]


@asynccontextmanager
async def tokens_of(cloud=None, dialect=None, clock=None, request=None):
    cloud = cloud or GenesysCloud()
    request = request or (dialect or Platform()).token(cloud.client_id, "demo-secret")
    async with (
        GenesysServer(cloud) as genesys,
        HttpClient("genesys", genesys.url, HttpLimits(total_seconds=10)) as http,
    ):
        tokens = Tokens(http, request, clock)
        try:
            yield tokens, genesys
        finally:
            await tokens.aclose()


TEXTS = ("r0", "r1", "r2", "r3", "r4")


def refreshes(outcome):
    return metrics.token_refresh.labels(outcome)._value.get()


@pytest.mark.parametrize("dialect", [Platform(), *map(Reference, TEXTS)])
async def test_a_token_is_issued_in_each_dialect(dialect):
    async with tokens_of(dialect=dialect) as (tokens, genesys):
        assert genesys.knows_token(await tokens.get())


async def test_fifty_waiters_make_one_request():
    async with tokens_of(GenesysCloud(latency_seconds=1)) as (tokens, genesys):
        got = await asyncio.gather(*(tokens.get() for _ in range(50)))

        assert len(set(got)) == 1
        assert genesys.counts["token"] == 1


async def test_the_others_get_their_token_when_the_one_who_asked_first_is_cancelled():
    async with tokens_of(GenesysCloud(latency_seconds=1)) as (tokens, genesys):
        leader = asyncio.create_task(tokens.get())
        others = [asyncio.create_task(tokens.get()) for _ in range(9)]
        await asyncio.sleep(0.5)
        leader.cancel()

        got = await asyncio.gather(*others)

        assert len(set(got)) == 1
        assert genesys.counts["token"] == 1


async def test_the_token_is_kept_while_it_is_fresh():
    async with tokens_of() as (tokens, genesys):
        first = await tokens.get()
        await asyncio.sleep(86_400 - 301)

        assert await tokens.get() == first
        assert genesys.counts["token"] == 1


async def test_the_token_is_renewed_beside_the_work_five_minutes_before_it_ends():
    async with tokens_of() as (tokens, genesys):
        first = await tokens.get()
        await asyncio.sleep(86_400 - 299)

        in_passing = await tokens.get()
        await asyncio.sleep(1)

        assert in_passing == first
        assert await tokens.get() != first
        assert genesys.counts["token"] == 2


async def test_a_token_of_five_minutes_is_renewed_in_its_last_tenth():
    async with tokens_of(GenesysCloud(token_lifetime_seconds=300)) as (tokens, genesys):
        first = await tokens.get()
        await asyncio.sleep(268)
        assert await tokens.get() == first
        await asyncio.sleep(1)
        assert genesys.counts["token"] == 1

        await asyncio.sleep(2)
        await tokens.get()
        await asyncio.sleep(1)

        assert await tokens.get() != first


async def test_a_token_lives_on_while_its_renewal_fails_once_a_second():
    async with tokens_of() as (tokens, genesys):
        first = await tokens.get()
        await asyncio.sleep(86_400 - 200)
        genesys.fail_with("token", 503)

        for _ in range(100):
            assert await tokens.get() == first
            await asyncio.sleep(0.1)

        assert 1 + 8 <= genesys.counts["token"] <= 1 + 11


async def test_a_failed_renewal_that_is_not_awaited_is_no_lost_exception(caplog):
    async with tokens_of() as (tokens, genesys):
        await tokens.get()
        await asyncio.sleep(86_400 - 200)
        genesys.fail_with("token", 503)
        await tokens.get()
        await asyncio.sleep(1)
    gc.collect()

    assert [record for record in caplog.records if record.name == "asyncio"] == []


async def test_an_expired_token_is_never_given_out():
    async with tokens_of() as (tokens, genesys):
        await tokens.get()
        await asyncio.sleep(86_401)

        assert genesys.knows_token(await tokens.get())


async def test_only_the_refused_token_is_dropped_and_only_once():
    async with tokens_of() as (tokens, genesys):
        old = await tokens.get()
        tokens.invalidate(old)
        new = await tokens.get()

        tokens.invalidate(old)

        assert await tokens.get() == new
        assert genesys.counts["token"] == 2


async def test_a_refused_client_is_asked_for_once_in_thirty_seconds():
    async with tokens_of(GenesysCloud(reject_client=True)) as (tokens, genesys):
        started = asyncio.get_running_loop().time()
        while asyncio.get_running_loop().time() - started < 299:
            with pytest.raises(Unauthorized) as caught:
                await tokens.get()
            assert 0 < (caught.value.retry_after or 0) <= 30
            await asyncio.sleep(1)

        assert genesys.counts["token"] == 10


async def test_a_refused_client_is_a_problem_until_it_is_accepted():
    async with tokens_of(GenesysCloud(reject_client=True)) as (tokens, genesys):
        assert tokens.refusal is None
        with pytest.raises(Unauthorized):
            await tokens.get()
        assert tokens.problem == "genesys refuses client credentials (invalid_client)"
        assert tokens.refusal.setting == "GENESYS_CLIENT_SECRET"

        genesys.reject_client = False
        await asyncio.sleep(31)
        await tokens.get()

        assert tokens.problem is None


async def test_tokens_minted_too_often_wait_and_are_no_problem_of_the_client():
    async with tokens_of() as (tokens, genesys):
        genesys.fail_with("token", token_rate_limited)
        for _ in range(5):
            with pytest.raises(RateLimited) as caught:
                await tokens.get()

        assert caught.value.retry_after == pytest.approx(30, abs=1)
        assert genesys.counts["token"] == 1
        assert tokens.refusal is None


async def test_a_token_host_that_is_down_is_asked_once_a_second():
    async with tokens_of() as (tokens, genesys):
        genesys.fail_with("token", 503)
        for _ in range(50):
            with pytest.raises(Unavailable):
                await tokens.get()

        assert genesys.counts["token"] == 1
        genesys.heal("token")
        await asyncio.sleep(1.1)
        assert genesys.knows_token(await tokens.get())


async def test_a_token_host_that_says_nothing_is_unavailable_within_the_time_limit():
    async with tokens_of() as (tokens, genesys):
        genesys.fail_with("token", hang)
        started = asyncio.get_running_loop().time()

        with pytest.raises(Unavailable):
            await tokens.get()

        assert asyncio.get_running_loop().time() - started == pytest.approx(10, abs=0.5)


async def test_a_reply_that_is_no_token_dead_letters_no_message():
    async with tokens_of() as (tokens, genesys):
        genesys.fail_with("token", 404)

        with pytest.raises(Transient):
            await tokens.get()


async def test_the_life_of_a_token_is_measured_by_the_given_clock():
    now = 1000.0
    async with tokens_of(clock=lambda: now) as (tokens, _):
        first = await tokens.get()
        now += 86_400

        assert await tokens.get() != first


@pytest.mark.parametrize("step_seconds", [3600, -3600])
async def test_a_step_of_the_wall_clock_neither_expires_a_token_nor_keeps_it(
    step_seconds, monkeypatch
):
    wall_clock = time.time
    async with tokens_of(GenesysCloud(token_lifetime_seconds=600)) as (tokens, genesys):
        first = await tokens.get()
        monkeypatch.setattr(time, "time", lambda: wall_clock() + step_seconds)

        assert await tokens.get() == first
        await asyncio.sleep(601)
        assert await tokens.get() != first

    assert [arrival.endpoint for arrival in genesys.arrivals] == ["token", "token"]


async def test_token_requests_are_counted_by_outcome():
    before = {outcome: refreshes(outcome) for outcome in ("ok", "refused", "error")}
    async with tokens_of(GenesysCloud(token_lifetime_seconds=600)) as (tokens, genesys):
        await tokens.get()
        genesys.fail_with("token", 503, times=1)
        await asyncio.sleep(601)
        with pytest.raises(Unavailable):
            await tokens.get()
        genesys.reject_client = True
        await asyncio.sleep(2)
        with pytest.raises(Unauthorized):
            await tokens.get()

    assert {outcome: refreshes(outcome) - before[outcome] for outcome in before} == {
        "ok": 1,
        "refused": 1,
        "error": 1,
    }
    assert metrics.token_expires._value.get() == 600


async def test_a_secret_that_was_rotated_under_way_heals_within_a_minute(tmp_path):
    file = tmp_path / "secret"
    file.write_text("old\n")
    cloud = GenesysCloud()
    secret = load_group(Genesys, {"GENESYS_CLIENT_SECRET_FILE": str(file)}).client_secret

    def request():
        return Platform().token(cloud.client_id, secret.get_secret_value())

    async with tokens_of(cloud, request=request) as (tokens, _):
        with pytest.raises(Unauthorized) as caught:
            await tokens.get()
        file.write_text(cloud.client_secret)
        await asyncio.sleep(caught.value.retry_after)

        assert cloud.knows_token(await tokens.get())
    assert caught.value.retry_after < 60


async def test_refused_credentials_are_tried_again_without_a_message():
    cloud = GenesysCloud(client_secret="right")
    async with tokens_of(cloud) as (tokens, genesys):
        with pytest.raises(Unauthorized):
            await tokens.get()
        cloud.client_secret = "demo-secret"
        await asyncio.sleep(31)
        healed = tokens.problem
        await asyncio.sleep(3600)

        assert healed is None
        assert genesys.counts["token"] == 2


async def test_credentials_that_stay_refused_are_tried_twice_a_minute():
    async with tokens_of(GenesysCloud(client_secret="right")) as (tokens, genesys):
        with pytest.raises(Unauthorized):
            await tokens.get()
        await asyncio.sleep(601)

        assert genesys.counts["token"] == 21
        assert tokens.refusal is not None

"""What the upstreams say together: states, reasons, problems, pauses."""

import asyncio
from random import Random

import pytest

from worker.app.intake import _check
from worker.app.upstreams import LOGIN, Upstreams
from worker.errors import ConfigurationError, RateLimited, Unauthorized, Unavailable
from worker.events.origin import Result
from worker.intake.router import Route
from worker.settings import Breaker, Genesys

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

API = {"data_action", "conversations", "analytics", "speech", "architect", "platform"}


@pytest.fixture
async def upstreams():
    return Upstreams(Breaker(), Random(1), pause_cap_seconds=900)


async def failing(guard, error=None):
    async def attempt():
        raise error or Unavailable("503")

    with pytest.raises((Unavailable, RateLimited)):
        await guard.call(attempt, repeatable=False)


async def test_each_part_of_genesys_is_an_upstream_and_those_that_are_used_are_named(upstreams):
    settings = Genesys()
    upstreams.genesys(settings, upstreams.limiter(settings))
    upstreams.login(settings)
    upstreams.aws("dynamodb")
    upstreams.http("crm", 2, 12)

    assert upstreams.names() == {*API, LOGIN, "dynamodb", "crm"}


async def test_one_that_is_down_closes_no_other(upstreams):
    settings = Genesys()
    guards = upstreams.genesys(settings, upstreams.limiter(settings))

    for _ in range(10):
        await failing(guards["data_action"])

    assert {name for name in API if upstreams.state(name) != "closed"} == {"data_action"}


async def test_why_one_is_not_called_is_reported_in_words(upstreams):
    guard = upstreams.aws("dynamodb")
    assert upstreams.reason("dynamodb") == ""
    assert upstreams.reason("never-built") == ""

    for _ in range(10):
        await failing(guard)
    while_open = upstreams.reason("dynamodb")
    await asyncio.sleep(5)

    assert while_open.startswith("breaker open: it is tried again in ")
    assert upstreams.reason("dynamodb") == "breaker half-open: one message at a time tries"


async def test_a_pause_is_reported_as_it_was_asked_for_and_as_it_is_obeyed(upstreams):
    guard = upstreams.http("crm", 1, 12)

    await failing(guard, RateLimited("429", retry_after=31_536_000))
    await asyncio.sleep(100)

    assert upstreams.asked_pauses() == {"crm": (pytest.approx(800), 31_536_000)}
    assert upstreams.reason("crm") == "asked for a pause of 31536000 s: 800 s left"


async def test_a_pause_of_the_request_budget_is_one_of_all_parts_of_the_api(upstreams):
    settings = Genesys()
    guards = upstreams.genesys(settings, upstreams.limiter(settings))

    await failing(guards["speech"], RateLimited("429", retry_after=100))

    assert upstreams.asked_pauses() == {"genesys": (pytest.approx(100), 100)}
    assert upstreams.reason("analytics") == "asked for a pause of 100 s: 100 s left"


async def test_a_problem_that_is_known_without_a_message_is_reported_with_its_remedy(upstreams):
    refusal = Unauthorized("genesys refuses client credentials (invalid_client)")
    guard = upstreams.login(Genesys())
    upstreams.report_problem_of(LOGIN, lambda: refusal, guard)

    assert upstreams.problem(LOGIN) is refusal
    assert upstreams.problem("crm") is None
    assert "GENESYS_CLIENT_SECRET" in upstreams.reason(LOGIN)


@pytest.mark.parametrize("kind", ["needs", "may_miss"])
async def test_a_route_that_needs_what_is_not_there_ends_the_start(kind):
    async def run(_):
        return Result.OK

    routes = {"reports": Route(job="reports", run=run, **{kind: frozenset({"analytcs"})})}

    with pytest.raises(ConfigurationError, match="there is no upstream analytcs"):
        _check(routes, frozenset({"analytics"}))

"""ECS is asked not to end the task while it is busy, seldom, and never at the work's cost."""

import asyncio

import pytest
from structlog.testing import capture_logs

from tests.support.ecs_agent import FAILURE, THROTTLED, a_protection, an_agent
from worker.clients.ecs import AGENT_LIMITS, MARGIN_SECONDS, RETRY_SECONDS, expiry_minutes
from worker.clients.http import HttpClient
from worker.errors import ConfigurationError, Unavailable
from worker.telemetry import metrics

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

MINUTE = 60


def failures():
    return metrics.best_effort_failures.labels("task_protection")._value.get()


async def test_the_task_is_protected_while_it_is_busy_and_released_when_idle():
    async with (
        an_agent() as agent,
        a_protection(agent, minutes=65) as protection,
        protection.while_busy(),
    ):
        assert agent.wishes == [{"ProtectionEnabled": True, "ExpiresInMinutes": 65}]

    assert agent.wishes[1:] == [{"ProtectionEnabled": False}]


async def test_runs_that_overlap_are_one_busy_time():
    async with an_agent() as agent, a_protection(agent) as protection:

        async def run(seconds):
            async with protection.while_busy():
                await asyncio.sleep(seconds)

        await asyncio.gather(*(run(seconds) for seconds in (10, 30, 20)))

    assert agent.protected == [True, False]


async def test_a_protection_is_renewed_at_half_its_life():
    async with (
        an_agent() as agent,
        a_protection(agent, minutes=60) as protection,
        protection.while_busy(),
    ):
        await asyncio.sleep(95 * MINUTE)

    gaps = [later - earlier for earlier, later in zip(agent.times, agent.times[1:], strict=False)]
    assert agent.protected == [True, True, True, True, False]
    assert gaps[:3] == pytest.approx([30 * MINUTE] * 3, abs=1)


async def test_a_run_that_begins_while_the_protection_is_released_is_protected_last():
    async with an_agent() as agent, a_protection(agent) as protection:
        agent.seconds = 1
        async with protection.while_busy():
            pass
        await asyncio.sleep(0.5)  # the agent is at it
        async with protection.while_busy():
            assert agent.protected == [True, False, True]

    assert agent.most_under_way == 1


async def test_a_run_that_begins_at_once_keeps_the_protection():
    async with an_agent() as agent, a_protection(agent) as protection:
        async with protection.while_busy():
            pass
        async with protection.while_busy():
            assert agent.protected == [True, True]

    assert agent.protected == [True, True, False]


@pytest.mark.parametrize(
    "refusal", [(200, FAILURE), (400, THROTTLED), (500, {}), (200, []), (200, {"failure": 1})]
)
async def test_a_refusal_is_counted_and_asked_again_soon(refusal):
    before = failures()

    async with an_agent() as agent, a_protection(agent) as protection:
        agent.refusals = [refusal]
        async with protection.while_busy():
            assert failures() == before + 1
            await asyncio.sleep(RETRY_SECONDS + 1)
            assert agent.protected == [True, True]
            await asyncio.sleep(RETRY_SECONDS + 1)

    assert agent.protected == [True, True, False]


@pytest.mark.parametrize(
    ("refusal", "why"),
    [
        ((200, FAILURE), "TASK_NOT_VALID"),
        ((400, THROTTLED), "ThrottlingException"),
        ((200, {"failure": {"Reason": "no code\n"}}), "unreadable code"),
        ((502, "bad gateway"), "502"),
    ],
)
async def test_a_refusal_is_reported_in_the_words_of_ecs(refusal, why):
    async with an_agent() as agent, a_protection(agent) as protection:
        agent.refusals = [refusal]
        with capture_logs() as lines:
            async with protection.while_busy():
                pass

    (reported,) = (line for line in lines if line["event"] == "best_effort_failed")
    assert reported["error"] == f"task_protection: {why}"


async def test_an_agent_that_does_not_answer_holds_no_one_up_for_long():
    loop = asyncio.get_running_loop()

    async with an_agent() as agent, a_protection(agent) as protection:
        agent.silent = True
        began = loop.time()
        async with protection.while_busy():
            assert loop.time() - began < 6
        left = loop.time()
        agent.silent = False

    assert left - began < 6


async def test_what_the_work_raises_passes_and_the_task_is_released():
    async with an_agent() as agent, a_protection(agent) as protection:
        with pytest.raises(Unavailable):
            async with protection.while_busy():
                raise Unavailable("genesys: 503")

    assert agent.protected == [True, False]


async def test_work_that_is_cancelled_while_the_agent_is_asked_is_over():
    async with an_agent() as agent, a_protection(agent) as protection:
        agent.seconds = 2
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1), protection.while_busy():
                pytest.fail("entered")

    assert agent.protected == [True, False]


async def test_closing_ends_a_protection_whose_work_never_ended():
    async with an_agent() as agent, a_protection(agent) as protection:
        stranded = protection.while_busy()
        await stranded.__aenter__()

        async with asyncio.timeout(MINUTE):
            await protection.aclose()
        await stranded.__aexit__(None, None, None)

    assert agent.protected == [True]


@pytest.mark.parametrize(
    ("longest", "minutes"), [(3600, 65), (1, 6), (MARGIN_SECONDS, 10), (10**6, 2880)]
)
async def test_the_expiry_is_longer_than_the_longest_run(longest, minutes):
    assert expiry_minutes(longest) == minutes


async def test_plain_http_goes_to_the_named_host_only():
    async with HttpClient("a", "http://169.254.170.2/x", AGENT_LIMITS, plain_host="169.254.170.2"):
        pass
    with pytest.raises(ConfigurationError):
        HttpClient("a", "http://169.254.170.3/x", AGENT_LIMITS, plain_host="169.254.170.2")
    with pytest.raises(ConfigurationError):
        HttpClient("a", "http://169.254.170.2/x", AGENT_LIMITS)

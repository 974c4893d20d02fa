"""A report keeps ECS from ending its task; anywhere else no one is asked."""

from contextlib import AsyncExitStack

import pytest

from tests.support.ecs_agent import an_agent
from tests.support.factories import a_report_due
from worker.app.context import new_context
from worker.app.intake import _protected, build_routes
from worker.app.jobs import load_settings
from worker.errors import Unavailable
from worker.events.origin import Result
from worker.jobs.reports.handler import WriteReport

SETTINGS = {
    "SQS_QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/1/work",
    "GENESYS_CLIENT_ID": "id",
    "GENESYS_CLIENT_SECRET": "secret",
    "REPORT_BUCKET": "reports",
    "REPORT_DEADLINE_SECONDS": "1800",
}


@pytest.fixture
async def stack():
    async with AsyncExitStack() as stack:
        yield stack


def a_context(stack, **over):
    return new_context(load_settings(SETTINGS | over), stack)


async def test_the_task_is_protected_for_the_length_of_a_report():
    async with an_agent() as agent, AsyncExitStack() as stack:

        async def write(_):
            assert agent.wishes == [{"ProtectionEnabled": True, "ExpiresInMinutes": 35}]
            return Result.OK

        context = a_context(stack, ECS_AGENT_URI=agent.url)
        run = await _protected(context, write, 1800)
        assert await run(a_report_due()) is Result.OK
        await stack.aclose()

        assert agent.protected == [True, False]


async def test_a_report_that_fails_fails_as_it_would_without_protection():
    async def write(_):
        raise Unavailable("genesys: 503")

    async with an_agent() as agent, AsyncExitStack() as stack:
        context = a_context(stack, ECS_AGENT_URI=agent.url)
        run = await _protected(context, write, 1800)
        with pytest.raises(Unavailable, match="503"):
            await run(a_report_due())


async def test_the_handler_of_reports_is_protected_by_its_own_deadline(stack):
    async with an_agent() as agent:
        routes = await build_routes(a_context(stack, ECS_AGENT_URI=agent.url))

        async with routes["reports"].run.protection.while_busy():
            assert agent.wishes == [{"ProtectionEnabled": True, "ExpiresInMinutes": 35}]
        await stack.aclose()


async def test_without_an_agent_the_handler_is_the_bare_one(stack):
    routes = await build_routes(a_context(stack))

    assert isinstance(routes["reports"].run, WriteReport)

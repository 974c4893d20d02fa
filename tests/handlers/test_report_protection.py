"""A report keeps ECS from ending its task; anywhere else nobody is asked."""

from contextlib import AsyncExitStack
from types import SimpleNamespace

import pytest

from tests.support.ecs_agent import an_agent
from tests.support.factories import a_report_due
from worker.app.handlers import reports
from worker.app.protection import protected
from worker.app.workshop import new_workshop
from worker.domain.result import Result
from worker.errors import Unavailable
from worker.handlers.scheduled_report import WriteReport
from worker.settings import load_settings

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


def a_workshop(stack, **over):
    return new_workshop(load_settings(SETTINGS | over), stack)


async def test_the_task_is_protected_for_the_length_of_a_report():
    async with an_agent() as agent, AsyncExitStack() as stack:

        async def write(_):
            assert agent.wishes == [{"ProtectionEnabled": True, "ExpiresInMinutes": 35}]
            return Result.OK

        workshop = a_workshop(stack, ECS_AGENT_URI=agent.url)
        run = await protected(workshop, write, longest_seconds=1800)
        assert await run(a_report_due()) is Result.OK
        await stack.aclose()

        assert agent.protected == [True, False]


async def test_a_report_that_fails_fails_as_it_would_without_protection():
    async def write(_):
        raise Unavailable("genesys: 503")

    async with an_agent() as agent, AsyncExitStack() as stack:
        workshop = a_workshop(stack, ECS_AGENT_URI=agent.url)
        run = await protected(workshop, write, longest_seconds=1800)
        with pytest.raises(Unavailable, match="503"):
            await run(a_report_due())


async def test_the_handler_of_reports_is_protected_by_its_own_deadline(stack):
    async with an_agent() as agent:
        workshop = a_workshop(stack, ECS_AGENT_URI=agent.url)
        run = await reports.build(workshop, SimpleNamespace(api=None), bus=None)

        async with run.protection.while_busy():
            assert agent.wishes == [{"ProtectionEnabled": True, "ExpiresInMinutes": 35}]
        await stack.aclose()


async def test_without_an_agent_the_handler_is_the_bare_one(stack):
    run = await reports.build(a_workshop(stack), SimpleNamespace(api=None), bus=None)

    assert isinstance(run, WriteReport)

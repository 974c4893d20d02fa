"""Keeps ECS from ending a task in the midst of long work."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from worker.app.workshop import Workshop
from worker.clients.ecs import AGENT_LIMITS, EFFECT, TaskProtection, expiry_minutes
from worker.clients.http import HttpClient
from worker.events.result import Result
from worker.jobs.reports.events import ReportDue

Run = Callable[[ReportDue], Awaitable[Result]]


@dataclass(frozen=True, slots=True)
class Protected:
    """A handler during whose runs the task is not scaled in."""

    run: Run
    protection: TaskProtection

    async def __call__(self, event: ReportDue) -> Result:
        """Run; raises what the handler raises, and nothing for the protection's sake."""
        async with self.protection.while_busy():
            return await self.run(event)


async def protected(workshop: Workshop, run: Run, *, longest_seconds: float) -> Run:
    """Return `run`, protected while it runs; as it is where there is no ECS agent."""
    agent = workshop.settings.ecs.agent_uri
    if agent is None:
        return run
    http = HttpClient(EFFECT, str(agent), AGENT_LIMITS, plain_host=agent.host)
    await workshop.stack.enter_async_context(http)
    protection = TaskProtection(http, minutes=expiry_minutes(longest_seconds))
    workshop.stack.push_async_callback(protection.aclose)
    return Protected(run, protection)

"""Builds the jobs that are on, and wires them as they declare it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from worker.api import Handler, Job, Result
from worker.app.context import AppContext, JobContext
from worker.app.jobs import known_jobs, needed
from worker.clients import AGENT_LIMITS, TASK_PROTECTION, HttpClient, TaskProtection, expiry_minutes
from worker.errors import ConfigurationError
from worker.intake import Route, Routes


async def build_routes(context: AppContext) -> Routes:
    """Return the routes of the jobs that are on. A job that is off is not even built.

    Raises ConfigurationError for the name of an upstream that there is not: what is needed would
    never be waited for.
    """
    on = context.settings.enabled_jobs()
    routes = {name: await _route(context, known_jobs()[name]) for name in on}
    _check(routes, context.upstreams.names())
    return routes


async def build_handler(context: AppContext, job: Job[Any]) -> Handler:
    """Return the handler of a job, under the settings of the context."""
    return await job.build(JobContext(job.name, context), context.settings.jobs[job.name])


async def _route(context: AppContext, job: Job[Any]) -> Route:
    settings = context.settings.jobs[job.name]
    deadline = _value(settings, job.deadline)
    run = await build_handler(context, job)
    return Route(
        job=job.name,
        run=await _protected(context, run, deadline) if job.background else run,
        needs=context.upstreams_of(job.name, needed(job, settings)),
        may_miss=context.upstreams_of(job.name, job.may_miss),
        deadline_seconds=deadline,
        age_limit_seconds=_value(settings, job.age_limit),
        degrade_after_seconds=_value(settings, job.degrade_after),
        proof=job.proof,
    )


def _value(settings: Any, field: str | None) -> float | None:
    return None if field is None else getattr(settings, field)


def _check(routes: Routes, names: frozenset[str]) -> None:
    problems = [
        f"job {route.job}: there is no upstream {name}"
        for route in routes.values()
        for name in sorted((route.needs | route.may_miss) - names)
    ]
    if problems:
        raise ConfigurationError(problems)


@dataclass(frozen=True, slots=True)
class Protected:
    """A handler during whose runs ECS does not scale the task in."""

    run: Handler
    protection: TaskProtection

    async def __call__(self, event: Any) -> Result:
        """Run; raises what the handler raises, and nothing for the protection's sake."""
        async with self.protection.while_busy():
            return await self.run(event)


async def _protected(
    context: AppContext, run: Handler, deadline_seconds: float | None
) -> Callable[[Any], Awaitable[Result]]:
    """Return `run`, protected while it runs; as it is where there is no ECS agent."""
    agent = context.settings.ecs.agent_uri
    if agent is None:
        return run
    http = HttpClient(TASK_PROTECTION, str(agent), AGENT_LIMITS, plain_host=agent.host)
    await context.stack.enter_async_context(http)
    longest = deadline_seconds or context.settings.handler.deadline_seconds
    protection = TaskProtection(http, minutes=expiry_minutes(longest))
    context.stack.push_async_callback(protection.aclose)
    return Protected(run, protection)

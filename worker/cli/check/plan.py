"""All checks, which of them the settings need, and their runs: none hangs or stops another."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

from worker.app.command_line import open_with
from worker.app.context import AppContext
from worker.app.jobs import known_jobs, unknown_settings
from worker.cli.check.aws import (
    check_bus,
    check_details_bucket,
    check_idempotency_table,
    check_identity,
    check_queues,
    check_region,
    check_report_bucket,
    check_state_machine,
    check_table,
)
from worker.cli.check.jobs import (
    check_job,
    check_model,
    installed,
    jobs_on,
    settings_of_jobs,
    title,
    with_checks,
)
from worker.cli.check.upstreams import check_genesys, check_webhook, webhooks_of
from worker.clients.aws.errors import REFUSALS, fault_of
from worker.clients.aws.wire.connection import ClientLimits
from worker.errors import ConfigurationError
from worker.findings import Finding, fail, ok, warn
from worker.jobs.reports.settings import ReportSettings
from worker.jobs.voice.settings import VoiceSettings
from worker.jobs.workflow.settings import WorkflowSettings
from worker.settings import Settings

LIMITS = ClientLimits(pool=2, read_seconds=5, attempts=2)
DEADLINE_SECONDS = 20.0

Found = Finding | list[Finding]


@dataclass(frozen=True, slots=True)
class AwsCheck:
    """A check that calls one AWS service."""

    name: str
    """Of the finding, should there be no other."""

    needed: object
    """True in a condition: a handler that is on needs it, and its setting is set."""

    service: str
    ask: Callable[[Any], Awaitable[Found]]
    """Takes the service's client."""


@dataclass(frozen=True, slots=True)
class HttpCheck:
    """A check of what is called over HTTP."""

    name: str
    ask: Callable[[AppContext], Awaitable[Found]]


async def findings_of(settings: Settings) -> list[Finding]:
    """Run all checks. Raises ConfigurationError for an AWS profile that does not exist."""
    async with open_with(settings) as context:
        checks = [
            *(_within(one.name, _called(context, one)) for one in aws_checks(settings)),
            *(_within(one.name, one.ask(context)) for one in http_checks(settings)),
        ]
        found = await asyncio.gather(*checks)
    return [*settings_findings(settings), *check_region(settings), *chain.from_iterable(found)]


def aws_checks(settings: Settings) -> Iterator[AwsCheck]:
    """Yield the checks of AWS that are needed, in the order of their findings."""
    on = set(settings.enabled_jobs())
    table = settings.of(VoiceSettings).dynamodb_table or ""
    workflow = settings.of(WorkflowSettings)
    arn, details = workflow.step_functions_arn or "", workflow.workflow_details_bucket
    store, bus = settings.idempotency.table, settings.event_bus.name
    reports = settings.of(ReportSettings).report_bucket or ""
    puts = [put for name in sorted(on) for put in known_jobs()[name].bus_events]
    checks = (
        AwsCheck("AWS credentials", True, "sts", check_identity),
        AwsCheck("queue", True, "sqs", partial(check_queues, settings=settings)),
        AwsCheck(
            "idempotency table",
            store,
            "dynamodb",
            partial(check_idempotency_table, table=store or ""),
        ),
        AwsCheck("DynamoDB table", on & {"voice"}, "dynamodb", partial(check_table, table=table)),
        AwsCheck(
            "state machine",
            on & {"workflow"},
            "stepfunctions",
            partial(check_state_machine, arn=arn),
        ),
        AwsCheck(
            "call details bucket",
            on & {"workflow"} and details,
            "s3",
            partial(check_details_bucket, bucket=details or ""),
        ),
        AwsCheck(
            "report bucket", on & {"reports"}, "s3", partial(check_report_bucket, bucket=reports)
        ),
        AwsCheck("event bus", puts, "events", partial(check_bus, bus=bus, puts=puts)),
    )
    yield from (check for check in checks if check.needed)
    yield from _of_installed_jobs(settings)


def _of_installed_jobs(settings: Settings) -> Iterator[AwsCheck]:
    for job in installed(settings):
        for service in job.aws_services:
            ask = partial(check_model, job=job, service=service)
            yield AwsCheck(f"{title(job)}: {service}", True, service, ask)


def http_checks(settings: Settings) -> Iterator[HttpCheck]:
    """Yield the checks of all others that are needed, in the order of their findings."""
    if any(job.uses_genesys(settings.jobs[job.name]) for job in jobs_on(settings)):
        yield HttpCheck("Genesys token", check_genesys)
    for job in with_checks(settings):
        yield HttpCheck(title(job), partial(check_job, job=job))
    for name, url in webhooks_of(settings):
        yield HttpCheck(name, partial(check_webhook, name=name, url=url))


def settings_findings(settings: Settings) -> list[Finding]:
    """Return what the settings alone show."""
    found = [ok("settings", f"complete; jobs on: {', '.join(settings.enabled_jobs())}")]
    half = settings.half_configured()
    # Handlers left out of HANDLERS are off on purpose: no finding.
    for handler, lacking in settings.disabled_jobs().items():
        remedy = f"to turn it on, set {', '.join(lacking)}"
        if handler in half:
            remedy += "; to leave it off, name the others in HANDLERS: its events are dead-lettered"
            found.append(fail("settings", half[handler], remedy))
        elif not settings.handlers.handlers:
            found.append(warn("settings", f"job {handler} is off", remedy))
    found += [*settings_of_jobs(settings), *long_waits(settings)]
    return found + [warn("settings", *_halves(line)) for line in unknown_settings()]


def long_waits(settings: Settings) -> Iterator[Finding]:
    """Yield a finding for each wait of a handler that is on and is longer than retries go on for.

    No error at the start: what does not have to wait that long is handled.
    """
    horizon = settings.retry.horizon_seconds
    waits = [(job, field) for job in settings.enabled_jobs() for field in known_jobs()[job].waits]
    for job, field in waits:
        seconds = getattr(settings.jobs[job], field)
        if seconds is not None and seconds >= horizon:
            found = f"{field.upper()} is {seconds:g} s, but retries end after {horizon:g} s"
            remedy = "lower it, or raise RETRY_HORIZON_SECONDS: the message is dead-lettered first"
            yield warn("settings", found, remedy)


def problem_findings(problems: list[str]) -> list[Finding]:
    """Return a finding for each problem of the settings."""
    return [fail("settings", *_halves(problem)) for problem in problems]


async def _called(context: AppContext, check: AwsCheck) -> Found:
    try:
        return await check.ask(await context.aws_client(check.service, LIMITS))
    except ConfigurationError as error:
        return fail(check.name, *_halves(error.problems[0]))
    except REFUSALS as error:
        return fail(check.name, fault_of(error).code, fault_of(error).remedy)


async def _within(name: str, check: Awaitable[Found]) -> list[Finding]:
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            found = await check
    except TimeoutError:
        return [fail(name, f"no answer in {DEADLINE_SECONDS:.0f} s", "check the network")]
    except UnicodeError:
        # Resolving ends so where a part of the name is longer than one can be.
        return [fail(name, "the host name is not valid", "check its URL")]
    return found if isinstance(found, list) else [found]


def _halves(problem: str) -> tuple[str, str]:
    name, _, text = problem.partition(": ")
    return name, text

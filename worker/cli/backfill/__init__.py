"""`worker backfill`: sends the events that were missed, e.g. while the event source was off.

Conversations that ended in an interval are read from analytics, each job says of which of them it
has no effect, and their events are put on its queue. An event means to the job what the lost one
would have meant, so of the two the later is a duplicate, whichever that is.

There is no state but what is there: a run that was interrupted is run again, and finds what is
missing by then. What was sent and has no effect yet would be found again, so it is claimed in the
idempotency store first, for as long as its queue keeps it.
"""

import asyncio
import json
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import aclosing, asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from math import isnan
from typing import TYPE_CHECKING, Annotated, Any

import typer

from worker.cli.exit_codes import FAILED, SUCCESS, UNREACHABLE, finish, problem_of
from worker.errors import ConfigurationError

if TYPE_CHECKING:
    from rich.progress import Progress

    from worker.app.context import AppContext
    from worker.cli.backfill.work import JobRun, Order, Outcome
    from worker.settings import Settings

REFRESH_SECONDS = 0.2


def _moment(text: str) -> datetime:
    """Return typer's parser of a time; without a zone it is UTC."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter("not a date, nor a time such as 2026-03-01T08:00:00Z") from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _number(rate: float) -> float:
    """Return typer's check of a rate: `nan` is within every range."""
    if isnan(rate):
        raise typer.BadParameter("not a number")
    return rate


Apply = Annotated[bool, typer.Option("--apply", help="Send the events (default: dry run).")]
Again = Annotated[
    bool, typer.Option("--again", help="Also what an earlier run has sent, without effect yet.")
]
Rate = Annotated[
    float, typer.Option(min=0.01, max=1000, callback=_number, help="Events per second at most.")
]
OpenDays = Annotated[
    int,
    typer.Option(
        min=0, max=31, help="Days before --from on which such a conversation may have begun."
    ),
]


def backfill(  # noqa: PLR0913, PLR0917  one parameter per option is typer's way
    start: Annotated[
        datetime,
        typer.Option("--from", help="First instant; UTC without a zone.", parser=_moment),
    ],
    end: Annotated[datetime, typer.Option("--to", help="First instant after it.", parser=_moment)],
    job: Annotated[
        list[str] | None,
        typer.Option(help="Only this job; repeat for more. If none: all that are on."),
    ] = None,
    rate: Rate = 2,
    open_days: OpenDays = 3,
    again: Again = False,
    apply: Apply = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Find conversations that ended in an interval and had no effect; send their events.

    Each job says what is missing: calls with a score and no voice record, conversations of
    customers without an execution. What ended within the last hour is left to its own events. All
    requests give way to live ones. Interrupted, run it again: nothing is sent twice where
    LEDGER_TABLE is set, and nothing has two effects in any case.

    Exit code 0: nothing is missing, or all was sent, or it was a dry run. 1: something could not be
    asked for or sent. 2: a wrong setting or argument. 3: a service was unreachable.
    """
    from worker.cli.backfill.work import Order

    order = Order(start, end, tuple(job or ()), rate, open_days, again, apply)
    outcome = finish(_run(order))
    _print(outcome, as_json=as_json)
    raise typer.Exit(_exit_code(outcome))


def _print(outcome: "Outcome", *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(_as_dict(outcome), indent=2))
        return
    for line in _lines(outcome):
        typer.echo(line)


async def _run(order: "Order") -> "Outcome":
    from worker.app.command_line import open_genesys, open_with
    from worker.cli.backfill.work import Outcome, Reader, Reading

    now = datetime.now(UTC)
    settings = _settings()
    outcome = Outcome(order, order.interval(now), _chosen(settings, order.jobs), Reading())
    outcome.notes += _notes(settings, order, outcome)
    async with open_with(settings) as context, _shown(outcome):
        genesys = await open_genesys(context)
        reader = Reader(genesys, outcome.interval, order.open_days, outcome.reading)
        await asyncio.gather(*(_guarded(one, _open(context, one, outcome)) for one in outcome.runs))
        if len(outcome.problems) < len(outcome.runs):
            # Before the first page, which is retried for long: what is wrong here shows at once.
            await genesys.tokens.get()
            async with aclosing(reader.batches(now)) as batches:
                async for batch in batches:
                    asked = (_guarded(one, _ask(one, batch)) for one in outcome.runs)
                    await asyncio.gather(*asked)
        outcome.sends = True
        for one in outcome.runs:
            await _guarded(one, _send(context, one, order))
    return outcome


def _settings() -> "Settings":
    """Return the settings, with a part of the budget only where no table shares it."""
    from worker.app.command_line import settings_of
    from worker.app.jobs import known_jobs
    from worker.settings import Budget, Genesys, Handlers, Idempotency, Sqs

    groups = [job.settings for job in known_jobs().values()]
    found = settings_of(Sqs, Genesys, Budget, Handlers, Idempotency, *groups)
    genesys = found.genesys
    if genesys.fleet_requests_per_minute is None or found.budget_table is None:
        # The workers have budgets of their own: a quarter is about what these leave of the limit.
        rest = {"requests_per_minute": genesys.requests_per_minute / 4}
        genesys = genesys.model_copy(update=rest)
    # By the SDK: the wire client has no operations beside those of the message path.
    return replace(found, genesys=genesys, aws=found.aws.model_copy(update={"transport": "sdk"}))


def _chosen(settings: "Settings", wanted: Sequence[str]) -> "list[JobRun]":
    """Return the jobs that are asked. Raises ConfigurationError for one that cannot be."""
    from worker.app.jobs import known_jobs
    from worker.cli.backfill.work import JobRun, Tally

    states, problems = settings.job_states(), []
    for name in wanted:
        if name not in states:
            problems.append(f"--job: {name} is no job; jobs: {', '.join(states)}")
        elif (job := known_jobs()[name]).backfill is None:
            problems.append(f"--job: {name}: {job.without_backfill or WITHOUT}")
        elif name not in settings.enabled_jobs():
            problems.append(f"--job: {name} is {states[name]}")
    on = [one for one in settings.enabled_jobs() if known_jobs()[one].backfill is not None]
    if not (problems or on):
        problems.append("HANDLERS: none of the jobs that are on has a backfill")
    queues = {job: queue.url for queue in settings.queues() for job in queue.jobs}
    asked = [one for one in on if not wanted or one in wanted]
    problems += [f"SQS_QUEUE_URL: no queue is bound to {one}" for one in asked if one not in queues]
    if problems:
        raise ConfigurationError(problems)
    return [JobRun(one, queues[one], Tally()) for one in asked]


WITHOUT = "it declares no backfill"


def _notes(settings: "Settings", order: "Order", outcome: "Outcome") -> Iterable[str]:
    from worker.app.jobs import known_jobs

    for name in settings.enabled_jobs() if not order.jobs else ():
        if (job := known_jobs()[name]).backfill is None:
            yield f"{name}: not asked: {job.without_backfill or WITHOUT}"
    if outcome.interval.end < order.end:
        yield f"what ended after {_time(outcome.interval.end)} is left to its own events"
    if settings.idempotency.table is None:
        yield "LEDGER_TABLE is not set: another run sends again what has no effect yet"


async def _guarded(run: "JobRun", work: Awaitable[None]) -> None:
    """Do a job's part; that it fails is no reason not to ask the others."""
    from worker.clients.aws import QueueError
    from worker.errors import WorkerError

    try:
        await work
    except ConfigurationError:
        raise
    except (QueueError, WorkerError) as error:
        run.problem, run.unreachable = problem_of(error)


async def _open(context: "AppContext", run: "JobRun", outcome: "Outcome") -> None:
    from worker.app.command_line import for_job
    from worker.app.jobs import known_jobs, named

    place = known_jobs()[run.job].backfill or ""
    settings = context.settings.jobs[run.job]
    run.find = await named(place, run.job)(for_job(context, run.job), settings, outcome.interval)


async def _ask(run: "JobRun", conversations: Sequence[Mapping[str, Any]]) -> None:
    if run.find is not None and not run.problem:
        run.lost += await run.find(conversations)


async def _send(context: "AppContext", run: "JobRun", order: "Order") -> None:
    """Send what is missing; in a dry run, count what is on the queue already."""
    from worker.app.command_line import open_claims, open_queue
    from worker.app.context import AWS_LIMITS
    from worker.cli.backfill.work import CLAIM_SECONDS, Sender, queued

    if not run.lost or run.problem:
        return
    run.shared_with = _takers(context.settings, run)
    table = None if order.again else context.settings.idempotency.table
    if not order.apply:
        if table is not None:
            dynamodb = await context.aws_service("dynamodb", AWS_LIMITS, "LEDGER_TABLE")
            run.tally.queued = await queued(dynamodb, table, run.job, run.lost)
        return
    queue = await open_queue(context, run.queue)
    kept = (await queue.attributes()).retention_seconds or LONGEST_RETENTION_SECONDS
    claims = await open_claims(context, CLAIM_SECONDS, kept) if table else None
    sender = Sender(queue, run.job, await _source(context), claims, order.rate)
    await sender.send(run.lost, run.tally)


LONGEST_RETENTION_SECONDS = 1_209_600
"""SQS's own: where the queue does not say."""


def _takers(settings: "Settings", run: "JobRun") -> tuple[str, ...]:
    """Return the other jobs of the queue that take the events. Raises ConfigurationError."""
    from worker.app.jobs import jobs_of

    others: set[str] = set()
    for kind in {one.detail_type for one in run.lost}:
        takers = jobs_of(kind, settings.jobs)
        if run.job not in takers:
            raise ConfigurationError(
                [f"{run.job}: its settings take no {kind}, which would be sent"]
            )
        others |= takers - {run.job}
    there = [job for queue in settings.queues() if queue.url == run.queue for job in queue.jobs]
    return tuple(sorted(others.intersection(there)))


async def _source(context: "AppContext") -> str:
    """Return what the events are said to come from: the organization is part of their keys."""
    from worker.app.command_line import open_genesys
    from worker.clients.genesys.integrations import organization_id

    organization = context.settings.genesys.organization_id
    if organization is None:
        organization = await (await open_genesys(context)).api.run(organization_id())
    return f"aws.partner/genesys.com/cloud/{organization}/backfill"


def _exit_code(outcome: "Outcome") -> int:
    problems, reading = outcome.problems, outcome.reading
    if problems and all(one.unreachable for one in outcome.runs):
        return UNREACHABLE
    incomplete = problems or reading.unsettled or reading.unreadable
    return FAILED if incomplete or any(one.tally.failed for one in outcome.runs) else SUCCESS


def _lines(outcome: "Outcome") -> Iterator[str]:
    from worker.ops import counted

    reading, interval = outcome.reading, outcome.interval
    found = f"{counted(reading.conversations, 'conversation')} ended"
    yield f"{_time(interval.start)} to {_time(interval.end)}: {found}"
    for one in outcome.runs:
        yield f"{one.job}: {_became(one, outcome.order)}"
    if reading.unreadable:
        yield f"{counted(reading.unreadable, 'conversation')} could not be read: no id, or no time"
    for part in reading.unsettled:
        yield f"{part} changed while it was read, each time: run it again"
    yield from outcome.notes
    if not outcome.order.apply and any(one.lost for one in outcome.runs):
        yield "Nothing was sent. Add --apply to do it."


def _became(run: "JobRun", order: "Order") -> str:
    tally = run.tally
    if run.problem:
        return f"{len(run.lost):,} missing so far; COULD NOT GO ON: {run.problem}"
    parts = [f"{len(run.lost):,} missing"]
    if tally.queued:
        parts.append(f"{tally.queued:,} of them sent by an earlier run")
    if order.apply and run.lost:
        parts.append(f"{tally.sent:,} sent to {_name(run.queue)}")
    if run.shared_with:
        parts.append(f"also taken by {', '.join(run.shared_with)}")
    return "; ".join([*parts, *(f"{n:,} NOT SENT: {why}" for why, n in tally.failed.items())])


def _as_dict(outcome: "Outcome") -> dict[str, Any]:
    reading = outcome.reading
    return {
        "from": outcome.interval.start.isoformat(),
        "to": outcome.interval.end.isoformat(),
        "applied": outcome.order.apply,
        "conversations": reading.conversations,
        "unreadable": reading.unreadable,
        "unsettled": reading.unsettled,
        "jobs": [
            {
                "job": one.job,
                "queue": _name(one.queue),
                "missing": len(one.lost),
                "conversationIds": [lost.conversation_id for lost in one.lost],
                "queuedBefore": one.tally.queued,
                "sent": one.tally.sent,
                "failed": dict(one.tally.failed),
                "alsoTakenBy": list(one.shared_with),
                "problem": one.problem or None,
            }
            for one in outcome.runs
        ],
        "notes": outcome.notes,
    }


def _name(url: str) -> str:
    return url.rpartition("/")[2]


def _time(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


@asynccontextmanager
async def _shown(outcome: "Outcome") -> AsyncIterator[None]:
    """Show how far it is; on stderr, and only on a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    bar = Progress(
        *columns,
        TimeElapsedColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )
    with bar:
        following = asyncio.create_task(_follow(bar, outcome))
        try:
            yield
        finally:
            following.cancel()
            await asyncio.wait([following])


async def _follow(bar: "Progress", outcome: "Outcome") -> None:
    task = bar.add_task("", total=None)
    while True:
        what, done, total = "reading days", outcome.reading.slices_done, outcome.reading.slices
        if outcome.sends:
            what, total = "sending events", sum(len(one.lost) for one in outcome.runs)
            done = sum(one.tally.count() for one in outcome.runs)
        bar.update(task, description=what, completed=done, total=total or None)
        await asyncio.sleep(REFRESH_SECONDS)

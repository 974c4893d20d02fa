"""`worker report`: the scheduled report by hand, to S3 or to a folder, and new links to it."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from zoneinfo import ZoneInfo

import typer

from worker.cli.exit_codes import examples, finish

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

    from worker.api import Context
    from worker.jobs.reports.by_hand import Progress, ReportSettings, Wanted

REFRESH_SECONDS = 0.2

LOCAL_FORMATS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]
UTC_FORMATS = ["%Y-%m-%dT%H:%M:%SZ", "%Y%m%dT%H%M%SZ"]

app = typer.Typer(
    help="Write a report of the conversations of an interval, or sign new links to one."
    "\n\nNo event and no webhook is sent.",
    epilog=examples(
        "worker report --from 2026-03-01 --to 2026-03-02 --out reports",
        "worker report --from 2026-03-01 --to 2026-03-08 --group-by queueId",
        "worker report --from 2026-03-01 --to 2026-04-01 --timezone Europe/Berlin",
        "worker report url by-hand 2026-03-01",
    ),
)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def _moment(text: str) -> datetime:
    """Return typer's parser of a time: in UTC, or without a zone where the text names none."""
    for one in LOCAL_FORMATS:
        with suppress(ValueError):
            return datetime.strptime(text, one)  # noqa: DTZ007  --timezone says which
    for one in UTC_FORMATS:
        with suppress(ValueError):
            return datetime.strptime(text, one).replace(tzinfo=UTC)
    raise typer.BadParameter("not a date, nor a time such as 2026-03-01T08:00:00Z")


def _in_zone(moment: datetime, timezone: str) -> datetime:
    zone = ZoneInfo(timezone)
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)


def _timezone(text: str) -> str:
    """Return typer's check of a time zone."""
    from worker.jobs.reports.by_hand import timezone_of

    try:
        return timezone_of(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _name(text: str) -> str:
    """Return typer's check of a name."""
    if re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}", text) is None:
        raise typer.BadParameter("not 1 to 64 letters, digits, dots, _ and -")
    return text


Timezone = Annotated[
    str,
    typer.Option(help="IANA name: whose days, and of times without Z.", callback=_timezone),
]


Out = Annotated[
    Path | None, typer.Option(help="Folder, in place of REPORT_BUCKET.", file_okay=False)
]
Compare = Annotated[
    bool, typer.Option("--compare", help="Read the period before too, if no report has it.")
]


@app.callback(invoke_without_command=True)
def report(  # noqa: PLR0913, PLR0917  one parameter per option is typer's way
    context: typer.Context,
    start: Annotated[
        datetime | None, typer.Option("--from", help="First instant.", parser=_moment)
    ] = None,
    end: Annotated[
        datetime | None, typer.Option("--to", help="First instant after it.", parser=_moment)
    ] = None,
    timezone: Timezone = "UTC",
    name: Annotated[str, typer.Option(help="Name, part of the key.", callback=_name)] = "by-hand",
    media_type: Annotated[str | None, typer.Option(help="e.g. voice, message.")] = None,
    queue_id: Annotated[list[str] | None, typer.Option(help="UUID; repeat for more.")] = None,
    group_by: Annotated[
        list[str] | None, typer.Option(help="Dimension; repeat. mediaType and queueId if none.")
    ] = None,
    out: Out = None,
    compare: Compare = False,
    as_json: AsJson = False,
) -> None:
    """Read the conversations that started in the interval and write the report.

    No event and no webhook is sent.
    """
    if context.invoked_subcommand is not None:
        return
    if start is None or end is None:
        raise typer.BadParameter("--from and --to are needed")
    from worker.jobs.reports.by_hand import Wanted

    wanted = Wanted(
        name=name,
        start=_in_zone(start, timezone),
        end=_in_zone(end, timezone),
        media_type=media_type,
        queue_ids=tuple(queue_id or ()),
        group_by=tuple(group_by or ("mediaType", "queueId")),
        timezone=timezone,
    )
    _print(finish(_write(wanted, out, compare=compare)), as_json=as_json)


@app.command(epilog=examples("worker report url by-hand 2026-03-01"))
def url(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Name of the report.", callback=_name)
    ],
    start: Annotated[
        datetime, typer.Argument(metavar="START", help="Its first instant.", parser=_moment)
    ],
    timezone: Timezone = "UTC",
    as_json: AsJson = False,
) -> None:
    """Sign new links to the files of a report in REPORT_BUCKET."""
    _print(finish(_sign_again(name, _in_zone(start, timezone))), as_json=as_json)


def _print(body: dict[str, Any], *, as_json: bool) -> None:
    from worker.ops import counted

    if as_json:
        typer.echo(json.dumps(body, indent=2))
        return
    conversations = counted(body["conversationCount"], "conversation")
    typer.echo(f"{body['name']}  {body['interval']}  {conversations}")
    for file in body["files"]:
        typer.echo(file.get("url") or file["path"])
    if "expiresAt" in body:
        cut = ", when the credentials expire" if body["expiryLimitedByCredentials"] else ""
        typer.echo(f"links are valid until {body['expiresAt']}{cut}")
    if not body["complete"]:
        typer.echo("The figures are not complete: see the notes in the report.", err=True)


async def _write(wanted: "Wanted", out: Path | None, *, compare: bool) -> dict[str, Any]:
    from worker.jobs.reports.by_hand import to_bucket, to_folder
    from worker.settings import Genesys

    due = wanted.due()
    async with _opened(Genesys) as (context, given), _shown() as progress:
        reads = compare or given.report_read_previous
        settings = given.model_copy(update={"report_read_previous": reads})
        if out is None:
            return await to_bucket(context, settings, due, progress)
        return await to_folder(context, settings, due, out, progress)


async def _sign_again(name: str, start: datetime) -> dict[str, Any]:
    from worker.jobs.reports.by_hand import sign_again

    async with _opened() as (context, settings):
        return await sign_again(context, settings, name, start)


@asynccontextmanager
async def _opened(*needed: type[Any]) -> "AsyncIterator[tuple[Context, ReportSettings]]":
    from worker.app.command_line import for_job, open_context
    from worker.jobs.reports.by_hand import ReportSettings

    async with open_context(ReportSettings, *needed) as context:
        yield for_job(context, "reports"), context.settings.of(ReportSettings)


@asynccontextmanager
async def _shown() -> "AsyncIterator[Progress]":
    """Show how far the reading is; on stderr, and only on a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    from worker.jobs.reports.by_hand import Progress

    progress = Progress()
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("slices  conversations: {task.fields[rows]:,}"),
        TimeElapsedColumn(),
    )
    with Bar(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        following = asyncio.create_task(_follow(bar, progress))
        try:
            yield progress
        finally:
            following.cancel()
            await asyncio.wait([following])


async def _follow(bar: "Bar", progress: "Progress") -> None:
    task = bar.add_task("reading", total=None, rows=0)
    while True:
        bar.update(
            task,
            total=progress.slices or None,
            completed=progress.slices_done,
            rows=progress.conversations,
        )
        await asyncio.sleep(REFRESH_SECONDS)

"""`worker dlq`: what lies on the dead-letter queues and why; back with it, or away."""

import asyncio
import sys
import time
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from math import isnan
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import typer

if TYPE_CHECKING:
    from worker.cli.dlq_letters import Filter
    from worker.cli.dlq_moving import Order, Tally

T = TypeVar("T")

app = typer.Typer(
    help="List, show, redrive and delete messages of SQS_DEAD_LETTER_QUEUE_URL.",
    no_args_is_help=True,
)


def _age(text: str) -> int:
    """Return typer's parser of an age, in seconds."""
    from worker.cli.dlq_letters import age_seconds

    try:
        return age_seconds(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _number(rate: float) -> float:
    """Return typer's check of a rate: `nan` is within every range."""
    if isnan(rate):
        raise typer.BadParameter("not a number")
    return rate


def _queue_url(text: str) -> str:
    """Return typer's check of a queue's URL."""
    from worker.settings.bindings import queue_url

    try:
        return queue_url(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Apply = Annotated[bool, typer.Option("--apply", help="Do it; without this, only tell what.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Messages at most. All if unset.")]
Reason = Annotated[str | None, typer.Option(help="Only reasons that contain this, in any case.")]
Fingerprint = Annotated[str | None, typer.Option(help="Only this fingerprint.")]
JobName = Annotated[str | None, typer.Option("--job", "--handler", help="Only this job's.")]
To = Annotated[
    str | None,
    typer.Option(parser=_queue_url, metavar="URL", help="Send all to this queue instead."),
]
Wait = Annotated[
    int,
    typer.Option(
        "--wait",
        min=0,
        max=20,
        metavar="SECONDS",
        help="Of a receive. A queue counts as read after three that bring nothing new.",
    ),
]
OlderThan = Annotated[
    int | None,
    typer.Option(parser=_age, metavar="AGE", help="Only what failed last before 30m, 2h, 1d ..."),
]
Rate = Annotated[
    float,
    typer.Option(min=0.01, max=10_000, callback=_number, help="Messages per second at most."),
]


@app.command("list")
def list_(limit: Limit = None, wait: Wait = 1, as_json: AsJson = False) -> None:
    """Count the messages by reason and fingerprint.

    They are received for that, hidden while the command runs, and shown again at its end.
    """
    from worker.cli.dlq_telling import print_json, print_overview
    from worker.cli.dlq_work import overview, urls

    found = _done(overview(urls().dead_letters, limit=limit, wait_seconds=wait))
    if as_json:
        print_json(found.as_dict())
    else:
        print_overview(found)


@app.command()
def show(
    name: Annotated[str, typer.Argument(metavar="FINGERPRINT|MESSAGE-ID")],
    count: Annotated[int, typer.Option(min=1, help="Samples at most.")] = 1,
    with_body: Annotated[
        bool, typer.Option("--body", help="With the body: it holds personal data.")
    ] = False,
    wait: Wait = 1,
    as_json: AsJson = False,
) -> None:
    """Show samples of a cause, or one message by its id, before or after it was dead-lettered.

    Exit code: 0 found, 1 not found or failed, 2 bad settings or options.
    """
    from worker.cli.dlq_telling import print_json, print_letter
    from worker.cli.dlq_work import letter_as_dict, samples, urls

    found = _done(samples(urls().dead_letters, name, count=count, wait_seconds=wait))
    letters = [letter_as_dict(letter, with_body=with_body) for letter in found]
    if as_json:
        print_json(letters)
    else:
        for letter in letters:
            print_letter(letter)
    if not letters:
        typer.echo("no such message", err=True)
        raise typer.Exit(1)


@app.command()
def redrive(  # noqa: PLR0913, PLR0917  one parameter per option is typer's way
    reason: Reason = None,
    fingerprint: Fingerprint = None,
    job: JobName = None,
    older_than: OlderThan = None,
    limit: Limit = None,
    rate: Rate = 10,
    to: To = None,
    wait: Wait = 1,
    native: Annotated[
        bool, typer.Option("--native", help="Let SQS move everything: StartMessageMoveTask.")
    ] = False,
    apply: Apply = False,
    as_json: AsJson = False,
) -> None:
    """Send messages back to their queues, as they were before they were dead-lettered.

    The failure record names the queue, or SQS does where it moved the message itself; a message
    without either goes to SQS_QUEUE_URL if that is one queue, and stays otherwise.
    Each is sent first and deleted then: an interrupted run loses nothing, and the next one goes on.
    What is dead-lettered again meanwhile is left alone. In a FIFO queue a message that is not meant
    holds back those behind it in its group. With --native SQS moves bodies as they lie there, also
    those that were compressed to fit.

    Exit code: 0 done, 1 something failed, 2 bad settings or options.
    """
    only = _filter(reason, fingerprint, job, older_than)
    if native:
        if limit is not None or not only.is_empty:
            raise typer.BadParameter("--native moves everything: no filter, no --limit")
        _native(rate, to, apply=apply, as_json=as_json)
        return
    how: dict[str, Any] = {"apply": apply, "rate": rate, "limit": limit, "wait_seconds": wait}
    _carry_out(_order("redrive", only, to=to, **how), as_json=as_json)


@app.command()
def delete(  # noqa: PLR0913, PLR0917  one parameter per option is typer's way
    reason: Reason = None,
    fingerprint: Fingerprint = None,
    job: JobName = None,
    older_than: OlderThan = None,
    limit: Limit = None,
    rate: Rate = 100,
    wait: Wait = 1,
    everything: Annotated[bool, typer.Option("--all", help="Without any filter.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    apply: Apply = False,
    as_json: AsJson = False,
) -> None:
    """Delete messages for good; on a terminal it asks first.

    Exit code: 0 done, 1 something failed, 2 bad settings or options.
    """
    only = _filter(reason, fingerprint, job, older_than)
    if only.is_empty != everything:
        raise typer.BadParameter("name what to delete, or --all: one of the two")
    how: dict[str, Any] = {"apply": apply, "rate": rate, "limit": limit, "wait_seconds": wait}
    order = _order("delete", only, **how)
    if apply and not yes and sys.stdin.isatty():
        _ask(order, as_json=as_json)
    _carry_out(order, as_json=as_json)


def _filter(
    reason: str | None, fingerprint: str | None, job: str | None, older_than: int | None
) -> "Filter":
    from worker.cli.dlq_letters import Filter

    before = None if older_than is None else datetime.now(UTC) - timedelta(seconds=older_than)
    return Filter(reason=reason, fingerprint=fingerprint, job=job, failed_before=before)


def _order(
    action: Literal["redrive", "delete"], only: "Filter", *, to: str | None = None, **how: Any
) -> "Order":
    from worker.cli.dlq_addresses import Addresses
    from worker.cli.dlq_moving import Order
    from worker.cli.dlq_work import urls

    addresses = Addresses(queues=urls().queues, only=to)
    return Order(action=action, addresses=addresses, only=only, before=time.time(), **how)


def _ask(order: "Order", *, as_json: bool) -> None:
    """Say how many it would be, and go on only when told so."""
    from dataclasses import replace

    from worker.cli.dlq_telling import print_tally

    tally = _worked_off(replace(order, apply=False))
    if not as_json:
        print_tally(replace(order, apply=False), tally)
    typer.confirm(f"Delete {tally.causes.total} messages for good?", abort=True, err=True)


def _carry_out(order: "Order", *, as_json: bool) -> None:
    from worker.cli.dlq_telling import print_json, print_tally
    from worker.cli.dlq_work import tally_as_dict

    tally = _worked_off(order)
    if as_json:
        print_json(tally_as_dict(order, tally))
    else:
        print_tally(order, tally)
    raise typer.Exit(1 if tally.failed else 0)


def _worked_off(order: "Order") -> "Tally":
    from worker.cli.dlq_telling import shown
    from worker.cli.dlq_work import carry_out, urls

    with shown() as tell:
        return _done(carry_out(urls().dead_letters, order, tell))


def _native(rate: float, to: str | None, *, apply: bool, as_json: bool) -> None:
    from worker.cli.dlq_telling import print_json
    from worker.cli.dlq_work import carry_out_native, urls

    try:
        source, destination = urls().native(to)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    arn = _done(carry_out_native(source, destination, rate)) if apply else None
    if as_json:
        print_json({"action": "native", "applied": apply, "sourceArn": arn})
    elif arn:
        typer.echo("SQS moves them. See how far it is:")
        typer.echo(f"  aws sqs list-message-move-tasks --source-arn {arn}")
    else:
        typer.echo("SQS would move everything. Nothing was changed. Add --apply to do it.")


def _done(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end; a failure of SQS is a line on stderr and exit code 1."""
    from worker.cli.preflight.faults import fault_called
    from worker.clients.aws.errors import QueueError
    from worker.telemetry.logs import configure_logging

    configure_logging("error", "auto", sys.stderr)
    try:
        return asyncio.run(work)
    except QueueError as error:
        typer.echo(f"{error} — {fault_called(error.code).remedy}", err=True)
        raise typer.Exit(1) from None

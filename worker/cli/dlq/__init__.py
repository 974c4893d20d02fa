"""`worker dlq list`, `show`, `redrive` and `delete`: from options to what is printed."""

import re
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from math import inf, isnan
from typing import TYPE_CHECKING, Annotated, Any, Literal
from uuid import UUID

import typer

from worker.cli.exit_codes import FAILED, end, examples, finish

if TYPE_CHECKING:
    from worker.cli.dlq.reader import Queues, Timing
    from worker.cli.dlq.redrive import Filter, OnProgress, Order, Tally, Urls

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}

app = typer.Typer(
    help="List, show, redrive and delete messages of SQS_DEAD_LETTER_QUEUE_URL.",
    epilog=examples(
        "worker dlq list",
        "worker dlq show 3f6c01d2ab94",
        "worker dlq list --job voice",
        "worker dlq redrive --fingerprint 3f6c01d2ab94 --apply",
        "worker dlq delete --older-than 30d --apply",
    ),
    no_args_is_help=True,
)


def _age(text: str) -> int:
    """Return typer's parser of an age, in seconds."""
    found = re.fullmatch(r"(\d{1,9})([smhd])", text)
    if found is None:
        raise typer.BadParameter("not an age such as 30m, 2h or 1d")
    return int(found[1]) * SECONDS[found[2]]


def _number(rate: float) -> float:
    """Return typer's check of a rate: `nan` is within every range."""
    if isnan(rate):
        raise typer.BadParameter("not a number")
    return rate


def _uuid(text: str) -> str:
    """Return typer's check of a conversation's id."""
    try:
        return str(UUID(text))
    except ValueError:
        raise typer.BadParameter("not the id of a conversation: a UUID") from None


def _queue_url(text: str) -> str:
    """Return typer's check of a queue's URL."""
    from worker.settings import queue_url

    try:
        return queue_url(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Apply = Annotated[bool, typer.Option("--apply", help="Apply the changes (default: dry run).")]
Limit = Annotated[int | None, typer.Option(min=1, help="Messages at most. All if not set.")]
Reason = Annotated[str | None, typer.Option(help="Only reasons that contain this, in any case.")]
Fingerprint = Annotated[str | None, typer.Option(help="Only this fingerprint.")]
Conversation = Annotated[
    str | None,
    typer.Option(parser=_uuid, metavar="ID", help="Only what is about this conversation."),
]
MessageId = Annotated[
    str | None,
    typer.Option("--message", metavar="ID", help="Only the message that has, or had, this id."),
]
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
        help="Length of a poll. A queue counts as read after three without a new message.",
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


@app.command("list", epilog=examples("worker dlq list", "worker dlq list --limit 1000 --json"))
def list_(
    reason: Reason = None,
    job: JobName = None,
    conversation: Conversation = None,
    older_than: OlderThan = None,
    limit: Limit = None,
    wait: Wait = 1,
    as_json: AsJson = False,
) -> None:
    """Count the messages by reason and fingerprint.

    They are received for that, stay invisible while the command runs, and are visible again at its
    end.
    """
    from worker.cli.dlq.output import overview_as_dict, print_json, print_overview

    only = _filter(reason, None, job, older_than, conversation=conversation)
    how: dict[str, Any] = {"apply": False, "rate": 1, "limit": limit, "timing": _timing(wait)}
    found = _tally_of(_order("delete", only, before=inf, **how))
    if as_json:
        print_json(overview_as_dict(found))
    else:
        print_overview(found)


@app.command(epilog=examples("worker dlq show 3f6c01d2ab94 --count 3", "worker dlq show ID --body"))
def show(
    name: Annotated[str, typer.Argument(metavar="FINGERPRINT|MESSAGE-ID|CONVERSATION-ID")],
    count: Annotated[int, typer.Option(min=1, help="Samples at most.")] = 1,
    with_body: Annotated[
        bool, typer.Option("--body", help="With the body: it holds personal data.")
    ] = False,
    wait: Wait = 1,
    as_json: AsJson = False,
) -> None:
    """Show samples of a cause, or one message by its id, before or after it was dead-lettered."""
    from worker.cli.dlq.output import dead_letter_as_dict, print_dead_letter, print_json
    from worker.cli.dlq.reader import DeadLetter, samples

    async def work() -> list[DeadLetter]:
        async with dead_letter_queues() as queues:
            return await samples(queues, name, count=count, timing=_timing(wait))

    dead_letters = [
        dead_letter_as_dict(dead_letter, with_body=with_body) for dead_letter in finish(work())
    ]
    if as_json:
        print_json(dead_letters)
    else:
        for dead_letter in dead_letters:
            print_dead_letter(dead_letter)
    if not dead_letters:
        wanted = f"no dead letter that was read has the fingerprint, id or conversation {name}"
        end(f"{wanted}: worker dlq list shows all fingerprints", FAILED)


@app.command(
    epilog=examples(
        "worker dlq redrive --fingerprint 3f6c01d2ab94 --apply",
        "worker dlq redrive --job voice --older-than 2h --rate 5 --apply",
        "worker dlq redrive --native --apply",
    )
)
def redrive(  # noqa: PLR0913, PLR0917  one parameter per option is typer's way
    reason: Reason = None,
    fingerprint: Fingerprint = None,
    job: JobName = None,
    conversation: Conversation = None,
    message: MessageId = None,
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
    A message that is dead-lettered again meanwhile is left alone. In a FIFO queue a message that is
    not selected holds back those behind it in its group. With --native SQS moves bodies as they
    are, also those that were compressed to fit.
    """
    only = _filter(reason, fingerprint, job, older_than, conversation=conversation, message=message)
    if native:
        if limit is not None or not only.is_empty:
            raise typer.BadParameter("--native moves everything: no filter, no --limit")
        _native(rate, to, apply=apply, as_json=as_json)
        return
    how: dict[str, Any] = {"apply": apply, "rate": rate, "limit": limit, "timing": _timing(wait)}
    _carry_out(_order("redrive", only, to=to, **how), as_json=as_json)


@app.command(
    epilog=examples(
        "worker dlq delete --reason 'not a UUID'",
        "worker dlq delete --older-than 30d --apply",
        "worker dlq delete --all --apply --yes",
    )
)
def delete(  # noqa: PLR0913, PLR0917  one parameter per option is typer's way
    reason: Reason = None,
    fingerprint: Fingerprint = None,
    job: JobName = None,
    conversation: Conversation = None,
    message: MessageId = None,
    older_than: OlderThan = None,
    limit: Limit = None,
    rate: Rate = 100,
    wait: Wait = 1,
    everything: Annotated[bool, typer.Option("--all", help="Without any filter.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    apply: Apply = False,
    as_json: AsJson = False,
) -> None:
    """Delete messages for good; on a terminal it asks first."""
    only = _filter(reason, fingerprint, job, older_than, conversation=conversation, message=message)
    if only.is_empty != everything:
        raise typer.BadParameter("name what to delete, or --all: one of the two")
    how: dict[str, Any] = {"apply": apply, "rate": rate, "limit": limit, "timing": _timing(wait)}
    order = _order("delete", only, **how)
    if apply and not yes and sys.stdin.isatty():
        _ask(order, as_json=as_json)
    _carry_out(order, as_json=as_json)


def _filter(
    reason: str | None,
    fingerprint: str | None,
    job: str | None,
    older_than: int | None,
    *,
    conversation: str | None,
    message: str | None = None,
) -> "Filter":
    from worker.cli.dlq.redrive import Filter

    before = None if older_than is None else datetime.now(UTC) - timedelta(seconds=older_than)
    return Filter(
        reason=reason,
        fingerprint=fingerprint,
        job=job,
        conversation=conversation,
        message=message,
        failed_before=before,
    )


def _timing(receive_seconds: int) -> "Timing":
    from worker.cli.dlq.reader import Timing

    return Timing(receive=receive_seconds)


def _order(
    action: Literal["redrive", "delete"], only: "Filter", *, to: str | None = None, **how: Any
) -> "Order":
    """Return the order; by default for what came before now."""
    from worker.cli.dlq.redrive import Addresses, Order

    addresses = Addresses(queues=configured_urls().queues, only=to)
    how.setdefault("before", time.time())
    return Order(action=action, addresses=addresses, only=only, **how)


def _ask(order: "Order", *, as_json: bool) -> None:
    """Print how many it would be, and go on only after a yes; end when there are none."""
    from dataclasses import replace

    from worker.cli.dlq.output import messages, print_json, print_selection, tally_as_dict

    dry = replace(order, apply=False)
    tally = _tally_of(dry)
    if not as_json:
        print_selection(dry, tally)
    if not tally.causes.total:
        if as_json:
            print_json(tally_as_dict(order, tally))
        raise typer.Exit
    typer.confirm(f"Delete {messages(tally.causes.total)} for good?", abort=True, err=True)


def _carry_out(order: "Order", *, as_json: bool) -> None:
    from worker.cli.dlq.output import print_json, print_tally, tally_as_dict

    tally = _tally_of(order)
    if as_json:
        print_json(tally_as_dict(order, tally))
    else:
        print_tally(order, tally)
    raise typer.Exit(FAILED if tally.failed else 0)


def _tally_of(order: "Order") -> "Tally":
    from worker.cli.dlq.output import progress

    with progress() as on_progress:
        return finish(_work(order, on_progress))


async def _work(order: "Order", on_progress: "OnProgress") -> "Tally":
    from worker.cli.dlq.redrive import Tally, carry_out

    async with dead_letter_queues() as queues:
        tally = Tally(depth=await _depth(queues))
        for queue in queues:
            await carry_out(queue, order, tally, on_progress)
    return tally


def _native(rate: float, to: str | None, *, apply: bool, as_json: bool) -> None:
    from worker.cli.dlq.output import print_json

    try:
        source, destination = configured_urls().native(to)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    depth = finish(_depth_of(source))
    arn = finish(_move(source, destination, rate)) if apply else None
    if as_json:
        found = {"action": "native", "applied": apply, "sourceArn": arn, "approximate": depth}
        print_json(found)
    else:
        _print_native(arn, depth)


def _print_native(arn: str | None, depth: int) -> None:
    from worker.cli.dlq.output import messages

    if arn:
        typer.echo(f"SQS moves them, about {messages(depth)}. To follow it:")
        typer.echo(f"  aws sqs list-message-move-tasks --source-arn {arn}")
    else:
        typer.echo(f"SQS would move everything, about {messages(depth)}.")
        typer.echo("Nothing was changed. Add --apply to do it.")


async def _depth(queues: "Queues") -> int:
    from worker.cli.dlq.reader import depth_of

    return sum([await depth_of(queue) for queue in queues])


async def _depth_of(url: str) -> int:
    from worker.app.command_line import open_context, open_queue
    from worker.settings import Sqs

    async with open_context(Sqs) as context:
        return await _depth([await open_queue(context, url)])


async def _move(source: str, destination: str, rate: float) -> str:
    from worker.app.command_line import open_context, open_sqs
    from worker.cli.dlq.redrive import start_native
    from worker.settings import Sqs

    async with open_context(Sqs) as context:
        return await start_native(await open_sqs(context), source, destination, rate)


@asynccontextmanager
async def dead_letter_queues() -> "AsyncIterator[Queues]":
    """Open the dead-letter queues of the environment for the block. Raises ConfigurationError."""
    from worker.app.command_line import open_context, open_queue
    from worker.settings import Sqs

    async with open_context(Sqs) as context:
        yield [await open_queue(context, url) for url in configured_urls().dead_letters]


def configured_urls() -> "Urls":
    """Return the queues of the environment. Raises ConfigurationError."""
    from worker.cli.dlq.redrive import urls_of
    from worker.settings import Sqs, load_group

    return urls_of(load_group(Sqs))

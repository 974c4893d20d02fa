"""Dead letters on a terminal and as JSON. Control characters are escaped: a queue has any text."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from worker.cli.dlq.reader import Cause, DeadLetter, NotDecoded, Overview, iso, name_of
from worker.cli.dlq.redrive import OnProgress, Order, Tally
from worker.intake.dead_letters import DecodedBody, sendable
from worker.telemetry.scrub import escape

DONE = {"redrive": "redriven", "delete": "deleted"}


def print_json(body: Any) -> None:
    """Print for a machine."""
    typer.echo(json.dumps(body, indent=2))


def print_overview(overview: Overview) -> None:
    """Print a row per cause."""
    _print_causes(overview.causes.most_first())
    line = f"{overview.causes.total} read of about {overview.approximate}."
    if overview.causes.total < overview.approximate:
        line += " The others are over --limit, received by another consumer, or behind those of "
        line += "their FIFO group."
    typer.echo(line)


def print_tally(order: Order, tally: Tally) -> None:
    """Print what was done, or would be."""
    print_selection(order, tally)
    if not order.apply:
        typer.echo("Nothing was changed. Add --apply to do it.")
    elif tally.failed:
        codes = ", ".join(sorted(tally.problems))
        left = f"{tally.not_sent} not sent, {tally.not_deleted} not deleted"
        typer.echo(f"{left}: {codes}. They stay.", err=True)


def print_selection(order: Order, tally: Tally) -> None:
    """Print the dead letters that were selected, and how many are or would be moved or deleted."""
    _print_causes(tally.causes.most_first())
    fingerprint = order.only.fingerprint
    if fingerprint is not None and not tally.causes.total:
        typer.echo(f"no dead letter that was read has the fingerprint {fingerprint}", err=True)
    if tally.newer:
        typer.echo(f"{tally.newer} came after the start, by this machine's clock; they stay.")
    for why, count in sorted(tally.unaddressed.items()):
        typer.echo(f"{count} without a queue: {why}. Send them by --to URL.", err=True)
    count, verb = tally.done, DONE[order.action]
    if not order.apply:
        count, verb = tally.causes.total - tally.unaddressed.total(), f"would be {verb}"
    typer.echo(f"{count} {verb}{_destinations(tally)}, {tally.others} others stay.")


def tally_as_dict(order: Order, tally: Tally) -> dict[str, Any]:
    """Return what was done, or would be, for machines."""
    return {
        "action": order.action,
        "applied": order.apply,
        "selected": tally.causes.total,
        "done": tally.done,
        "notSent": tally.not_sent,
        "notDeleted": tally.not_deleted,
        "problems": sorted(tally.problems),
        "destinations": dict(sorted(tally.destinations.items())),
        "unaddressed": tally.unaddressed.total(),
        "others": tally.others,
        "newer": tally.newer,
        "causes": [cause.as_dict() for cause in tally.causes.most_first()],
    }


def dead_letter_as_dict(dead_letter: DeadLetter, *, with_body: bool) -> dict[str, Any]:
    """Return a dead letter for people and machines; its body, personal data, only if asked for."""
    message, original = dead_letter.message, _readable(dead_letter)
    queue = dead_letter.queue_url or message.moved_from
    facts = {
        "messageId": message.id,
        "fingerprint": dead_letter.fingerprint,
        "reason": dead_letter.reason,
        "queue": None if queue is None else name_of(queue),
        "sentAt": iso(dead_letter.sent_at),
        "receiveCount": message.receive_count,
        "groupId": message.group_id,
        "attributes": sorted(original.attributes),
        "bodyBytes": len(original.body.encode()),
        "failure": dict(dead_letter.record),
    }
    return facts | ({"body": original.body} if with_body else {})


def print_dead_letter(dead_letter: dict[str, Any]) -> None:
    """Print a sample, a line per fact that is known."""
    for name, value in dead_letter.items():
        if isinstance(value, dict):
            for key, inner in value.items():
                if inner is not None:
                    typer.echo(f"  {escape(str(key))}: {escape(str(inner))}")
        elif value not in (None, []):
            typer.echo(f"{name}: {escape(_text(value))}")
    typer.echo("")


@contextmanager
def progress() -> Iterator[OnProgress]:
    """Show how far it is; on stderr, and only on a terminal."""
    with Console(stderr=True).status("reading") as status:
        yield lambda tally: status.update(progress_text(tally))


def progress_text(tally: Tally) -> str:
    """Return how far it is, of how many."""
    read = tally.causes.total + tally.others
    return (
        f"{read} of about {tally.depth} read: {tally.done} done, {tally.others} others, "
        f"{tally.not_sent + tally.not_deleted} failed"
    )


def _readable(dead_letter: DeadLetter) -> DecodedBody:
    try:
        return dead_letter.original()
    except NotDecoded:
        return DecodedBody(dead_letter.message.body, sendable(dead_letter.message.attributes))


def _destinations(tally: Tally) -> str:
    counts = [f"{escape(name)} {count}" for name, count in sorted(tally.destinations.items())]
    return f" ({', '.join(counts)})" if counts else ""


def _print_causes(causes: Sequence[Cause]) -> None:
    if not causes:
        return
    table = Table(box=None, pad_edge=False)
    for column in ("fingerprint", "count", "reason"):
        table.add_column(column, overflow="fold", no_wrap=column in {"fingerprint", "count"})
    for cause in causes:
        facts = Text("\n".join(_facts(cause)), style="dim")
        reason = Text(f"{escape(cause.reason)}\n").append(facts)
        table.add_row(Text(escape(cause.fingerprint)), str(cause.count), reason)
    Console().print(table)


def _facts(cause: Cause) -> Iterator[str]:
    """Yield what else is known: below the reason, as seven columns leave it no width."""
    for title, names in (("job", cause.jobs), ("queue", cause.queues)):
        if names:
            yield f"{title}: {escape(', '.join(sorted(names)))}"
    if times := dict.fromkeys(filter(None, (iso(cause.first_failure), iso(cause.last_failure)))):
        yield f"failed: {' to '.join(times)}"


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)

"""Dead letters on a terminal and as JSON. Control characters are escaped: a queue has any text."""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from worker.cli.dlq.reader import Cause, DeadLetter, NotDecoded, iso, name_of
from worker.cli.dlq.redrive import OnProgress, Order, Tally
from worker.intake.dead_letters import DecodedBody, sendable
from worker.ops import counted
from worker.ops.status import duration
from worker.telemetry.scrub import escape

DONE = {"redrive": "redriven", "delete": "deleted"}


def print_json(body: Any) -> None:
    """Print for a machine."""
    typer.echo(json.dumps(body, indent=2))


def print_overview(tally: Tally) -> None:
    """Print a row per cause."""
    _print_causes(tally.causes.most_first())
    read = tally.causes.total + tally.others
    line = f"{read} read of about {tally.depth}."
    if tally.others:
        line = f"{tally.causes.total} selected, {line}"
    if read < tally.depth:
        line += " What is not is over --limit, received by another consumer, or behind others of "
        line += "its FIFO group."
    typer.echo(line)


def overview_as_dict(tally: Tally) -> dict[str, Any]:
    """Return what was found, for machines; `seen` counts what was selected."""
    return {
        "seen": tally.causes.total,
        "others": tally.others,
        "approximate": tally.depth,
        "causes": [cause.as_dict() for cause in tally.causes.most_first()],
    }


def print_tally(order: Order, tally: Tally) -> None:
    """Print what was done, or would be."""
    print_selection(order, tally)
    if not order.apply:
        more = " Add --apply to do it." if tally.causes.total else " Nothing was selected."
        typer.echo(f"Nothing was changed.{more}")
    elif tally.failed:
        codes = ", ".join(sorted(tally.problems))
        left = f"{tally.not_sent} not sent, {tally.not_deleted} not deleted"
        typer.echo(f"{left}: {codes}. What failed stays.", err=True)


def print_selection(order: Order, tally: Tally) -> None:
    """Print the dead letters that were selected, and how many are or would be moved or deleted."""
    _print_causes(tally.causes.most_first())
    fingerprint = order.only.fingerprint
    if fingerprint is not None and not tally.causes.total:
        typer.echo(f"no dead letter that was read has the fingerprint {fingerprint}", err=True)
    if tally.newer:
        typer.echo(
            f"{messages(tally.newer)} came after the start, by this machine's clock: not selected."
        )
    for why, count in sorted(tally.unaddressed.items()):
        typer.echo(f"{count} without a queue: {why}. Send them by --to URL.", err=True)
    typer.echo(_summary(order, tally))


def _summary(order: Order, tally: Tally) -> str:
    count, verb = tally.done, DONE[order.action]
    if not order.apply:
        count, verb = tally.causes.total - tally.unaddressed.total(), f"would be {verb}"
    line = f"{count} {verb}{_destinations(tally)}, {others_stay(tally)}."
    unread = tally.depth - tally.causes.total - tally.others - tally.newer
    return line if unread <= 0 else f"{line} About {counted(unread, 'was', 'were')} not read."


def messages(count: int) -> str:
    """Return how many, in words."""
    return counted(count, "message")


def others_stay(tally: Tally) -> str:
    """Return how many are not selected."""
    return counted(tally.others, "other stays", "others stay")


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
                    typer.echo(f"  {escape(str(key))}: {escape(str(inner))}{age_of(inner)}")
        elif value not in (None, []):
            typer.echo(f"{name}: {escape(_text(value))}{age_of(value)}")
    typer.echo("")


@contextmanager
def progress() -> Iterator[OnProgress]:
    """Show how far it is; on stderr, and only on a terminal."""
    began = time.monotonic()
    with Console(stderr=True).status("reading") as status:
        yield lambda tally: status.update(progress_text(tally, time.monotonic() - began))


def progress_text(tally: Tally, seconds: float) -> str:
    """Return how far it is after so many seconds, of how many, and how long the rest takes."""
    read = tally.causes.total + tally.others
    rate = read / max(seconds, 0.001)
    left = duration(max(0, tally.depth - read) / rate) if rate else "?"
    return (
        f"{read} of about {tally.depth} read, {rate:.1f}/s, about {left} left: "
        f"{tally.done} done, {counted(tally.others, 'other')}, "
        f"{tally.not_sent + tally.not_deleted} failed"
    )


def age_of(value: Any) -> str:
    """Return in brackets how long ago a moment is; nothing of what is none."""
    try:
        moment = datetime.fromisoformat(value)
        return f" ({ago(moment)})" if moment.tzinfo else ""
    except (TypeError, ValueError):
        return ""


def ago(moment: datetime) -> str:
    """Return in words how long ago it is; the future is now."""
    return f"{duration(max(0.0, (datetime.now(UTC) - moment).total_seconds()))} ago"


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
    first, last = cause.first_failure, cause.last_failure
    if first and last:
        ages = dict.fromkeys((ago(first), ago(last)))
        times = dict.fromkeys((iso(first), iso(last)))
        yield f"failed: {' to '.join(ages)} ({' to '.join(filter(None, times))})"


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)

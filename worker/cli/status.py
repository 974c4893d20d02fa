"""`worker status`: all replicas of a worker on a terminal, once or again and again."""

import asyncio
import json
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer

from worker.cli.exit_codes import FAILED, SUCCESS, UNREACHABLE

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType
    from rich.table import Table
    from rich.text import Text

    from worker.ops.replicas import Overview, Queue, Replica

OPS_PORT = 9464
NOTHING = "-"

NARROW = 72
"""Columns of a terminal below which a table would break up its words."""

COLOURS = {"good": "green", "warn": "yellow", "bad": "red"}
GATES = {"open": "green", "half_open": "yellow", "closed": "red"}


def _checked(urls: list[str] | None) -> list[str] | None:
    for url in urls or ():
        try:
            _place(url)
        except ValueError:
            raise typer.BadParameter(f"{url!r} is not http://host:port") from None
    return urls


def _place(url: str) -> tuple[str, int]:
    """Return host and port. Raises ValueError; the ops port speaks no TLS."""
    parts = urlsplit(url if "://" in url else f"http://{url}")
    if parts.scheme != "http" or not parts.hostname or parts.port == 0:
        raise ValueError(url)
    return parts.hostname, parts.port or OPS_PORT


OpsUrls = Annotated[
    list[str] | None,
    typer.Option(
        callback=_checked,
        metavar="URL",
        help="Ask http://host:port, all addresses of its name; again for more. Default: this "
        "machine's OPS_PORT.",
    ),
]
OpsHost = Annotated[str, typer.Option(envvar="OPS_HOST", hidden=True)]
OpsPort = Annotated[int, typer.Option(envvar="OPS_PORT", min=0, max=65_535, hidden=True)]


def places_of(urls: list[str] | None, host: str, port: int) -> list[tuple[str, int]]:
    """Return host and port of each URL; without any, those of this machine's OPS_PORT.

    Raises BadParameter where that is 0: the worker took a free port.
    """
    if not urls and port == 0:
        raise typer.BadParameter("OPS_PORT is 0: name the port that the worker logged, by --url")
    # Both mean all addresses of both families, where the machine has both.
    here = "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104  listening there, not we
    return [_place(one) for one in urls or ()] or [(here, port)]


def status(
    url: OpsUrls = None,
    watch: Annotated[bool, typer.Option("--watch", help="Repeat until Ctrl-C.")] = False,
    interval: Annotated[float, typer.Option(min=0.5, help="Seconds between two requests.")] = 2.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    host: OpsHost = "127.0.0.1",
    port: OpsPort = OPS_PORT,
) -> None:
    """Show queues, messages in flight, jobs, upstreams and dead letters of all replicas.

    A name that stands for several addresses is asked at each of them: the one of a headless
    service, for example. Behind a load balancer one replica answers for all.

    Exit code 0: all are ready. 1: one is not, or does not answer. 3: none answers.
    """
    places = places_of(url, host, port)
    code = SUCCESS
    try:
        while True:
            code = _look(places, as_json=as_json, clear=watch)
            if not watch:
                break
            time.sleep(interval)
    except KeyboardInterrupt:
        pass
    raise typer.Exit(code)


def _look(places: Sequence[tuple[str, int]], *, as_json: bool, clear: bool) -> int:
    from rich.console import Console

    from worker.ops.replicas import ask_all, overview_of

    overview = overview_of(asyncio.run(ask_all(places)))
    if as_json:
        typer.echo(json.dumps(_as_dict(overview)))
    else:
        console = Console(highlight=False)
        if clear and console.is_terminal:
            console.clear()
        console.print(*_sections(overview), sep="\n")
    if len(overview.silent) == len(overview.replicas):
        return UNREACHABLE
    return SUCCESS if all(one.status and one.status.ready for one in overview.replicas) else FAILED


def _as_dict(overview: "Overview") -> dict[str, Any]:
    """Return the overview for machines: sums, and the /status of each replica."""
    from msgspec import to_builtins

    queues = [
        {**to_builtins(one), "replicas": {name: seen.gate for name, seen in one.replicas.items()}}
        for one in overview.queues
    ]
    return {
        "queues": queues,
        "jobs": [{**to_builtins(job), "replicas": states} for job, states in overview.jobs],
        "problems": [{**to_builtins(one), "replicas": who} for one, who in overview.problems],
        "dead_letter_causes": to_builtins(overview.causes),
        "replicas": to_builtins(overview.replicas),
    }


def _sections(overview: "Overview") -> "Iterator[RenderableType]":
    yield _replicas(overview)
    for problem in _problems(overview):
        yield from ("", problem)
    if overview.queues:
        yield from ("", _queues(overview))
        yield from _whys(overview)
    if overview.oldest:
        rows = [
            (one.message_id, ", ".join(one.jobs), one.phase, _duration(one.seconds), who)
            for who, one in overview.oldest
        ]
        yield from ("", Rows(("Message in flight", "Job", "Phase", "For", "Replica"), rows))
    if overview.jobs:
        yield from ("", Rows(("Job", "State", "Outcomes", "Last failure"), _jobs(overview)))
    if overview.upstreams:
        down = [(up.name, up.breaker, up.reason, ", ".join(who)) for up, who in overview.upstreams]
        yield from ("", Rows(("Upstream", "Breaker", "Why", "Replicas"), down))
    if overview.causes:
        yield from ("", _causes(overview))
    for warning in overview.warnings:
        yield ""
        yield _text(f"warning: {warning}", "yellow")


def _replicas(overview: "Overview") -> "Rows":
    rows = [(one.name, one.address, *_state(one)) for one in overview.replicas]
    return Rows(("Replica", "Address", "State", "Up for", "Permits", "Version"), rows)


def _state(one: "Replica") -> "tuple[Text | str, str, str, str]":
    from worker.ops.status import state_of

    if (now := one.status) is None:
        return _text(f"No answer: {one.problem}", "bold red"), NOTHING, NOTHING, NOTHING
    colour, word = state_of(now)
    if not now.live:
        word = f"{word}: {'; '.join(now.not_ready_because)}"
    permits = f"{now.permits_used}/{now.concurrency}"
    return _text(word, COLOURS[colour]), _duration(now.uptime_seconds), permits, now.version


def _problems(overview: "Overview") -> "Iterator[RenderableType]":
    from worker.ops import counted
    from worker.ops.replicas import NO_WORKER
    from worker.ops.status import advice

    several = len(overview.replicas) > 1
    for one, who in overview.problems:
        on = f" [{', '.join(who)}]" if several else ""
        text = _text(f"{one.where}: {one.cause}{on}", "yellow" if one.heals else "bold red")
        yield text.append("\n  ").append_text(_text(f"What to do: {advice(one)}", "default"))
    if len(overview.silent) == len(overview.replicas):
        yield _text(NO_WORKER, "bold red")
    elif silent := overview.silent:
        do = counted(len(silent), "replica does", "replicas do")
        it = "it" if len(silent) == 1 else "them"
        yield _text(f"{do} not answer: all sums are without {it}.", "bold red")


def _queues(overview: "Overview") -> "Rows":
    rows: list[tuple[Text | str, ...]] = []
    for queue in overview.queues:
        rows += _queue(queue, overview)
    heads = ("Queue", "Gate", "Visible", "In flight", "Invisible", "Dead letters")
    return Rows(heads, rows)


def _queue(queue: "Queue", overview: "Overview") -> "Iterator[tuple[Text | str, ...]]":
    """Yield the sums of a queue, and a row for each of several replicas."""
    gates = {one.gate for one in queue.replicas.values()}
    yield (
        _text(queue.name, "bold"),
        _gate(*gates) if len(gates) == 1 else "differs",
        _count(queue.visible),
        _count(queue.in_flight),
        _count(queue.invisible),
        _count(queue.dead_letters),
    )
    if len(overview.replicas) == 1:
        return
    for replica in overview.replicas:
        seen = queue.replicas.get(replica.name)
        if seen is not None:
            yield f"  {replica.name}", _gate(seen.gate), "", _count(seen.in_flight), "", ""
        elif replica.status is None:
            yield f"  {replica.name}", _text("unknown", "red"), "", NOTHING, "", ""


def _whys(overview: "Overview") -> "Iterator[Text]":
    """Yield why each queue moves, or does not, once where the replicas agree."""
    for queue in overview.queues:
        sentences: dict[str, list[str]] = {}
        for name, seen in queue.replicas.items():
            sentences.setdefault(seen.why, []).append(name)
        for why, names in sentences.items():
            on = f" on {', '.join(names)}" if len(sentences) > 1 else ""
            yield _text(f"{queue.name}{on}: {why}")


def _gate(gate: str) -> "Text":
    return _text(gate.replace("_", "-"), GATES.get(gate, ""))


def _count(value: int | None) -> str:
    return NOTHING if value is None else f"{value:,}"


def _jobs(overview: "Overview") -> "Iterator[tuple[Text | str, ...]]":
    for job, states in overview.jobs:
        state = ", ".join(
            name.replace("_", "-") + (f" on {', '.join(who)}" if len(states) > 1 else "")
            for name, who in states.items()
        )
        done = ", ".join(f"{name} {n:,}" for name, n in job.outcomes.items() if n)
        failure, last = job.last_failure, NOTHING
        if failure:
            last = f"{_duration(failure.seconds_ago)} ago: {failure.reason}"
        yield job.name, f"{state}: {job.reason}" if job.reason else state, done or NOTHING, last


def _causes(overview: "Overview") -> "Rows":
    rows = [
        (
            one.reason,
            one.job or NOTHING,
            one.fingerprint,
            f"{one.dead_letters:,}",
            f"{one.held_back:,}",
        )
        for one in overview.causes
    ]
    heads = ("Dead letters by cause", "Job", "Fingerprint", "Dead letters", "Held back")
    return Rows(heads, rows)


def _duration(seconds: float) -> str:
    from worker.ops.status import duration

    return duration(seconds)


def _text(text: str, style: str = "") -> "Text":
    """Return what came over the network as text that controls no terminal."""
    from rich.text import Text

    from worker.telemetry.scrub import escape

    return Text(escape(text), style=style)


class Rows:
    """A table; a line for each cell where the terminal is too narrow for one."""

    def __init__(self, heads: Sequence[str], rows: "Iterator[Any] | Sequence[Any]") -> None:
        self._heads = heads
        self._rows = [[_text(one) if isinstance(one, str) else one for one in row] for row in rows]

    def __rich_console__(
        self, _: "Console", options: "ConsoleOptions"
    ) -> "Iterator[RenderableType]":
        if options.max_width >= NARROW:
            yield _table(self._heads, self._rows)
            return
        for number, row in enumerate(self._rows):
            if number:
                yield ""
            for head, cell in zip(self._heads, row, strict=True):
                if cell.plain:
                    yield _text("").append(f"{head}: ", "dim").append_text(cell)


def _table(heads: Sequence[str], rows: "Sequence[Sequence[Text]]") -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for head in heads:
        table.add_column(head, overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table

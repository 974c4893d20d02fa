"""The last page of the demo."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from worker.demo.ledger import Sent
from worker.demo.plan import Effects
from worker.demo.stage import PREFIX, Stage


def print_verdict(console: Console, sent: Sent, effects: Sequence[Effects], stage: Stage) -> None:
    """Print what was sent and what came of it."""
    console.print(_messages(sent, several=bool(stage.job_queues)))
    console.print(_effects(effects))
    genesys = ", ".join(f"{name} {count}" for name, count in sorted(stage.genesys.counts.items()))
    console.print(f"Genesys requests: {genesys}")
    console.print(f"SQS calls per 1,000 messages: {sent.calls_per_thousand():.0f}")


def _messages(sent: Sent, *, several: bool) -> Table:
    # Narrow: with its eight columns it shall be read on eighty characters, too.
    table = Table(
        title="Messages",
        title_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    for name in ("event", "queue")[: 2 if several else 1]:
        table.add_column(name)
    for name in ("sent", "done", "retried", "dead-\nlettered", "p50 s", "p99 s"):
        table.add_column(name, justify="right")
    for row in sent.rows():
        names = (row.kind, row.queue.removeprefix(PREFIX)) if several else (row.kind,)
        counts = (row.sent, row.done, row.retried, row.parked)
        table.add_row(*names, *map(str, counts), f"{row.p50:.2f}", f"{row.p99:.2f}")
    return table


def _effects(effects: Sequence[Effects]) -> Table:
    table = Table(title="Effects, each exactly once", title_justify="left")
    table.add_column("sink")
    for name in ("expected", "found"):
        table.add_column(name, justify="right")
    table.add_column("verdict")
    for found in effects:
        verdict = (
            "[green]right[/]" if found.right else f"[red]WRONG {', '.join(found.wrong[:3])}[/]"
        )
        table.add_row(found.sink, str(found.expected), str(found.found), verdict)
    return table

"""`worker demo`: the whole worker on emulators, proven at the end."""

import asyncio
from typing import Annotated

import typer

from worker.errors import ConfigurationError


def demo(
    events: Annotated[int, typer.Option(min=20, max=20_000, help="How many, about.")] = 300,
    serve: Annotated[bool, typer.Option("--serve", help="Go on until Ctrl-C.")] = False,
    seed: Annotated[int, typer.Option(help="The same seed, the same traffic.")] = 1,
) -> None:
    """Start emulators of everything, send events, show what the worker does with them.

    Needs no account, no Docker and no setting. Exit code 0 only if every effect is there once.
    """
    try:
        from worker.demo.run import run_demo
    except ImportError as error:
        raise ConfigurationError(
            [f"the demo needs the extra `demo`: {error.name} is not installed"]
        ) from error
    raise typer.Exit(asyncio.run(run_demo(events=events, serve=serve, seed=seed)))

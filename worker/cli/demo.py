"""`worker demo`: the whole worker on emulators, verified at the end."""

import asyncio
import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from worker.errors import ConfigurationError

NEEDS = "the demo needs the extra `demo` (in the worker's folder: pip install '.[demo]')"

Queues = Annotated[
    Literal["one", "per-job"],
    typer.Option(envvar="DEMO_QUEUES", help="One queue for all jobs, or one for each."),
]
Keep = Annotated[
    Path | None,
    typer.Option(file_okay=False, help="Folder for the log, the report and the tables."),
]


def demo(  # noqa: PLR0913, PLR0917  one parameter per option is typer's way
    events: Annotated[int, typer.Option(min=20, max=20_000, help="How many, approximately.")] = 300,
    serve: Annotated[
        bool, typer.Option("--serve", help="Go on until Ctrl-C, with a console.")
    ] = False,
    seed: Annotated[int, typer.Option(help="The same seed gives the same traffic.")] = 1,
    queues: Queues = "per-job",
    keep: Keep = None,
    emulators: Annotated[
        bool, typer.Option("--emulators", help="No worker: emulators and traffic for another one.")
    ] = False,
    host: Annotated[
        str, typer.Option(envvar="DEMO_HOST", help="Address the emulators listen on.")
    ] = "127.0.0.1",
    port: Annotated[
        int,
        typer.Option(envvar="DEMO_PORT", min=1, max=65_000, help="First of their nine ports."),
    ] = 4700,
    rate: Annotated[
        float, typer.Option(envvar="DEMO_RATE", min=0.1, max=50, help="Events a second they send.")
    ] = 2.0,
) -> None:
    """Start emulators of all upstreams, send events, and show what the worker does with them.

    It needs no account, no Docker and no setting, and succeeds only if every effect exists exactly
    once.

    The last three options are for --emulators, which prints the environment that a worker needs to
    run on them, and goes on until SIGTERM or Ctrl-C.
    """
    try:
        from worker.demo.environment import Addresses
        from worker.demo.scenario import run_demo
        from worker.demo.standalone import run_emulators
    except ModuleNotFoundError as error:
        raise ConfigurationError([f"{NEEDS}: {error.name} is not installed"]) from error
    _pass_proxies_by()
    if emulators:
        work = run_emulators(Addresses(host, port), rate=rate, seed=seed, queues=queues)
    else:
        work = run_demo(events=events, serve=serve, seed=seed, queues=queues, keep=_made(keep))
    raise typer.Exit(asyncio.run(work))


def _made(folder: Path | None) -> Path | None:
    if folder is not None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError([f"--keep {folder}: {error.strerror}"]) from error
    return folder


def _pass_proxies_by() -> None:
    # All of the demo is on this machine, which the proxy of a company does not reach.
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost"

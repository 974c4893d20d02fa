"""`worker console`: pages for operators, who see all replicas and act on dead letters."""

import asyncio
import sys
from typing import Annotated

import typer

from worker.cli.status import OPS_PORT, OpsHost, OpsPort, OpsUrls, places_of

PORT = 9465


def _hosts(hosts: list[str] | None) -> list[str] | None:
    """Return typer's check of `--allow-host`."""
    from worker.cli.console.guard import host_of

    for one in hosts or ():
        if host_of(one) is None:
            raise typer.BadParameter(f"{one!r} is not a host, or host:port")
    return hosts


def console(
    url: OpsUrls = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65_535, help="Port to listen on; 0: a free one.")
    ] = PORT,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            callback=_hosts,
            metavar="NAME",
            help="Answer requests for this host too, as a proxy sends them; again for more.",
        ),
    ] = None,
    allow_changes: Annotated[
        bool, typer.Option("--allow-changes", help="Redrive and delete; else only read.")
    ] = False,
    ops_host: OpsHost = "127.0.0.1",
    ops_port: OpsPort = OPS_PORT,
) -> None:
    """Serve pages about all replicas, dead letters, jobs, upstreams and conversations.

    It has no login: it listens on loopback, and answers its own pages only. Let others in through a
    proxy that knows them, and name the proxy's host by --allow-host.

    Dead letters and traces need the worker's settings; pages that lack some name them. The body of
    a message is shown only when asked for. Every change is a line in the log.

    Exit code 0: ended by SIGTERM or Ctrl-C. 1: the port is not free. 2: a wrong option.
    """
    from worker.cli.console.server import serve
    from worker.cli.exit_codes import FAILED, end
    from worker.telemetry import configure_logging

    configure_logging("info", "auto", sys.stderr)
    hosts = [one.lower() for one in allow_host or ()]
    places = places_of(url, ops_host, ops_port)
    try:
        asyncio.run(serve(places, (host, port), hosts, changes=allow_changes))
    except OSError as error:
        end(f"cannot listen on {host}, port {port}: {error.strerror}", FAILED)

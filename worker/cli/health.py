"""`worker health`: asks the daemon whether it is alive."""

from http.client import HTTPConnection, HTTPException
from typing import Annotated
from urllib.parse import urlsplit

import typer

WAIT_SECONDS = 3.0
"""For the answer of /livez; a container's HEALTHCHECK has little more."""


def _http(url: str | None) -> str | None:
    """Return typer's check of the URL: without TLS, as only this machine's worker is asked."""
    try:
        parts = urlsplit(url or "http://worker")
        if parts.scheme == "http" and parts.hostname and parts.port != 0:
            return url
    except ValueError:  # a port beyond 65535, or none at all
        pass
    raise typer.BadParameter("not http://host:port/path")


def health(
    url: Annotated[
        str | None, typer.Option(callback=_http, help="Ask this http:// URL instead.")
    ] = None,
    # Typer reads the two variables itself: a probe every few seconds must not load all settings.
    host: Annotated[str, typer.Option(envvar="OPS_HOST", hidden=True)] = "127.0.0.1",
    port: Annotated[int, typer.Option(envvar="OPS_PORT", min=1, max=65_535, hidden=True)] = 9464,
) -> None:
    """Ask /livez of the worker on OPS_PORT: it fails when the worker is not alive."""
    # Both mean all addresses of both families, where the machine has both.
    here = "127.0.0.1" if host in ("0.0.0.0", "::") else host  # noqa: S104  listening there, not we
    netloc = f"[{here}]:{port}" if ":" in here else f"{here}:{port}"
    alive, answer = _answer_of(url or f"http://{netloc}/livez")
    typer.echo(answer, err=not alive)
    raise typer.Exit(0 if alive else 1)


def _answer_of(url: str) -> tuple[bool, str]:
    parts = urlsplit(url)
    # Not urllib: it would send a probe of this machine to the proxy of the environment.
    connection = HTTPConnection(parts.hostname or "", parts.port or 80, timeout=WAIT_SECONDS)
    try:
        connection.request("GET", parts.path or "/livez")
        reply = connection.getresponse()
        return reply.status == 200, reply.read(200).decode(errors="replace").strip()
    except (OSError, HTTPException) as error:
        return False, f"{url}: no answer ({type(error).__name__})"
    finally:
        connection.close()

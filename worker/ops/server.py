"""/, /metrics, /livez, /readyz and /status, from a thread of their own.

Not in the event loop: a server there falls silent just when it is asked why the loop is stalled.
"""

import errno
import socket
import threading
from collections.abc import Callable, Mapping
from typing import Self

import orjson
import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from worker.errors import ConfigurationError
from worker.ops.connections import TEXT, Connections, Page, Request
from worker.ops.health import Health
from worker.ops.page import document, html_page
from worker.settings import Ops
from worker.telemetry import REGISTRY, Snapshot

LOOPBACK = ("127.0.0.1", "localhost")
ANYWHERE = ("0.0.0.0", "::")  # noqa: S104  what a setting may say

BACKLOG = 1024
"""Connections that may wait in the kernel, where they cost us nothing."""

HTML = "text/html; charset=utf-8"

log = structlog.get_logger(__name__)


class OpsServer:
    """The operators' HTTP server: listens once made, answers once started."""

    def __init__(
        self,
        settings: Ops,
        health: Health,
        status: Callable[[], Snapshot],
        registry: CollectorRegistry = REGISTRY,
    ) -> None:
        """`status`: what is known now; it waits for nothing.

        Raises `ConfigurationError` when the address cannot be listened on.
        """
        self._health = health
        self._status = status
        self._registry = registry
        self._pages: Mapping[str, Callable[[str], Page]] = {
            "/": self._page,
            "/metrics": self._metrics,
            "/livez": self._livez,
            "/readyz": self._readyz,
            "/status": self._status_page,
        }
        listeners = _listen(settings)
        self._host = settings.host
        self._port = int(listeners[0].getsockname()[1])
        self._connections = Connections(listeners, self._answer)
        self._thread = threading.Thread(
            target=self._connections.run, name="ops-server", daemon=True
        )

    @property
    def port(self) -> int:
        """The port listened on, also when 0 was asked for."""
        return self._port

    @property
    def url(self) -> str:
        """Where it answers, without a path."""
        host = self._host
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    def start(self) -> None:
        """Answer from now on."""
        self._thread.start()

    def close(self) -> None:
        """Stop listening, and close all connections."""
        if self._thread.is_alive():
            self._connections.stop()
            self._thread.join()
        else:
            self._connections.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _answer(self, request: Request) -> Page:
        if request.method not in ("GET", "HEAD"):
            return 405, TEXT, b"GET and HEAD only\n"
        page = self._pages.get(request.path)
        if page is None:
            return 404, TEXT, f"there are: {' '.join(self._pages)}\n".encode()
        try:
            return page(request.accept)
        except Exception as error:
            # Answered, not dropped: a page that fails must not look like a dead process.
            log.warning("ops_page_failed", exc_info=error)
            return 500, TEXT, b"this page failed; the log says why\n"

    def _metrics(self, accept: str) -> Page:
        try:
            encode, content_type = choose_encoder(accept)
            return 200, content_type, encode(self._registry)
        except Exception:  # noqa: BLE001  a version that is no number is a TypeError there
            encode, content_type = choose_encoder("")
            return 200, content_type, encode(self._registry)

    def _livez(self, _: str) -> Page:
        return _health_page(self._health.not_live_because())

    def _readyz(self, _: str) -> Page:
        return _health_page(self._health.ready())

    def _status_page(self, _: str) -> Page:
        shown = document(self._status())
        return 200, "application/json", orjson.dumps(shown, option=orjson.OPT_INDENT_2)

    def _page(self, _: str) -> Page:
        return 200, HTML, html_page(self._status()).encode()


def _health_page(reasons: list[str]) -> Page:
    return (503 if reasons else 200), TEXT, ("\n".join(reasons or ["ok"]) + "\n").encode()


def _listen(settings: Ops) -> list[socket.socket]:
    try:
        return open_listeners(settings.host, settings.port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            problem = "OPS_PORT: is taken — stop what listens there, or set another; 0 takes any"
        elif error.errno == errno.EACCES:
            problem = "OPS_PORT: permission denied (ports below 1024 need privileges)"
        else:
            problem = "OPS_HOST: is no address of this machine — set 127.0.0.1 or 0.0.0.0"
        raise ConfigurationError([problem]) from None


def open_listeners(host: str, port: int) -> list[socket.socket]:
    """Listen on `host`; on all addresses and on loopback in both families, where there is IPv6."""
    if host in ANYWHERE:
        return [_anywhere(port)]
    first = _bound(host, port)
    if host not in LOOPBACK:
        return [first]
    try:
        return [first, _bound("::1", first.getsockname()[1])]
    except OSError:  # no IPv6 here; or the port is taken there; 127.0.0.1 is still usable
        return [first]


def _anywhere(port: int) -> socket.socket:
    try:
        return _bound("::", port, both_families=True)
    except OSError as error:
        if error.errno in (errno.EADDRINUSE, errno.EACCES):
            raise
        return _bound("0.0.0.0", port)  # noqa: S104  asked for


def _bound(host: str, port: int, *, both_families: bool = False) -> socket.socket:
    family, *_, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not both_families)
        listener.bind(address)
        listener.listen(BACKLOG)
        listener.settimeout(0)
    except OSError:
        listener.close()
        raise
    return listener

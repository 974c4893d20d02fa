"""/metrics, /livez, /readyz and /status, from a thread of their own.

Not in the event loop: a server there falls silent just when somebody wants to know why the loop
stands still.
"""

import errno
import socketserver
import sys
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import AF_INET6
from typing import Any, Self

import orjson
import structlog
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from worker.errors import ConfigurationError
from worker.ops.health import Health
from worker.settings import Ops
from worker.telemetry.metrics import REGISTRY

CLIENT_SECONDS = 2.0
"""Longest silence of a client; its thread is ours again after that."""

TEXT = "text/plain; charset=utf-8"

Page = tuple[int, str, bytes]

log = structlog.get_logger(__name__)


class OpsServer:
    """The operators' HTTP server: listens once made, answers once started."""

    def __init__(
        self,
        settings: Ops,
        health: Health,
        status: Callable[[], Mapping[str, Any]],
        registry: CollectorRegistry = REGISTRY,
    ) -> None:
        """Raise `ConfigurationError` when the address cannot be listened on."""
        self._health = health
        self._status = status
        self._registry = registry
        self._server = _listen(settings, self._pages())
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="ops-server", daemon=True
        )

    @property
    def port(self) -> int:
        """The port listened on, also when 0 was asked for."""
        port: int = self._server.server_address[1]
        return port

    @property
    def url(self) -> str:
        """Where it answers, without a path."""
        host = str(self._server.server_address[0])
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    def start(self) -> None:
        """Answer from now on."""
        self._thread.start()

    def close(self) -> None:
        """Stop listening; answers under way are left to end by themselves."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _pages(self) -> Mapping[str, Callable[[str], Page]]:
        return {
            "/metrics": self._metrics,
            "/livez": self._livez,
            "/readyz": self._readyz,
            "/status": self._status_page,
        }

    def _metrics(self, accept: str) -> Page:
        encode, content_type = choose_encoder(accept)
        return 200, content_type, encode(self._registry)

    def _livez(self, _: str) -> Page:
        live = self._health.live()
        return (200, TEXT, b"ok\n") if live else (503, TEXT, b"the event loop stands still\n")

    def _readyz(self, _: str) -> Page:
        reasons = self._health.ready()
        return (503 if reasons else 200), TEXT, ("\n".join(reasons or ["ok"]) + "\n").encode()

    def _status_page(self, _: str) -> Page:
        return 200, "application/json", orjson.dumps(self._status(), option=orjson.OPT_INDENT_2)


def _listen(settings: Ops, pages: Mapping[str, Callable[[str], Page]]) -> "_Server":
    try:
        return _Server(settings, pages)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            problem = "OPS_PORT: is taken — stop what listens there, or set another; 0 takes any"
        elif error.errno == errno.EACCES:
            problem = "OPS_PORT: is not ours to take — set one above 1023"
        else:
            problem = "OPS_HOST: is no address of this machine — set 127.0.0.1 or 0.0.0.0"
        raise ConfigurationError([problem]) from None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, settings: Ops, pages: Mapping[str, Callable[[str], Page]]) -> None:
        self.pages = pages
        if ":" in settings.host:
            self.address_family = AF_INET6
        super().__init__((settings.host, settings.port), _Answer)

    def server_bind(self) -> None:
        # Not HTTPServer's: it looks up the host's name, which waits for a DNS that may be away.
        socketserver.TCPServer.server_bind(self)

    def handle_error(self, *_: object) -> None:
        log.debug("ops_request_failed", exc_info=sys.exc_info()[1])


class _Answer(BaseHTTPRequestHandler):
    server: _Server
    timeout = CLIENT_SECONDS
    server_version = "worker"
    sys_version = ""
    error_message_format = "%(code)d %(message)s\n"
    error_content_type = TEXT

    def __getattr__(self, name: str) -> Callable[[], None]:
        # BaseHTTPRequestHandler answers 501 to a method it has no `do_` for; 405 says more.
        if name.startswith("do_"):
            return self._refuse
        raise AttributeError(name)

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def log_message(self, *_: object) -> None:
        """Keep quiet: a probe every few seconds is no news."""

    def version_string(self) -> str:
        return self.server_version

    def _refuse(self) -> None:
        self._send((405, TEXT, b"GET and HEAD only\n"), with_body=True)

    def _answer(self, *, with_body: bool) -> None:
        page = self.server.pages.get(self.path.partition("?")[0])
        if page is None:
            known = " ".join(self.server.pages)
            self._send((404, TEXT, f"there are: {known}\n".encode()), with_body=with_body)
            return
        self._send(self._made(page), with_body=with_body)

    def _made(self, page: Callable[[str], Page]) -> Page:
        try:
            return page(self.headers.get("Accept", ""))
        except Exception as error:
            # Answered, not dropped: a page that fails must not look like a dead process.
            log.warning("ops_page_failed", exc_info=error)
            return 500, TEXT, b"this page failed; the log says why\n"

    def _send(self, page: Page, *, with_body: bool) -> None:
        status, content_type, body = page
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        if status == 405:
            self.send_header("Allow", "GET, HEAD")
        self.end_headers()
        if with_body:
            self.wfile.write(body)

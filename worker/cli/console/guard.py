"""Which requests the console answers: those that come from its own pages.

It has no login and listens on loopback, where any page of the same browser can send it requests.
So a request must name a host that the console is known by (else a foreign name that resolves to
loopback would make a foreign page its own, DNS rebinding), and one that changes something must come
from a page of that host (`Origin`) and hold the token that only its pages have.
"""

import re
from collections.abc import Awaitable, Callable, Collection
from hmac import compare_digest

import structlog
from aiohttp import web

LOOPBACK = frozenset({"localhost", "127.0.0.1", "[::1]"})
"""On any port: behind `kubectl port-forward` it is another than ours."""

TOKEN = "token"  # noqa: S105  the name of the form's field
HOST = re.compile(r"(\[[0-9a-f:.]{2,45}\]|[a-z0-9_](?:[a-z0-9_.-]{0,252}))(?::\d{1,5})?")
ORIGIN = re.compile(rf"https?://({HOST.pattern})")
READS = {"GET", "HEAD"}

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "
        "img-src data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    # Not `no-referrer` alone: with it browsers send the forms of our own pages with `Origin: null`.
    # Browsers take the last that they know; no other host is sent a referrer by either.
    "Referrer-Policy": "no-referrer, same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Server": "worker",
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

log = structlog.get_logger(__name__)


def host_of(text: str) -> str | None:
    """Return a host, with its port if it has one, in lower case; None for what is none."""
    return found[0] if (found := HOST.fullmatch(text.lower())) else None


class Guard:
    """Refuses what does not come from the console's own pages."""

    __middleware_version__ = 1  # what aiohttp's decorator would set, which takes no object

    def __init__(self, hosts: Collection[str], token: str) -> None:
        """`hosts`: names, or names with a port, by which it is known beside those of loopback."""
        self._hosts = frozenset(hosts)
        self._token = token

    async def __call__(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer the request, or refuse it and say why."""
        why = self._wrong_host(request) or self._wrong_site(request)
        if why is None and request.method not in READS:
            why = self._wrong_origin(request) or await self._wrong_token(request)
        if why is None:
            return await handler(request)
        log.warning("console_request_refused", why=why, method=request.method, by=request.remote)
        raise web.HTTPForbidden(text=f"Refused: {why}.\n")

    def _wrong_host(self, request: web.Request) -> str | None:
        given = request.headers.getall("Host", [])
        if len(given) != 1 or (host := host_of(given[0])) is None:
            return "the request names no host"
        if _name(host) in LOOPBACK or self._is_known(host):
            return None
        return "the console is not known by this host: --allow-host NAME allows it"

    def _wrong_site(self, request: web.Request) -> str | None:
        """Refuse what a foreign page loads; a link to ours, that a person follows, is none."""
        is_foreign = request.headers.get("Sec-Fetch-Site") in {"cross-site", "same-site"}
        if is_foreign and request.headers.get("Sec-Fetch-Mode") != "navigate":
            return "a page of another site asks for it"
        return None

    def _wrong_origin(self, request: web.Request) -> str | None:
        given = request.headers.getall("Origin", [])
        page = ORIGIN.fullmatch(given[0].lower()) if len(given) == 1 else None
        if page is None:
            return "the request does not say which page it comes from (Origin)"
        # A proxy may send its own Host, while the browser says where the page was.
        origin = page[1]
        if origin == request.headers["Host"].lower() or self._is_known(origin):
            return None
        return "the request comes from a page of another host (Origin)"

    async def _wrong_token(self, request: web.Request) -> str | None:
        utf8 = request.charset in {None, "utf-8"}
        if request.content_type != "application/x-www-form-urlencoded" or not utf8:
            return "the request is not a form"
        try:
            given = (await request.post()).get(TOKEN)
        except ValueError:
            return "the request is not a form"
        if isinstance(given, str) and compare_digest(given.encode(), self._token.encode()):
            return None
        return "its token is not of this console: load the page again"

    def _is_known(self, host: str) -> bool:
        return host in self._hosts or _name(host) in self._hosts


def _name(host: str) -> str:
    """Return the host without its port."""
    return re.sub(r":\d+$", "", host)


async def add_headers(_: web.Request, response: web.StreamResponse) -> None:
    """Add to every answer what keeps others out of our pages, and our pages out of caches."""
    response.headers.update(HEADERS)

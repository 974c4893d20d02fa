"""Emulators: servers on ports of their own, in the running loop.

Here are those of a customer's own endpoints: the CRM, and the sinks of webhooks. The CRM answers
`GET /customers?conversationId=…&phone=…`; one of the two will do. A sink remembers every delivery,
byte for byte.
"""

import asyncio
import hmac
import re
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import orjson
from aiohttp import web

_NAMED = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  compared, not listened on
"""Every address is none that a client could call."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens."""

    host: str = "127.0.0.1"
    port: int = 0
    """0: a free one."""

    def url(self, port: int) -> str:
        """Return the base URL of the server that took `port`, for clients on this machine."""
        host = _NAMED.get(self.host, self.host)
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


FREE_PORT = Address()
"""A free port on loopback."""


@asynccontextmanager
async def serving(app: web.Application, address: Address = FREE_PORT) -> AsyncIterator[str]:
    """Serve `app` within the block; give its base URL."""
    # Handlers that hang end with their client, or with the server: nothing is waited for.
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, address.host, address.port).start()
        yield address.url(runner.addresses[0][1])
    finally:
        await runner.cleanup()


_SHAPES = {
    "conversationId": re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE),
    "phone": re.compile(r"\+[1-9][0-9]{6,14}"),
}


@dataclass(slots=True, kw_only=True)
class CrmState:
    """State and knobs; all may be changed while the server runs."""

    by_phone: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)
    by_conversation: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)
    """Asked first."""

    token: str | None = field(default=None, repr=False)
    """Bearer token that a request needs; None: none is needed."""

    status: int = 200
    """Another one is answered in place of the truth, e.g. 503 for an outage."""

    retry_after: str | None = None
    latency_seconds: float = 0
    url: str = ""
    """Address of the look-up, while served."""

    counts: Counter[int] = field(default_factory=Counter)
    """Answers by status."""


class CrmServer:
    """Serves a `CrmState`."""

    def __init__(self, state: CrmState | None = None, address: Address = FREE_PORT) -> None:
        self._state = state or CrmState()
        self._address = address
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> CrmState:
        """Listen; return the state, its `url` set."""
        app = web.Application()
        app.router.add_get("/customers", self._answer)
        origin = await self._stack.enter_async_context(serving(app, self._address))
        self._state.url = f"{origin}/customers"
        return self._state

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if self._state.latency_seconds:
            await asyncio.sleep(self._state.latency_seconds)
        response = self._reply(request)
        self._state.counts[response.status] += 1
        return response

    def _reply(self, request: web.Request) -> web.Response:
        state = self._state
        if (
            state.token is not None
            and request.headers.get("Authorization") != f"Bearer {state.token}"
        ):
            return web.Response(status=401)
        if state.status != 200:
            headers = {"Retry-After": state.retry_after} if state.retry_after else None
            return web.Response(status=state.status, headers=headers)
        if not _well_formed(request):
            return web.Response(status=400)
        record = self._record_of(request.query)
        return web.Response(status=404) if record is None else web.json_response(record)

    def _record_of(self, asked: Mapping[str, str]) -> dict[str, Any] | None:
        state = self._state
        record = state.by_conversation.get(asked.get("conversationId", ""))
        return record or state.by_phone.get(asked.get("phone", ""))


def _well_formed(request: web.Request) -> bool:
    """Return whether each parameter is known, comes once, and has its shape."""
    given = request.query
    return (
        len(given) > 0
        and len(set(given)) == len(given)
        and all(name in _SHAPES and _SHAPES[name].fullmatch(text) for name, text in given.items())
    )


@dataclass(frozen=True, slots=True)
class Delivery:
    """One POST as it came in."""

    headers: Mapping[str, str] = field(repr=False)
    """Names in lower case."""

    raw: bytes = field(repr=False)
    status: int
    """What it was answered."""

    signed: bool
    """The signature is one of the sink's secret."""

    @property
    def id(self) -> str:
        """The `webhook-id`; empty when there is none."""
        return self.headers.get("webhook-id", "")

    @property
    def body(self) -> Any:
        """The JSON value of the body."""
        return orjson.loads(self.raw)


class WebhookSink:
    """Takes POSTs at `/hook`; knobs may be changed at any time."""

    def __init__(self, secret: str | None = None, address: Address = FREE_PORT) -> None:
        """`secret`: with one, a delivery without its signature is answered 401."""
        self.url = ""
        self.status = 204
        self.retry_after: str | None = None
        self.location: str | None = None
        """Sent as `Location`, for redirects."""

        self.latency_seconds = 0.0
        self.deliveries: list[Delivery] = []
        """All of them, refused ones too, in order of arrival."""

        self._secret = secret
        self._address = address
        self._stack = AsyncExitStack()
        self._changed = asyncio.Condition()

    @property
    def taken(self) -> list[Delivery]:
        """Deliveries answered with a success."""
        return [one for one in self.deliveries if 200 <= one.status < 300]

    async def wait_for(
        self, met: Callable[[list[Delivery]], bool], *, seconds: float = 10
    ) -> list[Delivery]:
        """Return what was taken once `met` holds for it; TimeoutError after `seconds`."""
        async with asyncio.timeout(seconds), self._changed:
            await self._changed.wait_for(lambda: met(self.taken))
            return self.taken

    async def __aenter__(self) -> Self:
        """Listen; `url` is set from here on."""
        app = web.Application()
        app.router.add_post("/hook", self._take)
        origin = await self._stack.enter_async_context(serving(app, self._address))
        self.url = f"{origin}/hook"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    async def _take(self, request: web.Request) -> web.StreamResponse:
        if self.latency_seconds:
            await asyncio.sleep(self.latency_seconds)
        headers = {name.lower(): value for name, value in request.headers.items()}
        raw = await request.read()
        signed = self._secret is not None and is_signed(self._secret, headers, raw)
        status = 401 if self._secret is not None and not signed else self.status
        async with self._changed:
            self.deliveries.append(Delivery(headers, raw, status, signed))
            self._changed.notify_all()
        return web.Response(status=status, headers=self._answer_headers())

    def _answer_headers(self) -> dict[str, str]:
        named = {"Retry-After": self.retry_after, "Location": self.location}
        return {name: value for name, value in named.items() if value is not None}


def is_signed(secret: str, headers: Mapping[str, str], raw: bytes) -> bool:
    """Check a Standard Webhooks signature as a receiver does; `secret`: one, either form."""
    key = b64decode(secret[6:]) if secret.startswith("whsec_") else secret.encode()
    stamp = f"{headers.get('webhook-id')}.{headers.get('webhook-timestamp')}."
    expected = "v1," + b64encode(hmac.digest(key, stamp.encode() + raw, "sha256")).decode()
    given = headers.get("webhook-signature", "").split()
    return any(hmac.compare_digest(expected, one) for one in given)

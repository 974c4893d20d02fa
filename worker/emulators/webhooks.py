"""Webhook receivers that remember every delivery, byte for byte."""

import asyncio
import hmac
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import orjson
from aiohttp import web

from worker.emulators.loopback import FREE_PORT, Address, serving


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

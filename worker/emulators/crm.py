"""An emulator of the CRM: `GET /customers?conversationId=…&phone=…`; one of the two will do."""

import asyncio
import re
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from aiohttp import web

from worker.emulators.loopback import FREE_PORT, Address, serving

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
        record = state.by_conversation.get(
            request.query.get("conversationId", "")
        ) or state.by_phone.get(request.query.get("phone", ""))
        return web.Response(status=404) if record is None else web.json_response(record)


def _well_formed(request: web.Request) -> bool:
    """Return whether each parameter is known, comes once, and has its shape."""
    given = request.query
    return (
        len(given) > 0
        and len(set(given)) == len(given)
        and all(name in _SHAPES and _SHAPES[name].fullmatch(text) for name, text in given.items())
    )

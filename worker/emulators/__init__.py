"""Emulators: servers on ports of their own, in the running loop."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

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

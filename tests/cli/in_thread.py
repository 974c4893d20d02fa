"""Emulators for commands that run their own event loop."""

import asyncio
import threading
from contextlib import AsyncExitStack, contextmanager


@contextmanager
def in_thread(*servers):
    """Serve async context managers in a loop of their own; yields what each of them gives."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    stack = AsyncExitStack()

    def run(work):
        return asyncio.run_coroutine_threadsafe(work, loop).result(10)

    async def enter():
        return [await stack.enter_async_context(server()) for server in servers]

    try:
        yield run(enter())
    finally:
        run(stack.aclose())
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()

"""Answers that are none: for `GenesysCloud.fail_with`."""

import asyncio

from aiohttp import web

from worker.emulators.genesys.cloud import Answer
from worker.emulators.genesys.replies import error_body


def missing_permission(*names: str) -> Answer:
    """Return the answer to a client whose role lacks these permissions."""

    async def answer(_: web.Request) -> web.StreamResponse:
        told = f"[{', '.join(names)}]"
        message = f"Missing the following permission(s): {told}"
        more = {"messageParams": {"permissions": told}}
        return error_body(403, "missing.permissions", message, **more)

    return answer


async def html_502(_: web.Request) -> web.StreamResponse:
    """Answer as a gateway does when what it stands for is down."""
    page = "<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"
    return web.Response(status=502, text=page, content_type="text/html")


async def html_200(_: web.Request) -> web.StreamResponse:
    """Answer as a captive portal does."""
    return web.Response(text="<html><body>Please sign in</body></html>", content_type="text/html")


async def reset_mid_body(request: web.Request) -> web.StreamResponse:
    """Promise more than is sent, then cut the connection."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    response.content_length = 1000
    await response.prepare(request)
    await response.write(b'{"half":')
    if request.transport is not None:
        request.transport.abort()
    return response


async def hang(_: web.Request) -> web.StreamResponse:
    """Never answer; ends when the client or the server goes."""
    await asyncio.Event().wait()
    return web.Response()

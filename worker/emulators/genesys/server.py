"""The emulator's HTTP server: counting, latency, faults, token and budget before each endpoint."""

import asyncio
import math
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from types import TracebackType

from aiohttp import web

from worker.emulators.genesys import (
    actions,
    analytics_by_id,
    analytics_details,
    attributes,
    conversations,
    flows,
    integrations,
    oauth,
    speech,
)
from worker.emulators.genesys.cloud import Endpoint, GenesysCloud
from worker.emulators.genesys.oauth import bearer
from worker.emulators.genesys.replies import Refusal, error_body, over_budget
from worker.emulators.loopback import ANYWHERE, Place, serving

FAMILIES: tuple[Callable[[], list[Endpoint]], ...] = (
    oauth.routes,
    actions.routes,
    analytics_details.routes,
    analytics_by_id.routes,
    speech.routes,
    conversations.routes,
    flows.routes,
    attributes.routes,
    integrations.routes,
)


class GenesysServer:
    """Serves a `GenesysCloud` in the running loop."""

    def __init__(self, cloud: GenesysCloud | None = None, place: Place = ANYWHERE) -> None:
        self._cloud = cloud or GenesysCloud()
        self._place = place
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> GenesysCloud:
        """Listen; return the cloud, its `url` set."""
        app = _application(self._cloud)
        self._cloud.url = await self._stack.enter_async_context(serving(app, self._place))
        return self._cloud

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stack.aclose()


def _application(cloud: GenesysCloud) -> web.Application:
    app = web.Application(client_max_size=512_000)  # the platform's `request.bytes.max`
    for endpoint in (endpoint for routes in FAMILIES for endpoint in routes()):
        app.router.add_route(endpoint.method, endpoint.path, partial(_serve, cloud, endpoint))
    unknown = Endpoint("unknown", "*", "/{tail:.*}", _not_found)
    app.router.add_route(unknown.method, unknown.path, partial(_serve, cloud, unknown))
    return app


async def _not_found(_: GenesysCloud, __: web.Request) -> web.StreamResponse:
    raise Refusal(404)


async def _serve(
    cloud: GenesysCloud, endpoint: Endpoint, request: web.Request
) -> web.StreamResponse:
    cloud.arrived(endpoint.name)
    if cloud.latency_seconds:
        await asyncio.sleep(cloud.latency_seconds)
    fault = cloud.fault_of(endpoint.name)
    if fault is not None:
        if not isinstance(fault.answer, int):
            return await fault.answer(request)
        headers = {"Retry-After": fault.retry_after} if fault.retry_after else None
        return error_body(fault.answer, headers=headers)
    try:
        return _refused(cloud, endpoint, request) or await endpoint.answer(cloud, request)
    except Refusal as refusal:
        return error_body(refusal.status, refusal.code, refusal.message)


def _refused(
    cloud: GenesysCloud, endpoint: Endpoint, request: web.Request
) -> web.StreamResponse | None:
    """Return the 401 or 429 that comes before any endpoint is asked."""
    if not endpoint.needs_token:
        return None
    token = bearer(request)
    if token is None:
        return error_body(401, "authentication.required")
    if not cloud.knows_token(token):
        return error_body(401, "bad.credentials")
    wait = cloud.seconds_over_budget(token)
    return over_budget(math.ceil(wait)) if wait else None

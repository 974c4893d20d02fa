"""The HTTP server: tokens; and counting, latency, faults, token and budget before each endpoint."""

import asyncio
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial
from types import TracebackType

from aiohttp import web

from worker.emulators.genesys import analytics, conversations, integrations
from worker.emulators.genesys.cloud import Endpoint, GenesysCloud
from worker.emulators.genesys.replies import Refusal, error_body, over_budget
from worker.emulators.loopback import FREE_PORT, Address, serving


def token_routes() -> list[Endpoint]:
    """Platform: Basic header. r0: form body at its own path. r1, r4: form body at /oauth/token."""
    return [
        Endpoint("token", "POST", "/oauth/token", _token, needs_token=False),
        Endpoint("token", "POST", "/api/v2/oauth/token", _token_by_form, needs_token=False),
        Endpoint("whoami", "GET", "/api/v2/tokens/me", _whoami),
    ]


async def token_rate_limited(_: web.Request) -> web.StreamResponse:
    """Answer as Genesys does when tokens are minted too often: a 400 that is transient."""
    return _oauth_error("invalid_request", "rate limit exceeded; too many token requests")


def bearer(request: web.Request) -> str | None:
    """Return the token of the Authorization header."""
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    return token if kind == "Bearer" and token else None


async def _token(cloud: GenesysCloud, request: web.Request) -> web.StreamResponse:
    form = await _form(request)
    if "Authorization" in request.headers and "client_id" in form:
        return _oauth_error("invalid_request", "credentials given twice")
    return _grant(
        cloud, form, _basic(request) or (form.get("client_id"), form.get("client_secret"))
    )


async def _token_by_form(cloud: GenesysCloud, request: web.Request) -> web.StreamResponse:
    form = await _form(request)
    if "Authorization" in request.headers:
        return _oauth_error("invalid_request", "credentials belong into the body")
    return _grant(cloud, form, (form.get("client_id"), form.get("client_secret")))


async def _whoami(cloud: GenesysCloud, _: web.Request) -> web.StreamResponse:
    return web.json_response({"organization": {"id": cloud.organization_id, "name": "Emulated"}})


async def _form(request: web.Request) -> dict[str, str]:
    if request.content_type != "application/x-www-form-urlencoded":
        return {}
    return {name: str(value) for name, value in (await request.post()).items()}


def _basic(request: web.Request) -> tuple[str | None, str | None] | None:
    kind, _, encoded = request.headers.get("Authorization", "").partition(" ")
    if kind != "Basic":
        return None
    try:
        client_id, _, secret = b64decode(encoded, validate=True).decode().partition(":")
    except (NotBase64, UnicodeDecodeError):
        return None, None
    return client_id, secret


def _grant(
    cloud: GenesysCloud, form: dict[str, str], client: tuple[str | None, str | None]
) -> web.Response:
    if form.get("grant_type") != "client_credentials":
        return _oauth_error("unsupported_grant_type", "grant_type must be client_credentials")
    if cloud.reject_client or client[0] != cloud.client_id:
        return _oauth_error("invalid_client", "client not found")
    if client[1] != cloud.client_secret:
        return _oauth_error("invalid_client", "authentication failed")
    body = {
        "access_token": cloud.issue_token(),
        "token_type": "bearer",
        "expires_in": cloud.token_lifetime_seconds,
    }
    return web.json_response(body, headers={"Cache-Control": "no-store"})


def _oauth_error(error: str, description: str) -> web.Response:
    body = {"error": error, "description": description, "error_description": description}
    return web.json_response(body, status=400)


FAMILIES: tuple[Callable[[], list[Endpoint]], ...] = (
    token_routes,
    integrations.routes,
    analytics.routes,
    conversations.routes,
)


class GenesysServer:
    """Serves a `GenesysCloud` in the running loop."""

    def __init__(self, cloud: GenesysCloud | None = None, address: Address = FREE_PORT) -> None:
        self._cloud = cloud or GenesysCloud()
        self._address = address
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> GenesysCloud:
        """Listen; return the cloud, its `url` set."""
        app = _application(self._cloud)
        self._cloud.url = await self._stack.enter_async_context(serving(app, self._address))
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
    exceeded = cloud.limit_exceeded(token)
    return over_budget(exceeded) if exceeded else None

"""An emulator of Genesys Cloud: both dialects on one loopback port, with fault switches.

The server is here: tokens; and counting, latency, faults, token and budget before each endpoint.

r0 to r4 are the texts of the reference dialect: worker/clients/genesys/README.md, "The reference
dialect". A family of endpoints is one module with a `routes()`; FAMILIES lists them.
"""

import asyncio
import re
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Callable, Iterator, Mapping
from contextlib import AsyncExitStack
from functools import partial
from types import TracebackType

from aiohttp import web

from worker.emulators import FREE_PORT, Address, serving
from worker.emulators.genesys.analytics import routes as analytics_routes
from worker.emulators.genesys.cloud import (
    PLATFORM,
    Ended,
    Endpoint,
    Fault,
    GenesysCloud,
    Named,
    Spoken,
    a_conversation,
    a_transcript,
)
from worker.emulators.genesys.conversations import a_flow
from worker.emulators.genesys.conversations import routes as conversation_routes
from worker.emulators.genesys.integrations import routes as integration_routes
from worker.emulators.genesys.replies import (
    Refusal,
    bearer,
    error_body,
    json_object,
    missing_permission,
    no_query,
    over_budget,
)

__all__ = [
    "Ended",
    "GenesysCloud",
    "GenesysServer",
    "Named",
    "Spoken",
    "a_conversation",
    "a_flow",
    "a_transcript",
]


SCOPES = {
    "r0": "data:actions:execute",
    "r1": "analytics:query",
    "r3": "conversation:view conversation:write analytics:conversations:view",
    "r4": "analytics:read",
}
"""What each reference text's token is for; r2 has the platform's."""


def token_routes() -> list[Endpoint]:
    """Each token is good for the calls of the text alone in whose form it was asked for."""
    return [
        Endpoint("token", "POST", "/oauth/token", _token, needs_token=False),
        Endpoint("token", "POST", "/api/v2/oauth/token", _token_of_r0_or_r3, needs_token=False),
        Endpoint("whoami", "GET", "/api/v2/tokens/me", _whoami),
        Endpoint("subject", "GET", "/api/v2/authorization/subjects/me", _subject),
    ]


async def token_rate_limited(_: web.Request) -> web.StreamResponse:
    """Answer as Genesys does when tokens are minted too often: a 400 that is transient."""
    return _oauth_error("invalid_request", "rate limit exceeded; too many token requests")


async def _token(cloud: GenesysCloud, request: web.Request) -> web.StreamResponse:
    """Platform and r2: Basic and a form. r1: a JSON body. r4: a form with all in it."""
    no_query(request)
    if request.content_type == "application/json":
        return _token_by_body(cloud, request, "r1", await json_object(request))
    form = await _form(request)
    if "scope" in form:
        return _token_by_body(cloud, request, "r4", form)
    if set(form) != {"grant_type"}:
        return _oauth_error("invalid_request", "credentials belong into the header")
    return _grant(cloud, PLATFORM, form, _basic(request))


async def _token_of_r0_or_r3(cloud: GenesysCloud, request: web.Request) -> web.StreamResponse:
    """r0: a form with all in it. r3: Basic, all else in the query, no body."""
    if not request.query:
        return _token_by_body(cloud, request, "r0", await _form(request))
    query = dict(request.query)
    if set(query) != {"grant_type", "scope"} or len(request.query) != 2 or request.can_read_body:
        return _oauth_error("invalid_request", "all but the credentials belongs into the query")
    return _grant(cloud, "r3", query, _basic(request))


def _token_by_body(
    cloud: GenesysCloud, request: web.Request, text: str, body: Mapping[str, str]
) -> web.Response:
    names = {"grant_type", "client_id", "client_secret"} | ({"scope"} if text != "r1" else set())
    if "Authorization" in request.headers or set(body) != names:
        return _oauth_error("invalid_request", f"the body has {', '.join(sorted(names))}")
    return _grant(cloud, text, body, (body["client_id"], body["client_secret"]))


async def _whoami(cloud: GenesysCloud, _: web.Request) -> web.StreamResponse:
    return web.json_response({"organization": {"id": cloud.organization_id, "name": "Emulated"}})


async def _subject(cloud: GenesysCloud, _: web.Request) -> web.StreamResponse:
    """Answer an AuthzSubject: what each role grants, by domain and entity."""
    policies = [_policy(one) for one in sorted(cloud.permissions or ())]
    if cloud.permissions is None:
        domains = sorted({one.partition(":")[0] for one in _every_permission()})
        policies = [_policy(f"{domain}:*:*") for domain in domains]
    role = {"id": "00000000-0000-4000-8000-0000000000aa", "name": "Worker", "policies": policies}
    division = {"id": "*", "name": ""}
    return web.json_response(
        {"id": cloud.client_id, "grants": [{"division": division, "role": role}]}
    )


def _policy(permission: str) -> dict[str, object]:
    domain, entity, action = permission.split(":", 2)
    return {"domain": domain, "entityName": entity, "actions": [action]}


def _every_permission() -> Iterator[str]:
    for groups in PERMISSIONS.values():
        for group in groups:
            yield from group


async def _form(request: web.Request) -> dict[str, str]:
    if request.content_type != "application/x-www-form-urlencoded":
        return {}
    return {name: str(value) for name, value in (await request.post()).items()}


def _basic(request: web.Request) -> tuple[str, str]:
    kind, _, encoded = request.headers.get("Authorization", "").partition(" ")
    try:
        pair = b64decode(encoded, validate=True).decode() if kind == "Basic" else ""
    except (NotBase64, UnicodeDecodeError):
        pair = ""
    client_id, _, secret = pair.partition(":")
    return client_id, secret


def _refused_grant(text: str, asked: Mapping[str, str]) -> tuple[str, str] | None:
    if asked.get("grant_type") != "client_credentials":
        return "unsupported_grant_type", "grant_type must be client_credentials"
    if "scope" in asked and asked["scope"] != SCOPES[text]:
        return "invalid_scope", f"the scope is {SCOPES[text]}"
    return None


def _refused_client(cloud: GenesysCloud, client: tuple[str, str]) -> tuple[str, str] | None:
    if cloud.reject_client or client[0] != cloud.client_id:
        return "invalid_client", "client not found"
    if client[1] != cloud.client_secret:
        return "invalid_client", "authentication failed"
    return None


def _grant(
    cloud: GenesysCloud, text: str, asked: Mapping[str, str], client: tuple[str, str]
) -> web.Response:
    if refused := _refused_grant(text, asked) or _refused_client(cloud, client):
        return _oauth_error(*refused)
    body = {
        "access_token": cloud.issue_token(text),
        "token_type": "bearer",
        "expires_in": cloud.token_lifetime_seconds,
    }
    return web.json_response(body, headers={"Cache-Control": "no-store"})


def _oauth_error(error: str, description: str) -> web.Response:
    body = {"error": error, "description": description, "error_description": description}
    return web.json_response(body, status=400)


_DETAILS = (("analytics:conversationDetail:view", "analytics:agentConversationDetail:view"),)
_SPEECH = (("recording:recording:view",), ("speechAndTextAnalytics:data:view",))
_INTEGRATION = "/api/v2/integrations/{}"
_SPOKEN = "/api/v2/speechandtextanalytics/conversations/{}"
_DETAILS_PATH = "/api/v2/analytics/conversations/details"

PERMISSIONS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "POST /api/v2/integrations/actions/{}/execute": (
        ("integrations:action:execute", "bridge:actions:execute"),
    ),
    "GET /api/v2/integrations/actions/{}": (("integrations:action:view", "bridge:actions:view"),),
    "GET /api/v2/integrations": (("integrations:integration:view",),),
    "POST /api/v2/integrations": (("integrations:integration:add",),),
    f"PATCH {_INTEGRATION}": (("integrations:integration:edit",),),
    f"GET {_INTEGRATION}/config/current": (("integrations:integration:view",),),
    f"PUT {_INTEGRATION}/config/current": (("integrations:integration:edit",),),
    "GET /api/v2/conversations/{}": (("conversation:communication:view",),),
    f"GET {_DETAILS_PATH}": _DETAILS,
    f"POST {_DETAILS_PATH}/query": _DETAILS,
    f"POST {_DETAILS_PATH}/jobs": _DETAILS,
    f"GET {_DETAILS_PATH}/jobs/availability": _DETAILS,
    f"GET {_DETAILS_PATH}/jobs/{{}}": _DETAILS,
    f"GET {_DETAILS_PATH}/jobs/{{}}/results": _DETAILS,
    f"GET {_SPOKEN}": _SPEECH,
    f"GET {_SPOKEN}/communications/{{}}/transcripturl": _SPEECH,
    "GET /api/v2/routing/queues": (("routing:queue:view",),),
    "GET /api/v2/routing/wrapupcodes": (("routing:wrapupCode:view",),),
    "GET /api/v2/users": (("directory:user:view",),),
    "GET /api/v2/flows/{}": (("architect:flow:view",),),
}
"""What the vendor's documentation of each call names: one of each group is needed, of all groups.
https://github.com/MyPureCloud/platform-client-sdk-python/tree/HEAD/build/docs

It names none for the PATCH of attributes, for `tokens/me`, `subjects/me` and `availabletopics`.
"""

FAMILIES: tuple[Callable[[], list[Endpoint]], ...] = (
    token_routes,
    integration_routes,
    analytics_routes,
    conversation_routes,
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
    if (fault := cloud.fault_of(endpoint.name)) is not None:
        return await _spoiled(fault, request)
    try:
        refused = _refused(cloud, endpoint, request)
        if refused is None and (missing := _missing(cloud, endpoint)):
            refused = await missing_permission(*missing)(request)
        return refused or await endpoint.answer(cloud, request)
    except Refusal as refusal:
        return error_body(refusal.status, refusal.code, refusal.message)


async def _spoiled(fault: Fault, request: web.Request) -> web.StreamResponse:
    if not isinstance(fault.answer, int):
        return await fault.answer(request)
    headers = {"Retry-After": fault.retry_after} if fault.retry_after else None
    return error_body(fault.answer, headers=headers)


def _insufficient_scope(endpoint: Endpoint) -> web.Response:
    """Return the 403 of the texts, which is no ErrorBody."""
    needed = " ".join(SCOPES.get(text, text) for text in sorted(endpoint.texts))
    body = {"error": "insufficient_scope", "error_description": f"needed: {needed}"}
    return web.json_response(body, status=403)


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
    if cloud.text_of(token) not in endpoint.texts:
        return _insufficient_scope(endpoint)
    exceeded = cloud.limit_exceeded(token)
    return over_budget(exceeded) if exceeded else None


def _missing(cloud: GenesysCloud, endpoint: Endpoint) -> list[str]:
    """Return the permissions that the client lacks for a call; of alternatives the first."""
    granted = cloud.permissions
    if granted is None:
        return []
    groups = PERMISSIONS.get(f"{endpoint.method} {re.sub(r'{[^}]+}', '{}', endpoint.path)}", ())
    return [group[0] for group in groups if granted.isdisjoint(group)]

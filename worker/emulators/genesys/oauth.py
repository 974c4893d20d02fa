"""The token endpoints of both dialects, and the check of what they issued."""

from base64 import b64decode
from binascii import Error as NotBase64

from aiohttp import web

from worker.emulators.genesys.cloud import Endpoint, GenesysCloud


def routes() -> list[Endpoint]:
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

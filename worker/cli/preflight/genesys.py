"""The OAuth client: whether it gets a token, and of which organization."""

from worker.cli.preflight.rows import Row, fail, ok, warn
from worker.clients.exchange import Request
from worker.clients.genesys.dialect import api_url, dialect_of, login_url
from worker.clients.genesys.token import Tokens
from worker.clients.genesys.wire import object_of
from worker.clients.http import HttpClient, HttpLimits
from worker.errors import Unauthorized, WorkerError
from worker.settings import Genesys

WHO_AM_I = "/api/v2/tokens/me"


async def check_genesys(settings: Genesys) -> list[Row]:
    """Get a token; on the real platform, ask whose it is."""
    name = "Genesys token"
    try:
        token = await _token(settings)
    except Unauthorized as error:
        return [fail(name, str(error), "check GENESYS_CLIENT_ID, _SECRET and _ENVIRONMENT")]
    except WorkerError as error:
        return [fail(name, str(error), "check GENESYS_ENVIRONMENT and the way to the login host")]
    rows = [ok(name, "granted")]
    return [*rows, await _organization(settings, token)] if _is_platform(settings) else rows


async def _token(settings: Genesys) -> str:
    secret = settings.client_secret.get_secret_value() if settings.client_secret else ""
    request = dialect_of(settings).token(settings.client_id or "", secret)
    async with HttpClient("genesys_login", login_url(settings), _limits(settings)) as http:
        tokens = Tokens(http, request)
        try:
            return await tokens.get()
        finally:
            await tokens.aclose()


async def _organization(settings: Genesys, token: str) -> Row:
    name = "Genesys organization"
    request = Request(
        method="GET",
        path=WHO_AM_I,
        template=WHO_AM_I,
        headers={"Authorization": f"Bearer {token}"},
    )
    try:
        async with HttpClient("genesys", api_url(settings), _limits(settings)) as http:
            reply = await http.send(request)
    except WorkerError as error:
        return fail(name, str(error), "check GENESYS_API_URL and the way to the API host")
    if reply.status != 200:
        return warn(name, f"{WHO_AM_I} answered {reply.status}", "check the region and the client")
    organization = object_of(reply).get("organization") or {}
    return ok(name, f"{organization.get('name', '?')} ({organization.get('id', '?')})")


def _is_platform(settings: Genesys) -> bool:
    return settings.dialect == "platform"


def _limits(settings: Genesys) -> HttpLimits:
    return HttpLimits(total_seconds=settings.timeout_seconds, connections=1)

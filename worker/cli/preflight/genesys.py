"""The OAuth client: whether it gets a token, and what it sees of Genesys with it."""

import asyncio

from worker.cli.preflight.genesys_reads import Read, reads_of
from worker.cli.preflight.rows import Row, fail, ok
from worker.clients.genesys.api import Tokens
from worker.clients.genesys.dialects import api_url, dialect_of, login_url
from worker.clients.http import HttpClient, HttpLimits
from worker.errors import Misconfigured, Permanent, Unauthorized, WorkerError
from worker.settings import Genesys, Settings


async def check_genesys(settings: Settings) -> list[Row]:
    """Get a token, and with it read what the handlers that are on need to be there."""
    name, genesys = "Genesys token", settings.genesys
    try:
        token = await _token(genesys)
    except Unauthorized as error:
        return [fail(name, str(error), "check GENESYS_CLIENT_ID, _SECRET and _ENVIRONMENT")]
    except WorkerError as error:
        return [fail(name, str(error), "check GENESYS_ENVIRONMENT and the way to the login host")]
    async with HttpClient("genesys", api_url(genesys), _limits(genesys)) as http:
        rows = await asyncio.gather(*(_row(http, token, read) for read in reads_of(settings)))
    return [ok(name, "granted"), *rows]


async def _token(settings: Genesys) -> str:
    secret = settings.client_secret.get_secret_value() if settings.client_secret else ""
    request = dialect_of(settings).token(settings.client_id or "", secret)
    async with HttpClient("genesys_login", login_url(settings), _limits(settings)) as http:
        tokens = Tokens(http, request)
        try:
            return await tokens.get()
        finally:
            await tokens.aclose()


async def _row(http: HttpClient, token: str, read: Read) -> Row:
    try:
        call = read.call()
        reply = await http.send(call.request, {"Authorization": f"Bearer {token}"})
        return call.read(reply)
    except (Permanent, Misconfigured) as error:
        return fail(read.name, str(error), f"check {read.setting}")
    except WorkerError as error:
        return fail(read.name, str(error), "check GENESYS_API_URL and the way to the API host")


def _limits(settings: Genesys) -> HttpLimits:
    return HttpLimits(total_seconds=settings.timeout_seconds, connections=3)

"""What Genesys answers: a token, and whose it is; the jobs ask for what they need themselves."""

from worker.api import Call, Finding, Reply, Request, Unauthorized, WorkerError, fail, ok, warn
from worker.app.command_line import open_genesys
from worker.app.context import AppContext
from worker.clients.genesys.wire import object_of

TOKEN = "Genesys token"  # noqa: S105  the name of a finding
ORGANIZATION = "Genesys organization"
"""Names of the findings."""

WHO_AM_I = "/api/v2/tokens/me"


async def check_genesys(context: AppContext) -> list[Finding]:
    """Get a token and ask whose it is, which the reference texts know no call for."""
    genesys = await open_genesys(context)
    try:
        await genesys.tokens.get()
    except Unauthorized as error:
        return [fail(TOKEN, str(error), "check GENESYS_CLIENT_ID, _SECRET and _ENVIRONMENT")]
    except WorkerError as error:
        remedy = "check GENESYS_ENVIRONMENT and the network to the login host"
        return [fail(TOKEN, str(error), remedy)]
    granted = ok(TOKEN, "granted")
    if "lookups" not in genesys.dialect.features:
        return [granted]
    return [
        granted,
        *await genesys.finding_of(ORGANIZATION, "GENESYS_ENVIRONMENT", organization),
    ]


def organization() -> Call[Finding]:
    """Ask whose the token is."""
    return Call(Request(method="GET", path=WHO_AM_I, template=WHO_AM_I), _organization)


def _organization(reply: Reply) -> Finding:
    if reply.status != 200:
        found = f"{WHO_AM_I} answered {reply.status}"
        return warn(ORGANIZATION, found, "check the region and the client")
    owner = object_of(reply).get("organization") or {}
    return ok(ORGANIZATION, f"{owner.get('name', '?')} ({owner.get('id', '?')})")

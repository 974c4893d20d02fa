"""What Genesys answers: a token, and whose it is; the jobs ask for what they need themselves."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain

from worker.api import Call, Finding, Reply, Request, Unauthorized, WorkerError, fail, ok, warn
from worker.app.command_line import open_genesys
from worker.app.context import AppContext
from worker.app.jobs import needed
from worker.cli.check.jobs import jobs_on
from worker.clients.genesys import GenesysClients
from worker.clients.genesys.wire import DATA_ACTION, LOGIN, object_of, objects_in
from worker.settings import Settings

TOKEN = "Genesys token"  # noqa: S105  the name of a finding
ORGANIZATION = "Genesys organization"
LIMITS = "Genesys limits"
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


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit of the organization, and the setting that must stay below it."""

    name: str
    """Of the finding."""

    namespace: str
    keys: tuple[str, ...]
    """Its names; the least value counts."""

    setting: str
    field: str
    """Of the settings of Genesys."""

    upstream: str
    """Only jobs that call it are bound by the limit."""

    unit: str
    remedy: str


BOUNDS = (
    Limit(
        "Genesys request limit",
        "platform.api",
        ("token.rate.per.minute", "client.credentials.token.rate.per.minute"),
        "GENESYS_REQUESTS_PER_MINUTE",
        "requests_per_minute",
        LOGIN,
        "requests a minute",
        "lower it to four fifths of the limit, divided by the number of replicas, "
        "or have Genesys raise the limit",
    ),
    Limit(
        "Genesys data action limit",
        "dataactions",
        ("actions.concurrent.executions.max",),
        "GENESYS_ACTION_CONCURRENCY",
        "action_concurrency",
        DATA_ACTION,
        "data actions at once",
        "lower it: flows and other clients use up the same limit",
    ),
)


async def check_limits(context: AppContext) -> list[Finding]:
    """Compare the limits of the organization with what the settings ask for; best effort."""
    genesys = await open_genesys(context)
    if "lookups" not in genesys.dialect.features:
        return []
    jobs = [(job, context.settings.jobs[job.name]) for job in jobs_on(context.settings)]
    called = {name for job, own in jobs for name in (*needed(job, own), *job.may_miss)}
    bounds = [one for one in BOUNDS if one.upstream in called]
    found = await asyncio.gather(*(_limit(genesys, one, context.settings) for one in bounds))
    return list(chain.from_iterable(found))


async def _limit(genesys: GenesysClients, bound: Limit, settings: Settings) -> list[Finding]:
    asked = getattr(settings.genesys, bound.field)
    try:
        limits = await genesys.api.run(limits_in(bound.namespace))
    except WorkerError as error:
        if error.upstream == LOGIN:
            return []  # no token: a finding of its own
        return [warn(bound.name, f"not read: {error}", _by_hand(bound, asked))]
    return [_compared(bound, asked, limits)]


def _compared(bound: Limit, asked: float, limits: Mapping[str, int]) -> Finding:
    known = {key: limits[key] for key in bound.keys if key in limits}
    if not known:
        found = f"{bound.keys[0]} is not among the limits of {bound.namespace}"
        return warn(bound.name, found, _by_hand(bound, asked))
    key = min(known, key=lambda one: known[one])
    granted = f"the organization grants {known[key]} {bound.unit} ({key})"
    if asked > known[key]:
        return warn(bound.name, f"{bound.setting} is {asked:g}, but {granted}", bound.remedy)
    return ok(bound.name, f"{granted}; {bound.setting} is {asked:g}")


def _by_hand(bound: Limit, asked: float) -> str:
    return f"see that {bound.setting}, {asked:g}, is below the organization's {bound.keys[0]}"


def limits_in(namespace: str) -> Call[Mapping[str, int]]:
    """Ask for the limits that hold in a namespace, by key; it takes no permission."""
    path = "/api/v2/organizations/limits/namespaces"
    request = Request(
        method="GET", path=f"{path}/{namespace}", template=f"{path}/{{namespaceName}}"
    )
    return Call(request, _limits)


def _limits(reply: Reply) -> Mapping[str, int]:
    listed = objects_in(object_of(reply).get("entities"))
    pairs = ((one.get("key"), one.get("value")) for one in listed)
    return {key: value for key, value in pairs if isinstance(key, str) and type(value) is int}

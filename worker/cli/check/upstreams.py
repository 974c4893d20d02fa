"""What Genesys and the webhooks answer: read, reached; nothing is changed."""

import asyncio
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from pydantic import HttpUrl

from worker.app.command_line import open_genesys
from worker.app.context import AppContext
from worker.app.jobs import known_jobs
from worker.clients import Reply, Request, shaken_hands
from worker.clients.genesys.dialects import Dialect
from worker.clients.genesys.participants import NO_SUCH_FLOW, Schema
from worker.clients.genesys.parts import dialect_of
from worker.clients.genesys.wire import Call, action_id_in_path, object_of
from worker.errors import Misconfigured, Permanent, Unauthorized, WorkerError
from worker.findings import Finding, fail, ok, warn
from worker.jobs.attributes.settings import AttributesSettings
from worker.jobs.voice.settings import VoiceSettings
from worker.settings import Settings

TOKEN = "Genesys token"  # noqa: S105  the name of a finding
ORGANIZATION, ACTION, FLOW = "Genesys organization", "Genesys data action", "Genesys flow"
"""Names of the findings."""

WHO_AM_I = "/api/v2/tokens/me"
ACTIONS = "/api/v2/integrations/actions"
NO_SUCH_ACTION = {404, 410}


@dataclass(frozen=True, slots=True)
class Read:
    """One GET, which gives one finding."""

    name: str
    setting: str
    """Where the id that is asked for comes from."""

    call: Callable[[], Call[Finding]]
    """Raises Permanent for an id that fits no path."""


def reads_of(settings: Settings) -> Iterator[Read]:
    """Yield what there is to read under these settings; the reference texts know flows only."""
    genesys, on = settings.genesys, settings.enabled_jobs()
    dialect = dialect_of(genesys)
    if "lookups" in dialect.features:
        yield Read(ORGANIZATION, "GENESYS_ENVIRONMENT", organization)
    if "lookups" in dialect.features and "voice" in on:
        action_id = settings.of(VoiceSettings).genesys_action_id or ""
        yield Read(ACTION, "GENESYS_ACTION_ID", partial(action, action_id))
    if "attributes" in on:
        flow_id = settings.of(AttributesSettings).genesys_flow_id or ""
        call = partial(flow, dialect, flow_id)
        yield Read(FLOW, "GENESYS_FLOW_ID", call)


def organization() -> Call[Finding]:
    """Ask whose the token is."""
    return Call(Request(method="GET", path=WHO_AM_I, template=WHO_AM_I), _organization)


def action(action_id: str) -> Call[Finding]:
    """Ask for the data action itself, which the worker never does: it only runs it."""
    path = f"{ACTIONS}/{action_id_in_path(action_id)}"
    return Call(Request(method="GET", path=path, template=f"{ACTIONS}/{{actionId}}"), _action)


def flow(dialect: Dialect, flow_id: str) -> Call[Finding]:
    """Ask for the flow's inputs, as the worker does."""
    call = dialect.attributes.flow_inputs(flow_id)
    return Call(call.request, partial(_flow, call), call.upstream)


async def check_genesys(context: AppContext) -> list[Finding]:
    """Get a token, and with it read what the handlers that are on need to exist."""
    genesys = await open_genesys(context)
    try:
        await genesys.tokens.get()
    except Unauthorized as error:
        return [fail(TOKEN, str(error), "check GENESYS_CLIENT_ID, _SECRET and _ENVIRONMENT")]
    except WorkerError as error:
        remedy = "check GENESYS_ENVIRONMENT and the network to the login host"
        return [fail(TOKEN, str(error), remedy)]

    async def found(read: Read) -> Finding:
        try:
            return await genesys.api.run(read.call())
        except (Permanent, Misconfigured) as error:
            return fail(read.name, str(error), f"check {read.setting}")
        except WorkerError as error:
            remedy = "check GENESYS_API_URL and the network to the API host"
            return fail(read.name, str(error), remedy)

    return [ok(TOKEN, "granted"), *await asyncio.gather(*map(found, reads_of(context.settings)))]


def _organization(reply: Reply) -> Finding:
    if reply.status != 200:
        found = f"{WHO_AM_I} answered {reply.status}"
        return warn(ORGANIZATION, found, "check the region and the client")
    owner = object_of(reply).get("organization") or {}
    return ok(ORGANIZATION, f"{owner.get('name', '?')} ({owner.get('id', '?')})")


def _action(reply: Reply) -> Finding:
    if reply.status in NO_SUCH_ACTION:
        return fail(ACTION, "this data action does not exist", "check GENESYS_ACTION_ID")
    if reply.status == 403:
        remedy = "none, if it exists; to read it, the client needs integrations:action:view"
        return warn(ACTION, "cannot be read: 403", remedy)
    if reply.status != 200:
        # The worker can do without this very read.
        return warn(ACTION, f"cannot be read: {reply.status}", "try again")
    return ok(ACTION, "exists; not run")


def _flow(call: Call[Schema | None], reply: Reply) -> Finding:
    if reply.status in NO_SUCH_FLOW:
        return fail(FLOW, "this flow does not exist", "check GENESYS_FLOW_ID")
    if reply.status == 403:
        return fail(FLOW, "may not be read: 403", "give the client's role architect:flow:view")
    inputs = call.read(reply)
    if inputs is None:
        return fail(
            FLOW, "no version with inputs is published", "publish it, or check GENESYS_FLOW_ID"
        )
    return ok(FLOW, f"exists, with {len(inputs)} inputs")


def webhooks_of(settings: Settings) -> Iterator[tuple[str, HttpUrl]]:
    """Yield setting and URL of the webhooks that the handlers which are on post to."""
    for job in settings.enabled_jobs():
        for field in known_jobs()[job].webhooks:
            if (url := getattr(settings.jobs[job], field)) is not None:
                yield field.upper(), url


async def check_webhook(_: AppContext, *, name: str, url: HttpUrl) -> Finding:
    """Connect and hang up: a POST would be an effect. Path and query are often the password."""
    where = f"{url.host}:{url.port}"
    try:
        await shaken_hands(str(url))
    except OSError as error:
        return fail(name, f"{where} is not reached: {type(error).__name__}", _remedy(name, error))
    how = "over TLS" if url.scheme == "https" else "without TLS"
    return ok(name, f"{where} is reached {how}; not called")


def _remedy(name: str, error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return f"check {name}, and the certificate of its host"
    return f"check {name}, the name service and the network to its host"

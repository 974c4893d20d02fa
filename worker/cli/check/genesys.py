"""What Genesys answers: a token, whose it is, what it may do; what it can send; its limits.

What a call takes is tried by the call itself, so made that it can have no effect (README of the
client, "Permissions"): each id in its path is one that nothing has, its body is empty. Where the
client is allowed, the answer is 400 or 404; where it is not, 403. What could have an effect even so
is looked for among the permissions of the client's own roles.
"""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain

from worker.api import (
    Call,
    Finding,
    Misconfigured,
    Permanent,
    Reply,
    Request,
    Unauthorized,
    WorkerError,
    fail,
    ok,
    warn,
)
from worker.app.command_line import open_genesys, open_texts
from worker.app.context import AppContext
from worker.app.jobs import jobs_on, known_jobs, needed, permissions, topics, wanted_of
from worker.clients.genesys import GenesysClients, Topics, available_topics, limits_in
from worker.clients.genesys.wire import (
    DATA_ACTION,
    LOGIN,
    error_body_of,
    failure_of,
    object_of,
    objects_in,
)
from worker.findings import untried
from worker.settings import Settings

TOKEN = "Genesys token"  # noqa: S105  the name of a finding
ORGANIZATION = "Genesys organization"
PERMISSION = "Genesys permission"
TOPIC = "Genesys topic"
LIMITS = "Genesys limits"
"""Names of the findings."""

WHO_AM_I = "/api/v2/tokens/me"
SUBJECT = "/api/v2/authorization/subjects/me"

NOTHING = "00000000-0000-0000-0000-000000000000"
"""An id that nothing has."""

REFUSED_EMPTY = {
    "POST /api/v2/analytics/conversations/details/query",
    "POST /api/v2/analytics/conversations/details/jobs",
}
"""Calls without an id that must have an interval: an empty body is a 400."""

ANSWERED = {400, 404, 405, 409, 410, 413, 415, 422}
"""Statuses that only an allowed caller sees, beside 2xx."""


async def check_genesys(context: AppContext) -> list[Finding]:
    """Get a token and ask whose it is, which the reference texts know no call for.

    They have a token each.
    """
    genesys = await open_genesys(context)
    tokens = [await _token(one) for one in await open_texts(context)]
    if tokens[0].state != "ok" or "lookups" not in genesys.dialect.features:
        return tokens
    ours = partial(organization, context.settings.genesys.organization_id)
    return [*tokens, *await genesys.finding_of(ORGANIZATION, "GENESYS_ENVIRONMENT", ours)]


async def _token(genesys: GenesysClients) -> Finding:
    text = f"{genesys.dialect.text}: " if genesys.dialect.text else ""
    try:
        await genesys.tokens.get()
    except Unauthorized as error:
        remedy = "check GENESYS_CLIENT_ID, _SECRET and _ENVIRONMENT"
        return fail(TOKEN, f"{text}{error}", remedy)
    except WorkerError as error:
        remedy = "check GENESYS_ENVIRONMENT and the network to the login host"
        return fail(TOKEN, f"{text}{error}", remedy)
    return ok(TOKEN, f"{text}granted")


def organization(expected: str | None = None) -> Call[Finding]:
    """Ask whose the token is. `expected`: the only organization whose events are taken."""
    request = Request(method="GET", path=WHO_AM_I, template=WHO_AM_I)
    return Call(request, partial(_organization, expected))


def _organization(expected: str | None, reply: Reply) -> Finding:
    if reply.status != 200:
        found = f"{WHO_AM_I} answered {reply.status}"
        return warn(ORGANIZATION, found, "check the region and the client")
    (owner,) = objects_in([object_of(reply).get("organization")]) or [{}]
    found = f"{owner.get('name', '?')} ({owner.get('id', '?')})"
    if expected and "id" in owner and str(owner["id"]).lower() != expected.lower():
        remedy = "set GENESYS_ORGANIZATION_ID to it: events of any other are dead-lettered"
        return fail(ORGANIZATION, f"the client is of {found}, and not of {expected}", remedy)
    return ok(ORGANIZATION, found)


@dataclass(frozen=True, slots=True)
class Granted:
    """What the roles of the client grant."""

    policies: frozenset[tuple[str, ...]]
    """Domain, entity and action, each of which may be `*`."""

    def has(self, permission: str) -> bool:
        """Return whether it is granted, in one division at least."""
        words = permission.split(":")
        return any(
            len(one) == len(words)
            and all(given in {word, "*"} for word, given in zip(words, one, strict=True))
            for one in self.policies
        )


def own_permissions() -> Call[Granted]:
    """Ask what the roles of the client grant: an AuthzSubject, which takes no permission."""
    return Call(Request(method="GET", path=SUBJECT, template=SUBJECT), _granted)


def _granted(reply: Reply) -> Granted:
    grants = objects_in(object_of(reply).get("grants"))
    roles = [role for one in grants if isinstance(role := one.get("role"), dict)]
    return Granted(
        frozenset(
            (str(policy.get("domain")), str(policy.get("entityName")), str(action))
            for role in roles
            for policy in objects_in(role.get("policies"))
            for actions in (policy.get("actions"),)
            if isinstance(actions, list)
            for action in actions
        )
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Needed:
    """One call that jobs make."""

    call: str
    """`METHOD /path`, each id in braces."""

    permission: str
    """What it takes: `and` joins groups, `or` the alternatives of one; empty: none is published."""

    jobs: tuple[str, ...]
    optional: bool
    """Whether each of them can do without."""

    def request(self) -> Request | None:
        """Return the call so made that nothing comes of it; None for one that cannot be."""
        method, _, template = self.call.partition(" ")
        path = re.sub(r"\{[^/{}]+\}", NOTHING, template)
        if method != "GET" and path == template and self.call not in REFUSED_EMPTY:
            return None
        request = Request(method=method, path=path, template=template)
        return request if method in {"GET", "DELETE", "HEAD"} else replace(request, json={})

    def missing_from(self, granted: Granted) -> str:
        """Return what of it is not granted, as it is declared; empty: it is all there."""
        groups = [group for group in self.permission.split(" and ") if group]
        return " and ".join(
            one for one in groups if not any(granted.has(name) for name in one.split(" or "))
        )


def needed_calls(settings: Settings) -> list[Needed]:
    """Return the calls of the jobs that are on, each once."""
    makers: dict[str, dict[str, bool]] = {}
    takes: dict[str, str] = {}
    for name in settings.enabled_jobs():
        job = known_jobs()[name]
        own = permissions(job, settings.jobs[name])
        for call, permission in (job.optional_permissions | own).items():
            makers.setdefault(call, {})[name] = call not in own
            takes.setdefault(call, permission)
    return [
        Needed(call=call, permission=takes[call], jobs=tuple(jobs), optional=all(jobs.values()))
        for call, jobs in makers.items()
    ]


async def check_permissions(context: AppContext) -> list[Finding]:
    """Try each call that the jobs make; without a token none: that is a finding of its own."""
    genesys = await open_genesys(context)
    calls = needed_calls(context.settings)
    if "lookups" not in genesys.dialect.features:
        remedy = (
            "send one event of each job with `worker send`: /readyz names a scope that is missing"
        )
        return [untried(PERMISSION, "the reference texts have scopes", remedy)]
    try:
        granted = await _own(genesys)
    except WorkerError as error:
        # Not one finding a call: their failures would open the breaker, and hide the reason.
        if error.upstream == LOGIN:
            return []
        remedy = "check GENESYS_API_URL and the network to the API host"
        return [fail(PERMISSION, str(error), remedy)]
    found = await asyncio.gather(*(_permission(genesys, one, granted) for one in calls))
    return list(chain.from_iterable(found))


async def _own(genesys: GenesysClients) -> Granted | None:
    try:
        return await genesys.api.run(own_permissions())
    except (Misconfigured, Permanent) as error:
        if error.upstream == LOGIN:
            raise
        return None  # the calls themselves show more


async def _permission(
    genesys: GenesysClients, one: Needed, granted: Granted | None
) -> list[Finding]:
    request = one.request()
    if request is None:
        return [_looked_up(one, granted)]
    probe = Call(request, partial(_tried, one, granted))
    return await genesys.finding_of(PERMISSION, "GENESYS_CLIENT_ID", lambda: probe)


def _tried(one: Needed, granted: Granted | None, reply: Reply) -> Finding:
    if 200 <= reply.status < 300 or reply.status in ANSWERED:
        return ok(PERMISSION, f"{_named(one)}: allowed ({reply.status})")
    body = error_body_of(reply)
    if reply.status != 403:
        raise failure_of(reply)
    if not body.code:
        remedy = "let firewall, proxy and gateway pass the worker's calls to the Genesys API"
        return fail(PERMISSION, f"{_named(one)}: 403, not in the words of Genesys", remedy)
    named = (" or " if body.code == "missing.any.permissions" else " and ").join(body.permissions)
    if not named and one.permission and granted and not one.missing_from(granted):
        return _lacking(one, "403, though the client's roles have it: in other divisions?", "")
    named = named or one.permission
    return _lacking(one, f"403, {named or 'a permission'} is missing", named)


def _looked_up(one: Needed, granted: Granted | None) -> Finding:
    if granted is None or not one.permission:
        remedy = f"see that a role of the OAuth client has {one.permission or 'what it takes'}"
        return untried(PERMISSION, f"{_named(one)}: a call could have an effect", remedy)
    if missing := one.missing_from(granted):
        return _lacking(one, f"not tried; no role of the client has {missing}", missing)
    return ok(PERMISSION, f"{_named(one)}: not tried; the client's roles have {one.permission}")


def _lacking(one: Needed, found: str, permission: str) -> Finding:
    remedy = f"give {permission or 'it'} to a role of the OAuth client, in the queues' divisions"
    if one.optional:
        return warn(
            PERMISSION, f"{_named(one)}: {found}", f"{remedy}; the jobs do the rest without"
        )
    return fail(PERMISSION, f"{_named(one)}: {found}", remedy)


def _named(one: Needed) -> str:
    return f"{one.call} (job {', '.join(one.jobs)})"


async def check_topics(context: AppContext) -> list[Finding]:
    """Ask whether each topic that a job lives on travels on EventBridge."""
    genesys = await open_genesys(context)
    wanted = needed_topics(context.settings)
    if "integrations" not in genesys.dialect.features or not wanted:
        return []
    try:
        available = await genesys.api.run(available_topics())
    except WorkerError as error:
        remedy = f"see in Genesys Cloud that EventBridge carries {', '.join(wanted)}"
        return [] if error.upstream == LOGIN else [warn(TOPIC, f"not known: {error}", remedy)]
    return [_topic(name, topic, available) for topic, name in wanted.items()]


def needed_topics(settings: Settings) -> Mapping[str, str]:
    """Return the topics that events of the jobs which are on come by, each with its first job.

    One that the settings exclude is not needed: its events come from elsewhere.
    """
    found: dict[str, str] = {}
    for name in settings.enabled_jobs():
        job = known_jobs()[name]
        wanted = list(wanted_of(job, settings.jobs[name]))
        for topic in topics(job, settings.jobs[name]):
            if any(one.wants(topic) for one in wanted):
                found.setdefault(topic, name)
    return found


def _topic(job: str, topic: str, available: Topics) -> Finding:
    named, carried = f"{topic} (job {job})", available.transports_of(topic)
    if carried is None:
        return warn(TOPIC, f"{named}: not among the organization's topics", _instead(job))
    if not carried:
        return warn(TOPIC, f"{named}: the organization does not say what carries it", _instead(job))
    if not available.is_on_event_bridge(topic):
        return fail(TOPIC, f"{named}: travels on {', '.join(carried)} only", _instead(job))
    return ok(TOPIC, f"{named}: travels on EventBridge")


def _instead(job: str) -> str:
    return known_jobs()[job].without_topics or "see that its events come some other way"


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

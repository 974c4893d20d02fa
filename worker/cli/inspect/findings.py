"""What the worker would do with an event, found out without doing it.

The daemon's own handlers are run, with their upstreams asked and their writes kept back. What else
a job makes of the answers it says itself, where it declares an inspector.
"""

import re
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import orjson

from worker.api import (
    ConfigurationError,
    Context,
    Inspection,
    NotYet,
    Permanent,
    Transient,
    WorkerError,
)
from worker.app.command_line import for_job, open_with, settings_of
from worker.app.jobs import event_reader, known_jobs, named
from worker.app.recorder import Recorder, Write
from worker.events import Event, ForJob, UnknownType, utc_text
from worker.settings import (
    Budget,
    EventBus,
    Events,
    Genesys,
    Group,
    Handlers,
    Idempotency,
    Settings,
    Webhooks,
)

HIDDEN_REPORT = Inspection(lines=(("note", "report", "hidden: --body shows it"),))
"""In place of one that its job does not mask."""

NOT_ASKED = "nothing is asked: the job is off"

Inspector = Callable[[Event], Awaitable[Inspection]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What is known of one event before anything is done with it."""

    event: str
    """Name of its class; `UnknownType` and `Unreadable` for what is no event of ours."""

    job: str | None = None
    state: str | None = None
    """Whether its job is on, or what it lacks."""

    facts: Mapping[str, str] = field(default_factory=dict)
    """Where it came from: ids and times."""

    effects: Mapping[str, str] = field(default_factory=dict)
    """Ids its effects will have, however often it comes."""

    inspection: Inspection | None = field(default=None, repr=False)
    """What the job found, where it was asked and answers."""

    result: str | None = None
    """What its handler returned, as metrics have it."""

    writes: Sequence[Write] | None = field(default=None, repr=False)
    """What would be written and sent, in order; None where that was not asked for."""

    note: str | None = None
    problem: str | None = None
    """Why it would not be handled."""

    @property
    def passed(self) -> bool:
        """Whether it would be handled, and without leaving anything out."""
        return self.problem is None and (self.inspection is None or self.inspection.complete)

    def as_dict(self, *, body: bool) -> dict[str, Any]:
        """Return it for machines; `body`: with the values of what would be written."""
        plainly = asdict(replace(self, inspection=None, writes=None))
        del plainly["inspection"]
        shown = self.shown(body=body)
        found = plainly | {"report": shown.report if shown else None, "passed": self.passed}
        return found | {"writes": self.written(body=body)}

    def shown(self, *, body: bool) -> Inspection | None:
        """Return what the job found, without values unless they are wanted or were given."""
        if self.inspection is None or body or self.writes is None:
            return self.inspection
        return self.inspection.masked or HIDDEN_REPORT

    def written(self, *, body: bool) -> list[dict[str, Any]] | None:
        """Return what would be written, as JSON has it."""
        if self.writes is None:
            return None
        show = plain if body else masked
        return [{"to": one.to, "call": one.call, **show(one.content)} for one in self.writes]


MASK = "***"

_PLAIN_TEXT = re.compile(
    r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
    r"|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+(Z|[+-][0-9:]{5,6})"
)
"""UUIDs and points in time: they name things, and say nothing of a person."""

_CONTENT = {"body", "Body", "Data", "Detail", "MessageBody", "Message", "Payload", "input"}
"""Parameters that hold what is sent; the others of a call name where to, and how."""

_SHOWN = {
    *("EventBusName", "Source", "DetailType", "detailType", "eventType"),
    *("detailsStatus", "enrichmentStatus", "enrichmentSteps", "forwardingStatus"),
    *("polarity", "escalationThreshold", "webhook-id"),
}
"""Fields of a content that are of the worker's own words, or ids."""

_TYPES = {"S", "N", "L", "M", "BOOL", "NULL"}
"""DynamoDB's tags: a value under one is of the field above it."""

_ATTRIBUTES = "attributes"
"""What a customer's record put there may look like a UUID, and is hidden all the same."""


def plain(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content of a call as JSON has it; bytes that are no text as base64."""
    return {name: _plain(value) for name, value in content.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return plain(value)
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, datetime):
        return utc_text(value)
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return b64encode(value).decode()
    return value


def masked(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the same with its values hidden, but for those that say nothing of a customer."""
    return {
        name: value
        if isinstance(value, str) and name not in _CONTENT and decoded(value) is value
        else _masked(name, value)
        for name, value in content.items()
    }


def _masked(name: str, value: Any) -> Any:
    if isinstance(value, bytes):
        return {"bytes": len(value), "sha256": sha256(value).hexdigest()}
    if isinstance(value, datetime):
        return utc_text(value)
    value = decoded(value)
    if isinstance(value, Mapping):
        return {
            key: _masked(name if key in _TYPES or name == _ATTRIBUTES else key, one)
            for key, one in value.items()
        }
    if isinstance(value, list | tuple):
        return [_masked(name, one) for one in value]
    if value is None or name in _SHOWN:
        return value
    is_plain = name != _ATTRIBUTES and isinstance(value, str) and _PLAIN_TEXT.fullmatch(value)
    return value if is_plain else MASK


def decoded(value: Any) -> Any:
    """Return what a text of JSON says, and anything else as it is."""
    if isinstance(value, str) and value.startswith(("{", "[")):
        try:
            return orjson.loads(value)
        except orjson.JSONDecodeError:
            pass
    return value


class Inspectors:
    """The handlers and inspectors of jobs, each opened when an event is the first of its job."""

    def __init__(
        self,
        context_of: Callable[[str], Context],
        settings: Settings,
        files: Mapping[str, Path],
        recorder: Recorder | None,
    ) -> None:
        """`context_of`: what a job of this name is built with.

        `files`: answers in place of those of the upstreams; empty: these are asked.

        `recorder`: what keeps back the writes of the context; None: no handler is run.
        """
        self.runs = recorder is not None
        """Whether handlers are run."""

        self._context_of = context_of
        self._settings = settings
        self._files = files
        self._recorder = recorder
        self._opened: dict[str, Inspector | None] = {}
        self._handlers: dict[str, Callable[[Event], Awaitable[Any]]] = {}

    async def inspection_of(self, one: ForJob) -> Inspection | None:
        """Return what a job finds of its event; None where it declares no inspector."""
        job = one.job
        place = known_jobs()[job].inspector
        if place is not None and job not in self._opened:
            context, settings = self._context_of(job), self._settings.jobs[job]
            self._opened[job] = await named(place, job)(context, settings, self._files)
        inspect = self._opened.get(job)
        return await inspect(one.event) if inspect else None

    async def run(self, one: ForJob, found: Finding) -> Finding:
        """Run the handler of a job on its event, and add what came of it.

        Raises ConfigurationError for a job that cannot be built.
        """
        if self._recorder is None:
            return found
        if one.job not in self._handlers:
            context, settings = self._context_of(one.job), self._settings.jobs[one.job]
            self._handlers[one.job] = await known_jobs()[one.job].build(context, settings)
        before = len(self._recorder.writes)
        result, problem = None, found.problem
        try:
            result = str((await self._handlers[one.job](one.event)).value)
        except WorkerError as error:
            problem = _reason(error)
        writes = tuple(self._recorder.writes[before:])
        return replace(found, result=result, problem=problem, writes=writes)


def _reason(error: WorkerError) -> str:
    if isinstance(error, NotYet) and error.retry_after is not None:
        return f"{error}: it would be tried again in {error.retry_after:.0f} s"
    if isinstance(error, Transient):
        return f"{error}: it would be tried again later"
    return str(error)


async def inspected(
    bodies: Sequence[str], *, files: Mapping[str, Path], live: bool
) -> list[Finding]:
    """Return what is found of each message. `files`: the answers of upstreams, by their option.

    `live`: their handlers are run. Raises ConfigurationError when none of their jobs is on.
    """
    settings = settings_of(Events, Genesys, Handlers, *_groups(live=live))
    recorder = Recorder() if live else None
    async with open_with(settings, *([recorder.outgoing()] if recorder else [])) as context:
        context_of = partial(for_job, context)
        asked = files or live
        inspectors = Inspectors(context_of, settings, files, recorder) if asked else None
        found = [one for body in bodies for one in await findings(body, settings, inspectors)]
    jobs = {one.job: settings.lacking()[one.job] for one in found if one.job}
    if live and jobs and all(jobs.values()):
        raise ConfigurationError([f"{name}: is not set" for job in jobs.values() for name in job])
    return found


def _groups(*, live: bool) -> list[type[Group]]:
    jobs = known_jobs().values()
    of_jobs: list[type[Group]] = [job.settings for job in jobs if live or job.inspector]
    return [Budget, EventBus, Idempotency, Webhooks, *of_jobs] if live else of_jobs


async def findings(body: str, settings: Settings, inspectors: Inspectors | None) -> list[Finding]:
    """Read a message as the daemon does; without `inspectors` no job is asked for more."""
    try:
        events = event_reader(settings)(body)
    except Permanent as error:
        return [Finding(event="Unreadable", problem=error.reason)]
    if isinstance(events, UnknownType):
        facts = {"detailType": events.detail_type}
        problem = f"no job wants it; EVENTS_UNROUTED={settings.events.unrouted}"
        return [Finding(event="Unrouted", facts=facts, problem=problem)]
    states, lacking = settings.job_states(), settings.lacking()
    return [
        replace(await _finding(one, inspectors, is_on=not lacking[one.job]), state=states[one.job])
        for one in events
    ]


async def _finding(one: ForJob, inspectors: Inspectors | None, *, is_on: bool) -> Finding:
    event, effects = one.event, known_jobs()[one.job].effects
    found = Finding(
        event=type(event).__name__,
        job=one.job,
        facts=_facts(event),
        effects=effects(event) if effects else {},
    )
    if inspectors is None:
        return found
    if inspectors.runs and not is_on:
        return replace(found, note=NOT_ASKED)
    try:
        inspection = await inspectors.inspection_of(one)
    except ConfigurationError:
        raise
    except WorkerError as error:
        return replace(found, problem=str(error))
    problem = inspection.problem if inspection else None
    return await inspectors.run(one, replace(found, inspection=inspection, problem=problem))


def _facts(event: Event) -> dict[str, str]:
    origin = event.origin
    facts = {
        "conversationId": getattr(event, "conversation_id", None),
        "detailType": origin.detail_type,
        "eventId": origin.event_id,
        "occurredAt": utc_text(origin.occurred_at),
        "dedupeKey": origin.dedupe_key,
        "correlationId": origin.correlation_id,
    }
    return {name: value for name, value in facts.items() if value is not None}

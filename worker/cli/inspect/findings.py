"""What the worker would do with an event, found out without doing it.

What a job's upstreams would make of it is asked by the job, where it declares an inspector.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from worker.api import ConfigurationError, Inspection, Permanent, WorkerError
from worker.app.command_line import for_job, open_with, settings_of
from worker.app.context import AppContext
from worker.app.jobs import event_reader, known_jobs, named
from worker.events import Event, ForJob, UnknownType, utc_text
from worker.settings import Events, Genesys, Handlers, Settings

NOT_ASKED = "nothing is asked live for this job"

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

    note: str | None = None
    problem: str | None = None
    """Why it would not be handled."""

    @property
    def passed(self) -> bool:
        """Whether it would be handled, and without leaving anything out."""
        return self.problem is None and (self.inspection is None or self.inspection.complete)

    def as_dict(self) -> dict[str, Any]:
        """Return it for machines."""
        plain = asdict(replace(self, inspection=None))
        del plain["inspection"]
        report = self.inspection.report if self.inspection else None
        return plain | {"report": report, "passed": self.passed}


class Inspectors:
    """The inspectors of the jobs, each opened when an event is the first of its job."""

    def __init__(self, context: AppContext, files: Mapping[str, Path]) -> None:
        """`files`: answers in place of those of the upstreams; empty: these are asked."""
        self._context = context
        self._files = files
        self._opened: dict[str, Inspector] = {}

    async def of(self, job: str) -> Inspector | None:
        """Return the inspector of a job; None where it declares none."""
        place = known_jobs()[job].inspector
        if place is not None and job not in self._opened:
            context, settings = for_job(self._context, job), self._context.settings.jobs[job]
            self._opened[job] = await named(place, job)(context, settings, self._files)
        return self._opened.get(job)


async def inspected(
    bodies: Sequence[str], *, files: Mapping[str, Path], live: bool
) -> list[Finding]:
    """Return what is found of each message. `files`: the answers of upstreams, by their option."""
    groups = [job.settings for job in known_jobs().values() if job.inspector]
    settings = settings_of(Events, Genesys, Handlers, *groups)
    async with open_with(settings) as context:
        inspectors = Inspectors(context, files) if files or live else None
        return [one for body in bodies for one in await findings(body, settings, inspectors)]


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
    states = settings.job_states()
    return [replace(await _finding(one, inspectors), state=states[one.job]) for one in events]


async def _finding(one: ForJob, inspectors: Inspectors | None) -> Finding:
    event, effects = one.event, known_jobs()[one.job].effects
    found = Finding(
        event=type(event).__name__,
        job=one.job,
        facts=_facts(event),
        effects=effects(event) if effects else {},
    )
    if inspectors is None:
        return found
    inspect = await inspectors.of(one.job)
    if inspect is None:
        return replace(found, note=NOT_ASKED)
    try:
        inspection = await inspect(event)
    except ConfigurationError:
        raise
    except WorkerError as error:
        return replace(found, problem=str(error))
    return replace(found, inspection=inspection, problem=inspection.problem)


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

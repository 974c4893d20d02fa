"""Bodies read as events, by globs that a test gives in place of the settings."""

from dataclasses import asdict, dataclass

from worker.app.jobs import declarations, wanted_events
from worker.events.origin import Event
from worker.events.reading import EventReader, UnknownType
from worker.jobs.attributes import AttributesSettings
from worker.jobs.forward import ForwardSettings
from worker.jobs.reports import ReportSettings
from worker.jobs.sentiment import SentimentSettings
from worker.jobs.voice import VoiceSettings
from worker.jobs.workflow import WorkflowSettings


@dataclass(frozen=True)
class Events:
    """The `detail-type`s of each event."""

    voice_types: tuple[str, ...] = VoiceSettings().events_voice_types
    ended_types: tuple[str, ...] = WorkflowSettings().events_ended_types
    attributes_types: tuple[str, ...] = AttributesSettings().events_attributes_types
    chat_types: tuple[str, ...] = SentimentSettings().events_chat_types
    report_types: tuple[str, ...] = ReportSettings().events_report_types


REQUIRED = {name: job.requires for name, job in declarations().items()}
"""Each job with the settings without which it is off."""


def reader(types: Events = Events(), organization_id: str | None = None) -> EventReader:
    """Return what reads events of these types."""
    globs = {f"events_{name}": value for name, value in asdict(types).items()}
    groups = {
        "voice": VoiceSettings(events_voice_types=globs["events_voice_types"]),
        "workflow": WorkflowSettings(events_ended_types=globs["events_ended_types"]),
        "attributes": AttributesSettings(events_attributes_types=globs["events_attributes_types"]),
        "sentiment": SentimentSettings(events_chat_types=globs["events_chat_types"]),
        "reports": ReportSettings(events_report_types=globs["events_report_types"]),
        "forward": ForwardSettings(),
    }
    return EventReader(wanted_events(groups), organization_id)


def open_events(
    body: str | bytes,
    types: Events = Events(),
    organization_id: str | None = None,
) -> tuple[Event, ...] | UnknownType:
    """Read a body as its events, whatever job each is for."""
    events = reader(types, organization_id)(body)
    return events if isinstance(events, UnknownType) else tuple(one.event for one in events)

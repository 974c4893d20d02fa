"""The whole worker on emulators, verified at the end; and what tests and jobs may import of it.

A job's `demo` module imports this and `worker.api` alone, be it in the box or of an own package:
what it sends, as it stands in an SQS message, and what must come of it. Also here is what every
queue holds besides: events that no job wants, and messages that cannot be read.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import Any, Literal, Protocol
from uuid import UUID

import orjson

from worker.demo.environment import (
    FLOW_ID,
    FORWARD_BUCKET,
    LEDGER_TABLE,
    REPORT_BUCKET,
    STATE_MACHINE_ARN,
    TABLE,
    Environment,
    make_fixtures,
    open_environment,
    put_events,
)
from worker.demo.process import WorkerFailed, WorkerProcess, run_command
from worker.emulators.genesys import (
    Ended,
    Named,
    Spoken,
    a_conversation,
    a_flow,
    a_transcript,
)
from worker.emulators.genesys.history import History, MadeUp, Past, as_platform

__all__ = [
    "FLOW_ID",
    "FORWARD_BUCKET",
    "LEDGER_TABLE",
    "REPORT_BUCKET",
    "STATE_MACHINE_ARN",
    "TABLE",
    "Demo",
    "Effects",
    "Ended",
    "Environment",
    "Fault",
    "History",
    "MadeUp",
    "Named",
    "Past",
    "Planned",
    "Spoken",
    "WorkerFailed",
    "WorkerProcess",
    "a_conversation",
    "a_flow",
    "a_transcript",
    "an_id",
    "as_platform",
    "envelope",
    "iso",
    "leg",
    "make_fixtures",
    "open_environment",
    "platform",
    "put_events",
    "run_command",
]


Disposition = Literal["done", "dead-lettered"]


@dataclass(frozen=True, slots=True)
class Planned:
    """One message to be sent."""

    kind: str
    """Row of the final table."""

    body: str
    disposition: Disposition = "done"
    queue_of: str | None = None
    """The job on whose queue it is put, whatever its type. None: the rules of the bus say where."""


@dataclass(frozen=True, slots=True)
class Effects:
    """What one sink holds, against what it must hold."""

    sink: str
    expected: int
    found: int
    wrong: Sequence[str] = field(default=())
    """Ids of effects that are missing, there twice, or not as they should be."""

    best_effort: str | None = None
    """The label under which the worker counts those that it let go: none does in calm weather."""

    @property
    def right(self) -> bool:
        """Whether each effect is there exactly once."""
        return self.expected == self.found and not self.wrong


@dataclass(frozen=True, slots=True)
class Fault:
    """Something done to an upstream while the messages flow."""

    name: str
    seconds: float
    begin: Callable[[Environment], None]
    end: Callable[[Environment], None]
    repair: Callable[[Environment], Awaitable[None]] | None = None
    """What an operator does afterwards. Not done where the emulators run alone."""


class Demo(Protocol):
    """A job of the worker, as the demo sees it."""

    def prepare(self, environment: Environment) -> Awaitable[None] | None:
        """Fill the emulators with what the job asks for, and `environment.extra` with its settings.

        It may come again, and finds then what it made before.
        """

    def traffic(self) -> list[Planned]:
        """Return the messages; their order is shuffled among all jobs."""

    def late_duplicates(self) -> list[Planned]:
        """Return messages for when all others are done: copies and older ones, without effect."""

    def faults(self) -> list[Fault]:
        """Return what is to go wrong on the way."""

    def effects(self, environment: Environment) -> Awaitable[list[Effects]]:
        """Look what is there."""


SOURCE = "aws.partner/genesys.com/cloud/0a900000-0000-4000-8000-000000000001/demo"


def an_id(random: Random) -> str:
    """Return a UUID of that randomness."""
    return str(UUID(int=random.getrandbits(128), version=4))


def iso(moment: datetime) -> str:
    """Return ISO 8601 in UTC with milliseconds, as Genesys writes it."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def envelope(detail_type: str, detail: Mapping[str, Any], *, at: datetime, event_id: str) -> str:
    """Return a whole EventBridge event."""
    return orjson.dumps(
        {
            "version": "0",
            "id": event_id,
            "detail-type": detail_type,
            "source": SOURCE,
            "account": "111122223333",
            "time": iso(at),
            "region": "us-east-1",
            "resources": [],
            "detail": detail,
        }
    ).decode()


def platform(
    topic: str,
    body: Mapping[str, Any],
    *,
    at: datetime,
    event_id: str,
    subject: str | None = None,
) -> str:
    """Return an event as Genesys Cloud sends it; `topic` holds a literal `{id}`.

    `subject`: the id in place of it; None: the body's `conversationId`.
    """
    detail = {
        "topicName": topic.replace("{id}", subject or str(body["conversationId"])),
        "version": "2",
        "eventBody": body,
        "metadata": {"CorrelationId": f"demo-{event_id[:8]}"},
        "timestamp": iso(at),
    }
    return envelope(topic, detail, at=at, event_id=event_id)


def leg(conversation_id: str, participant_id: str, at: datetime, **more: Any) -> dict[str, Any]:
    """Return the `eventBody` of a detail event of one leg, its session named after it."""
    return {
        "eventTime": int(at.timestamp() * 1000),
        "conversationId": conversation_id,
        "participantId": participant_id,
        "sessionId": participant_id,
        "provider": "Edge",
        "direction": "INBOUND",
        **more,
    }


ID = "c0ffee00-0000-4000-8000-000000000001"
POISON = (
    " ",
    "not JSON",
    "[]",
    '{"detail-type":"voice.analytics","detail":{}}',
    '{"detail-type":"voice.analytics","detail":{"conversationId":"../../oauth/clients"}}',
    f'{{"detail-type":"voice.analytics","detail":{{"conversationId":"{ID}","timestamp":"soon"}}}}',
    '{"a":' * 2000,
    '{"detail-type":"voice.analytics","detail":{"sentiment":{"overall":NaN}}}',
)
"""Nothing, no JSON, no object, no id, a hostile id, no time, endless depth, no number."""


AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
MISROUTED = (
    envelope("conversation.end", {"conversationId": ID}, at=AT, event_id=ID),
    envelope(
        "report.due",
        {"name": "misrouted", "interval": "2026-03-01T00:00:00Z/2026-03-02T00:00:00Z"},
        at=AT,
        event_id=ID,
    ),
)
"""Good events of other jobs, as a rule with a wrong target puts them on the queue of voice."""


class InvalidTraffic:
    """Unwanted events are dropped; unreadable and misrouted ones dead-lettered with a reason."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._misrouted: tuple[str, ...] = ()

    def prepare(self, environment: Environment) -> None:
        """Misroute events where there are queues to which they do not belong."""
        self._misrouted = MISROUTED if environment.job_queues else ()

    def traffic(self) -> list[Planned]:
        """Return all kinds."""
        unrouted = [
            Planned("unwanted type", orjson.dumps(_unwanted(number)).decode())
            for number in range(self._count)
        ]
        poison = [Planned("poison", body, disposition="dead-lettered") for body in POISON]
        misrouted = [
            Planned("on the wrong queue", body, disposition="dead-lettered", queue_of="voice")
            for body in self._misrouted
        ]
        return unrouted + poison + misrouted

    def late_duplicates(self) -> list[Planned]:
        """Add nothing."""
        return []

    def faults(self) -> list[Fault]:
        """Break nothing."""
        return []

    async def effects(self, environment: Environment) -> list[Effects]:
        """Find each of them on the dead-letter queue, once, with a reason."""
        expected = sorted(POISON + self._misrouted)
        dead_letters = environment.sqs.messages(environment.dead_letter_url)
        bodies = sorted(message.sent.body for message in dead_letters)
        silent = [m.id for m in dead_letters if "worker.failure" not in m.sent.attributes]
        wrong = silent if bodies == expected else ["other bodies"]
        return [Effects("dead letters with reason", len(expected), len(dead_letters), wrong)]


def _unwanted(number: int) -> dict[str, object]:
    return {
        "id": f"unwanted-{number}",
        "detail-type": "v2.detail.events.conversation.{id}.user.start",
        "time": "2026-03-02T10:15:31Z",
        "detail": {"eventBody": {"conversationId": "c0ffee00-0000-4000-8000-000000000001"}},
    }

"""What every queue also holds: events that no job wants, and messages that cannot be read."""

from datetime import UTC, datetime

import orjson

from worker.demo.environment import Environment
from worker.demo.traffic import Effects, Fault, Planned, envelope

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
        letters = environment.sqs.messages(environment.dead_letter_url)
        bodies = sorted(message.sent.body for message in letters)
        silent = [m.id for m in letters if "worker.failure" not in m.sent.attributes]
        wrong = silent if bodies == expected else ["other bodies"]
        return [Effects("dead letters with reason", len(expected), len(letters), wrong)]


def _unwanted(number: int) -> dict[str, object]:
    return {
        "id": f"unwanted-{number}",
        "detail-type": "v2.detail.events.conversation.{id}.user.start",
        "time": "2026-03-02T10:15:31Z",
        "detail": {"eventBody": {"conversationId": "c0ffee00-0000-4000-8000-000000000001"}},
    }

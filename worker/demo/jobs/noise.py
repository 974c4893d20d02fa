"""What every queue also holds: events nobody wants, and messages nobody can read."""

import orjson

from worker.demo.jobs.plan import Effects, Planned, Trouble
from worker.demo.stage import Stage

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


class Noise:
    """Unwanted events are dropped, unreadable ones parked with their reason."""

    def __init__(self, count: int) -> None:
        self._count = count

    def prepare(self, stage: Stage) -> None:
        """Need nothing."""

    def traffic(self) -> list[Planned]:
        """Return both kinds."""
        wanted_by_nobody = [
            Planned("unwanted type", orjson.dumps(_unwanted(number)).decode())
            for number in range(self._count)
        ]
        poison = [Planned("poison", body, fate="parked") for body in POISON]
        return wanted_by_nobody + poison

    def afterthoughts(self) -> list[Planned]:
        """Add nothing."""
        return []

    def troubles(self) -> list[Trouble]:
        """Break nothing."""
        return []

    async def effects(self, stage: Stage) -> list[Effects]:
        """Find each poison on the dead-letter queue, once, with a reason."""
        parked = stage.sqs.messages(stage.dead_letter_url)
        bodies = sorted(message.sent.body for message in parked)
        silent = [m.id for m in parked if "worker.failure" not in m.sent.attributes]
        wrong = silent if bodies == sorted(POISON) else ["other bodies"]
        return [Effects("dead letters with reason", len(POISON), len(parked), wrong)]


def _unwanted(number: int) -> dict[str, object]:
    return {
        "id": f"unwanted-{number}",
        "detail-type": "v2.detail.events.conversation.{id}.user.start",
        "time": "2026-03-02T10:15:31Z",
        "detail": {"eventBody": {"conversationId": "c0ffee00-0000-4000-8000-000000000001"}},
    }

"""The events that are sent: one Genesys voice score each, of about a kilobyte."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson

from worker.demo import platform

START = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
TOPIC = "v2.speechandtextanalytics.conversation.{id}.sentiment"


def event_id(number: int) -> str:
    """Return the id of an event, by which a contestant's handler knows its number."""
    return f"00000000-0000-4000-8000-{number:012}"


def event(number: int) -> str:
    """Return one event as EventBridge puts it on the queue."""
    at = START + timedelta(seconds=number)
    body = {
        "conversationId": f"10000000-0000-4000-8000-{number:012}",
        "communicationId": f"20000000-0000-4000-8000-{number:012}",
        "sentimentOverallScore": (number % 200 - 100) / 100,
        "sentimentTrend": 0.25,
        "participants": [
            {"participantId": f"3000000{place}-0000-4000-9000-{number:012}", "sentimentScore": 0.5}
            for place in range(3)
        ],
    }
    return platform(TOPIC, body, at=at, event_id=event_id(number))


def write_events(path: Path, count: int) -> None:
    """Write so many events, one a line, as a producer reads them."""
    path.write_text("\n".join(event(number) for number in range(count)))


def write_messages(path: Path, count: int) -> None:
    """Write so many messages as the server takes them: the event is the body, as from a rule."""
    lines = [orjson.dumps([event(number), {}]) for number in range(count)]
    path.write_bytes(b"\n".join(lines))

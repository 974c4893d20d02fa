"""Whatever comes, no metric grows by it: labels are from closed sets."""

from random import Random

import pytest
from prometheus_client import generate_latest

from tests.support.factories import a_reference_body, a_voice_scored
from worker.demo import an_id, envelope
from worker.errors import Permanent, Transient
from worker.events.origin import Result
from worker.jobs.voice.demo import START
from worker.telemetry.metrics import REGISTRY

pytestmark = pytest.mark.looptime  # all that is called is in the test's loop

FLOOD = 2000


def series():
    lines = generate_latest(REGISTRY).decode().splitlines()
    return {line.rsplit(" ", 1)[0] for line in lines if not line.startswith("#")}


def of_each_kind(random):
    """Return a type no job wants, two that cannot be read, and one that the handler gets."""
    text = f"{random.random()}-{an_id(random)}"
    return [
        envelope(f"v2.{text}.{random.randrange(10**9)}", {}, at=START, event_id=an_id(random)),
        f"not JSON {text}",
        envelope("voice.analytics", {"conversationId": text}, at=START, event_id=text),
        a_reference_body(a_voice_scored()).decode(),
    ]


async def test_no_series_is_born_of_types_ids_and_texts_of_events(sqs, queue, start_intake):
    random = Random(33)

    async def handler(event):
        text = f"{random.random()} {event.conversation_id}"
        if random.random() < 0.3:
            raise Permanent(text)
        if random.random() < 0.1:
            raise Transient(text, retry_after=0)
        return Result.OK

    async def flood(count):
        for _ in range(count):
            for body in of_each_kind(random):
                sqs.send(queue, body)
        await sqs.wait_until(lambda: sum(sqs.depth(queue)) == 0, 60)

    async with start_intake(handler, EVENTS_UNROUTED="park", SQS_PARK_LIMIT=10**6):
        await flood(20)
        known = series()
        await flood(FLOOD // 4)

    assert series() == known

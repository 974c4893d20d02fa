"""The demo: an event lies on the queue of each job that it interests, callers have own numbers."""

from random import Random

import pytest

from tests.support.factories import a_body
from worker.app.jobs import BUILT_IN
from worker.demo import POISON
from worker.demo.environment import queues_of
from worker.jobs.attributes.demo import AttributesJob
from worker.jobs.voice.demo import VoiceJob

MANY = 20_000
"""Of ten million numbers, so many drawn at random hold some twenty pairs."""

QUEUES = {job: f"http://sqs/{job}" for job in BUILT_IN}


@pytest.mark.parametrize(
    ("detail_type", "jobs"),
    [
        ("v2.detail.events.conversation.{id}.customer.end", ["workflow", "sentiment"]),
        ("v2.detail.events.conversation.{id}.customer.start", ["attributes"]),
        ("voice.analytics", ["voice"]),
        ("report.due", ["reports"]),
    ],
)
def test_an_event_lies_on_the_queues_of_all_its_jobs(detail_type, jobs):
    body = a_body(detail_type, {}).decode()

    assert queues_of(body, QUEUES) == [QUEUES[job] for job in jobs]


@pytest.mark.parametrize("body", [*POISON, a_body("of.another", {}).decode(), '{"detail-type":[]}'])
def test_what_no_rule_takes_lies_on_one_queue_always_the_same(body):
    [url] = queues_of(body, QUEUES)

    assert url in QUEUES.values()
    assert queues_of(body, QUEUES) == [url]


def test_no_two_made_up_callers_have_one_number():
    scores, began = VoiceJob(MANY, Random(1))._scores, AttributesJob(MANY, Random(1))._began

    assert len({score.phone for score in scores}) == len({one.phone for one in began}) == MANY

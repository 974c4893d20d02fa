"""VOICE_FROM: what brings a voice score, and what the job wants and needs for it."""

import json
from pathlib import Path

import pytest

from worker.app.jobs import catalogue, known_jobs, load_settings, reader_of
from worker.errors import ConfigurationError
from worker.jobs.voice import ENDED, SENTIMENT, WRAPPED_UP

SAMPLES = Path(__file__).parents[1] / "samples" / "events" / "platform"
PHONE = "+15550100001"
GIVEN = {
    "SQS_QUEUE_URL": "http://127.0.0.1:9/1/q",
    "GENESYS_CLIENT_ID": "client",
    "GENESYS_CLIENT_SECRET": "secret",
    "GENESYS_ACTION_ID": "custom_-_1",
    "DYNAMODB_TABLE": "table",
}


def of(source, **environ):
    """What the job declares under these settings."""
    settings = load_settings({**GIVEN, "VOICE_FROM": source, **environ})
    return next(one for one in catalogue(settings.jobs) if one["name"] == "voice")


def read(kind="customer.end", **body):
    """The event that `ended` makes of an end of a call, changed so; None: it is not wanted."""
    event = json.loads((SAMPLES / "customer_end_voice.json").read_text())
    event["detail-type"] = ENDED.replace("customer.end", kind)
    event["detail"]["eventBody"] |= body
    globs = f"v2.detail.events.conversation.*.{kind}"
    settings = load_settings({**GIVEN, "VOICE_FROM": "ended", "EVENTS_VOICE_TYPES": globs})
    found = reader_of(known_jobs()["voice"], settings)(json.dumps(event))
    return found[0].event if isinstance(found, tuple) else None


def test_a_score_comes_by_the_sentiment_topic_unless_it_is_set_otherwise():
    job = of("sentiment")

    assert job["topics"] == [SENTIMENT]
    assert job["needs"] == ["dynamodb"]
    assert not any("speechandtextanalytics" in call for call in job["permissions"])


def test_with_ended_the_job_wants_ends_of_calls_and_needs_speech_analytics():
    job = of("ended")

    assert job["topics"] == [ENDED]
    assert job["detail_types"][0] == "v2.detail.events.conversation.*.customer.end"
    assert job["needs"] == ["dynamodb", "login", "speech"]
    assert any("speechandtextanalytics" in call for call in job["permissions"])


def test_types_that_are_set_stay_and_decide_the_topic():
    acw = "v2.detail.events.conversation.*.acw"

    job = of("ended", EVENTS_VOICE_TYPES=acw)

    assert (job["detail_types"], job["topics"]) == ([acw], [WRAPPED_UP])


def test_another_source_is_a_bad_setting():
    with pytest.raises(ConfigurationError, match="VOICE_FROM"):
        of("transcript")


@pytest.mark.parametrize(
    ("kind", "body", "number"),
    [
        ("customer.end", {}, PHONE),
        ("customer.end", {"direction": "OUTBOUND", "dnis": "tel:+15550100777"}, "+15550100777"),
        ("acw", {}, None),
    ],
)
def test_the_end_of_a_call_has_the_customers_number_where_the_leg_is_the_customers(
    kind, body, number
):
    event = read(kind, **body)

    assert (event.is_scored, event.is_call, event.overall) == (False, True, None)
    assert event.phone_number == number


@pytest.mark.parametrize("medium", ["MESSAGE", "EMAIL", "CHAT", None])
def test_the_end_of_anything_but_a_call_is_not_wanted(medium):
    assert read(mediaType=medium) is None

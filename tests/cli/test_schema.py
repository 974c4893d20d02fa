"""`worker schema`: settings and events as JSON Schema."""

import json

import msgspec
import orjson
import pytest
from jsonschema import Draft202012Validator

from tests.support.factories import a_chat_scored, a_report_due, a_voice_scored
from worker.app.jobs import describe, known_jobs
from worker.settings.describe import REQUIRED


@pytest.fixture
def document(worker):
    return worker("schema").json


def schema_of(document, job):
    [event] = document["events"][job]
    return event["schema"]


def test_every_setting_has_its_schema(document):
    rows = describe({})

    settings = document["settings"]
    Draft202012Validator.check_schema(settings)
    assert set(settings["properties"]) == {row.name for row in rows}
    assert settings["required"] == [row.name for row in rows if row.default == REQUIRED]
    assert settings["properties"]["SQS_CONCURRENCY"]["type"] == "integer"


@pytest.mark.parametrize(
    ("job", "event"),
    [("voice", a_voice_scored), ("sentiment", a_chat_scored), ("reports", a_report_due)],
)
def test_the_events_of_a_job_fit_their_schema(document, job, event):
    schema = schema_of(document, job)

    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    there = orjson.loads(msgspec.json.encode(event()))
    assert list(validator.iter_errors(there)) == []
    assert list(validator.iter_errors({**there, "origin": None})) != []


def test_every_job_and_its_detail_types_are_listed(document):
    assert list(document["events"]) == list(known_jobs())
    assert document["events"]["reports"][0]["detailTypes"] == ["report.due", "Scheduled Event"]


def test_what_is_put_on_a_bus_has_the_schema_that_its_job_declares(worker):
    puts = worker("schema", "--job", "sentiment").json["puts"]

    assert {one["detailType"] for one in puts} == {
        "ChatSentimentAnalysis",
        "ChatSentimentEscalation",
    }
    assert all("forwardingId" in json.dumps(one["schema"]) for one in puts)


def test_one_job_has_its_own_settings_only(worker):
    found = worker("schema", "--job", "workflow").json

    assert list(found["events"]) == ["workflow"]
    assert "STEP_FUNCTIONS_ARN" in found["settings"]["properties"]
    assert "SQS_QUEUE_URL" not in found["settings"]["properties"]


def test_a_job_that_there_is_not_is_a_wrong_argument(worker):
    assert worker("schema", "--job", "voise").code == 2

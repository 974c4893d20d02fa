"""`worker schema`: settings and events as JSON Schema, and all as AsyncAPI."""

import gzip
import json
from pathlib import Path

import msgspec
import orjson
import pytest
from jsonschema import Draft7Validator, Draft202012Validator

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


SAMPLES = Path(__file__).parents[1] / "samples"
ASYNCAPI = Draft7Validator(
    json.loads(gzip.decompress((SAMPLES / "asyncapi" / "3.0.0.json.gz").read_bytes()))
)
"""AsyncAPI's own schema of its documents; the NOTICE beside it says where it is from."""


@pytest.fixture
def asyncapi(worker):
    return worker("schema", "--asyncapi").json


def target_of(document, reference):
    part = document
    for key in reference.removeprefix("#/").split("/"):
        part = part[key]
    return part


def references_in(part):
    if isinstance(part, list):
        part = dict(enumerate(part))
    if isinstance(part, dict):
        for key, value in part.items():
            yield from [value] if key == "$ref" else references_in(value)


def test_the_asyncapi_document_fits_asyncapis_own_schema(asyncapi):
    assert list(ASYNCAPI.iter_errors(asyncapi)) == []
    assert list(ASYNCAPI.iter_errors({**asyncapi, "operations": {"x": {"action": "take"}}})) != []


def test_every_reference_in_the_asyncapi_document_leads_somewhere(asyncapi):
    found = set(references_in(asyncapi))

    assert len(found) > 10
    assert all(target_of(asyncapi, reference) for reference in found)


def test_every_job_receives_and_what_is_put_on_a_bus_is_sent(asyncapi, document):
    names = set(asyncapi["operations"])

    assert {f"receive.{job}" for job in known_jobs()} <= names
    assert names - {f"receive.{job}" for job in known_jobs()} == {"send.sentiment", "send.reports"}
    assert set(asyncapi["channels"]["bus"]["messages"]) == {
        put["detailType"] for put in document["puts"]
    }


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        ("platform/sta_sentiment.json", "VoiceScored"),
        ("reference/chat_sentiment.json", "ChatScored"),
    ],
)
def test_a_recorded_event_fits_its_message(asyncapi, sample, message):
    event = json.loads((SAMPLES / "events" / sample).read_text())
    payload = asyncapi["components"]["messages"][message]["payload"]
    validator = Draft7Validator({**asyncapi, **payload})

    assert list(validator.iter_errors(event)) == []
    assert not validator.is_valid({**event, "detail-type": "v2.users.presence"})


def test_what_is_put_on_a_bus_is_an_event_with_its_detail(asyncapi):
    payload = asyncapi["components"]["messages"]["report.ready"]["payload"]
    validator = Draft7Validator({**asyncapi, **payload})
    event = {"detail-type": "report.ready", "source": "genesys.report.writer", "detail": {}}

    assert any("reportId" in error.message for error in validator.iter_errors(event))

"""Payloads of chat sentiment keep to the JSON Schema that receivers are given."""

from importlib.resources import files

import jsonschema
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.factories import a_chat_scored
from worker.clients.genesys.transcripts import sentiment_of
from worker.jobs.sentiment.rules import SentimentRules, payload_of

SCHEMA = orjson.loads(
    files("worker.jobs.sentiment").joinpath("schemas/chat_sentiment.json").read_bytes()
)
CHECK = jsonschema.Draft202012Validator(SCHEMA)

numbers = st.one_of(st.integers(-3, 3), st.floats(allow_nan=False, allow_infinity=False))


def a_payload(positive=0.1, neutral=0.2, negative=0.7, confidence=0.9):
    sentiment = sentiment_of(
        positive=positive, neutral=neutral, negative=negative, confidence=confidence
    )
    # As it goes over the wire.
    return orjson.loads(orjson.dumps(payload_of(a_chat_scored(), sentiment, SentimentRules())))


def test_the_schema_is_itself_valid():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


@given(numbers, numbers, numbers, numbers)
def test_every_payload_validates(positive, neutral, negative, confidence):
    CHECK.validate(a_payload(positive, neutral, negative, confidence))


@pytest.mark.parametrize(
    "spoil",
    [
        lambda p: p.pop("forwardingId"),
        lambda p: p.update(extra=1),
        lambda p: p.update(conversationId="unknown"),
        lambda p: p.update(timestamp="2026-03-02T12:00:00+00:00"),
        lambda p: p["sentimentMatrix"].update(polarity="mixed"),
        lambda p: p["sentimentMatrix"].update(negative=1.0001),
        lambda p: p["sentimentMatrix"].update(confidence="0.9"),
        lambda p: p["sentimentMatrix"].pop("neutral"),
    ],
)
def test_a_spoilt_payload_does_not(spoil):
    payload = a_payload()
    spoil(payload)

    assert not CHECK.is_valid(payload)

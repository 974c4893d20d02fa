"""The sentiment of a chat: judged exactly, written with four decimals, the same every time."""

from decimal import Decimal
from uuid import UUID

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.support.factories import NOON, a_chat_scored, an_id, an_origin
from worker.clients.genesys.transcripts import Polarity, exact, sentiment_of
from worker.errors import Permanent
from worker.jobs.sentiment.rules import (
    SentimentRules,
    alert_note,
    crm_note,
    derived_id,
    forwarding_id,
    payload_of,
    rounded,
    status_attributes,
)

RULES = SentimentRules()
IDENTITY = "chat.sentiment|one"

numbers = st.one_of(
    st.integers(-3, 3), st.floats(-3, 3), st.floats(allow_nan=False, allow_infinity=False)
)


def a_sentiment(positive=0.1, neutral=0.2, negative=0.7, confidence=0.9):
    return sentiment_of(
        positive=positive, neutral=neutral, negative=negative, confidence=confidence
    )


def a_payload(sentiment=None, **over):
    event = a_chat_scored(origin=an_origin(identity=IDENTITY, occurred_at=NOON), **over)
    return payload_of(event, sentiment or a_sentiment(), RULES)


@pytest.mark.parametrize(
    ("shares", "polarity"),
    [
        ((0.5, 0.3, 0.2), Polarity.POSITIVE),
        ((0.2, 0.3, 0.5), Polarity.NEGATIVE),
        ((0.2, 0.5, 0.3), Polarity.NEUTRAL),
        ((0.4, 0.2, 0.4), Polarity.NEUTRAL),
        ((0.4, 0.4, 0.2), Polarity.NEUTRAL),
        ((0.2, 0.4, 0.4), Polarity.NEUTRAL),
        ((0, 0, 0), Polarity.NEUTRAL),
        ((0.40001, 0.2, 0.4), Polarity.POSITIVE),
        ((7, 0.2, 1), Polarity.NEUTRAL),
    ],
)
def test_the_polarity_is_the_largest_share_and_a_tie_is_neutral(shares, polarity):
    assert a_sentiment(*shares).polarity() is polarity


@pytest.mark.parametrize(
    ("confidence", "admitted"),
    [(0.75, True), (0.7499999, False), (1, True), (0, False), (None, False), (9, True)],
)
def test_a_confidence_below_the_least_is_not_admitted(confidence, admitted):
    assert RULES.admit(a_sentiment(confidence=confidence)) is admitted


@pytest.mark.parametrize(
    ("negative", "escalated"), [(0.8, False), (0.80004, True), (0.79999, False), (1, True)]
)
def test_a_negative_share_above_the_threshold_escalates(negative, escalated):
    assert RULES.escalate(a_sentiment(negative=negative)) is escalated


@pytest.mark.parametrize(
    ("given_", "written"),
    [
        (0.00005, 0.0001),
        (0.00015, 0.0002),
        (0.00025, 0.0003),
        (0.878849, 0.8788),
        (0.87885, 0.8789),
        (-0.3, 0.0),
        (1.7, 1.0),
        (1, 1.0),
        (5e-324, 0.0),
    ],
)
def test_shares_are_clamped_and_halves_are_rounded_up(given_, written):
    payload = a_payload(a_sentiment(negative=given_))

    assert payload["sentimentMatrix"]["negative"] == written


@pytest.mark.parametrize("value", [None, "0.5", True, float("nan"), float("inf"), [], {}])
def test_what_is_no_number_is_permanent_and_named_without_its_value(value):
    with pytest.raises(Permanent) as caught:
        a_sentiment(positive=value)

    assert caught.value.reason == "sentiment positive: not a number"


def test_the_payload_has_exactly_these_fields():
    conversation = an_id()

    payload = a_payload(a_sentiment(0.0512, 0.07, 0.878849, 0.91237), conversation_id=conversation)

    assert payload == {
        "conversationId": conversation,
        "sentimentMatrix": {
            "polarity": "negative",
            "confidence": 0.9124,
            "positive": 0.0512,
            "neutral": 0.07,
            "negative": 0.8788,
        },
        "escalationThreshold": 0.8,
        "forwardingId": forwarding_id(a_chat_scored(origin=an_origin(identity=IDENTITY))),
        "timestamp": "2026-03-02T12:00:00.000Z",
    }


def test_a_sentiment_without_confidence_is_never_written():
    with pytest.raises(Permanent):
        a_payload(a_sentiment(confidence=None))


def test_ids_derive_from_the_dedupe_key_and_from_nothing_else():
    event = a_chat_scored(origin=an_origin(identity=IDENTITY))
    resent = replace(event, origin=an_origin(identity=IDENTITY))
    another = a_chat_scored()

    assert forwarding_id(event) == forwarding_id(resent) != forwarding_id(another)
    assert UUID(forwarding_id(event)).version == 5


def test_ids_never_change_between_versions():
    event = a_chat_scored(origin=an_origin(identity=IDENTITY))

    assert forwarding_id(event) == "1944b04e-cad7-54ab-a29e-88bf23691d5e"
    assert derived_id(event, "audit") == "84c43d4e-f898-5fc0-870a-91efc82d7d0c"


def test_each_effect_of_an_event_has_an_id_of_its_own():
    event = a_chat_scored()

    assert len({forwarding_id(event), derived_id(event, "audit"), derived_id(event, "alert")}) == 3


def test_the_conversation_is_sent_in_strings_of_the_event():
    event = a_chat_scored(origin=an_origin(occurred_at=NOON))

    assert status_attributes(event) == {
        "sentimentForwardingId": forwarding_id(event),
        "forwardingStatus": "queued",
        "updatedAt": "2026-03-02T12:00:00.000Z",
    }


def test_webhooks_carry_the_payload_and_no_time_but_the_events():
    payload = a_payload()

    assert crm_note(payload) == {
        "event": "sentiment.forwarded",
        "data": payload,
        "syncTimestamp": "2026-03-02T12:00:00.000Z",
    }
    assert alert_note(payload) == {"event": "sentiment.escalated", "data": payload}


@given(numbers, numbers, numbers, numbers)
@example(0.1 + 0.2, 1 / 3, 0.00005, 1e300)
def test_any_numbers_make_a_payload_within_its_bounds_and_equal_on_repeats(a, b, c, d):
    payload = a_payload(a_sentiment(a, b, c, d), conversation_id=IDENTITY)
    matrix = dict(payload["sentimentMatrix"])

    assert matrix.pop("polarity") in {"positive", "neutral", "negative"}
    assert all(0 <= share <= 1 and round(share, 4) == share for share in matrix.values())
    again = a_payload(a_sentiment(a, b, c, d), conversation_id=IDENTITY)
    assert orjson.dumps(payload) == orjson.dumps(again)


@given(st.decimals(0, 1, allow_nan=False, places=9))
def test_rounding_moves_a_share_by_half_of_the_last_decimal_at_most(share):
    assert abs(Decimal(repr(rounded(share))) - share) <= Decimal("0.00005")


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_an_exact_number_reads_back_as_its_float(value):
    number = exact(value)

    assert number is not None
    assert float(number) == value

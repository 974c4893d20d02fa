"""Where the reader is meant to differ from the one before it (see `test_against_oracle`)."""

from decimal import Decimal

import pytest

from tests.oracle.normaliser import open_events as open_as_before
from tests.support.factories import a_body, a_leg_body, an_id
from tests.support.reading import Events, open_events
from worker.errors import Permanent

TYPES = Events()
STA = "v2.speechandtextanalytics.conversation.{id}.sentiment"
END = "v2.detail.events.conversation.{id}.customer.end"


def scored(score):
    body = a_body(STA, {"eventBody": {"conversationId": an_id(), "sentimentOverallScore": "SCORE"}})
    return body.replace(b'"SCORE"', score)


def overall(score):
    (event,) = open_events(scored(score), TYPES)
    return event.overall


def refusal(read, body):
    with pytest.raises(Permanent) as caught:
        read(body, TYPES)
    return caught.value.reason


@pytest.mark.parametrize(
    "written",
    [b"0.1234567890123456789", b"-0.30000000000000004", b"-1", b"1e-300"],
)
def test_a_number_is_what_was_written_and_was_never_a_float(written):
    assert overall(written) == Decimal(written.decode())


def test_a_number_of_more_digits_than_any_store_keeps_is_rounded_to_38():
    assert overall(b"0." + b"1" * 60) == Decimal("0." + "1" * 38)


@pytest.mark.parametrize(
    "written", [b"1e-400", b"-1e-999999999", b"1e-" + b"9" * 30, b"0." + b"0" * 500 + b"1"]
)
def test_a_number_below_all_doubles_is_nothing_as_before(written):
    assert overall(written) == 0


HUGE = [b"1e999", b"-1e999999999", b"1e" + b"9" * 30, b"9" * 400, b"9" * 400 + b".5"]


@pytest.mark.parametrize("huge", HUGE, ids=range(5))
def test_a_number_that_no_double_holds_is_refused_by_the_name_of_its_field(huge):
    assert refusal(open_events, scored(huge)) == (
        "detail.eventBody.sentimentOverallScore: not finite"
    )
    assert refusal(open_as_before, scored(huge)) == "body: not JSON"


def test_an_integer_of_thousands_of_digits_in_a_field_that_is_read_is_no_json_as_before():
    for read in (open_events, open_as_before):
        assert refusal(read, scored(b"9" * 5000)) == "body: not JSON"


@pytest.mark.parametrize("huge", [*HUGE, b"9" * 5000], ids=range(6))
def test_a_number_that_no_double_holds_refuses_nothing_in_a_field_that_is_not_needed(huge):
    body = a_leg_body(END, mediaType="VOICE", novelty="HUGE").replace(b'"HUGE"', huge)

    assert isinstance(open_events(body, TYPES), tuple)
    assert refusal(open_as_before, body) == "body: not JSON"


def test_a_huge_number_for_a_time_is_passed_over_for_the_time_of_the_topic():
    body = a_leg_body(END, eventTime="HUGE").replace(b'"HUGE"', b"9" * 400)

    (event,) = open_events(body, TYPES)
    assert event.origin.occurred_at.isoformat() == "2026-03-02T12:00:01.500000+00:00"


@pytest.mark.parametrize("depth", [100, 500])
def test_depth_that_no_event_has_is_skipped_where_it_is_not_needed(depth):
    body = a_leg_body(END, mediaType="VOICE", novelty="DEEP").replace(
        b'"DEEP"', b"[" * depth + b"]" * depth
    )

    assert isinstance(open_events(body, TYPES), tuple)

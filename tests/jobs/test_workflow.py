"""What a workflow is started with, and when its details are settled."""

import re
from datetime import timedelta

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.factories import NOON, a_conversation_ended, an_id, an_origin
from worker.errors import NotYet, Permanent
from worker.jobs.workflow.executions import (
    MAX_INPUT_BYTES,
    DetailsStatus,
    details_status,
    execution_of,
)
from worker.resilience.retry import LEAST_GAP_SECONDS, seconds_to_next_poll

CONVERSATION = an_id()
STEPS = ("fetch_crm_contact", "analyze_sentiment")
ENDED = {"conversationId": "1", "conversationEnd": "2026-03-02T12:00:00.000Z"}
LIVE = {"conversationId": "1"}


def an_execution(event=None, details=ENDED, status=DetailsStatus.COMPLETE):
    return execution_of(event or a_conversation_ended(), details, status=status, steps=STEPS)


def name_of(conversation_id=CONVERSATION, details=ENDED, *, known=True, **origin):
    event = a_conversation_ended(conversation_id=conversation_id, origin=an_origin(**origin))
    return an_execution(
        event, details, DetailsStatus.COMPLETE if known else DetailsStatus.PARTIAL
    ).name


def test_the_name_is_conversation_and_eight_digits_of_its_end():
    assert re.fullmatch(rf"enrich_{CONVERSATION}_[0-9a-f]{{8}}", name_of())


def test_all_events_of_one_end_have_one_name():
    """A leg that left the conference, and the customer who hung up."""
    assert name_of(occurred_at=NOON - timedelta(minutes=3)) == name_of(occurred_at=NOON)


def test_a_conversation_that_ends_again_has_another_name():
    assert name_of() != name_of(details=ENDED | {"conversationEnd": "2026-03-04T09:00:00.000Z"})


def test_while_its_end_is_not_known_the_name_is_by_the_events_time():
    earlier = NOON - timedelta(minutes=3)

    live, absent, other = (
        name_of(details=details, known=False, occurred_at=at)
        for details, at in ((LIVE, NOON), (None, NOON), (LIVE, earlier))
    )
    assert live == absent != other


def test_two_organizations_with_one_conversation_id_have_two_names():
    assert name_of(organization_id="a") != name_of(organization_id="b")


def test_the_name_is_one_that_step_functions_takes():
    assert re.fullmatch(r"[A-Za-z0-9_-]{1,80}", an_execution().name)


@pytest.mark.parametrize("conversation_id", ["a/b", "a b", "x" * 70, "é"])
def test_an_id_that_cannot_name_an_execution_is_permanent(conversation_id):
    event = a_conversation_ended(conversation_id=conversation_id)

    with pytest.raises(Permanent):
        an_execution(event)


def test_the_input_has_exactly_these_fields():
    event = a_conversation_ended(origin=an_origin(occurred_at=NOON, correlation_id="cc"))

    assert orjson.loads(an_execution(event).encoded()) == {
        "conversationId": event.conversation_id,
        "timestamp": "2026-03-02T12:00:00.000Z",
        "callDetails": ENDED,
        "detailsStatus": "complete",
        "enrichmentSteps": ["fetch_crm_contact", "analyze_sentiment"],
        "correlationId": "cc",
    }


def test_details_that_never_came_are_an_empty_object():
    execution = an_execution(details=None, status=DetailsStatus.PARTIAL)

    assert execution.input["callDetails"] == {}
    assert execution.input["detailsStatus"] == "partial"


def test_a_repeat_has_the_same_bytes_whatever_the_order_of_the_reply():
    event = a_conversation_ended()
    turned = dict(reversed(ENDED.items()))

    assert an_execution(event).encoded() == an_execution(event, turned).encoded()


@pytest.mark.parametrize(("more", "fits"), [(0, True), (1, False)])
def test_an_input_fits_up_to_the_limit_in_bytes(more, fits):
    event = a_conversation_ended()
    frame = len(an_execution(event, {"note": ""}).encoded())
    details = {"note": "é" * ((MAX_INPUT_BYTES - frame) // 2)}
    details["note"] += "e" * (MAX_INPUT_BYTES - len(an_execution(event, details).encoded()) + more)

    assert an_execution(event, details).fits() is fits


def test_details_kept_elsewhere_are_replaced_by_their_place():
    execution = an_execution().with_details_at({"bucket": "b", "key": "k"})

    assert execution.input["callDetails"] == {"s3": {"bucket": "b", "key": "k"}}
    assert execution.input["detailsStatus"] == "complete"


def test_an_ended_conversation_is_complete_at_any_age():
    assert details_status(ENDED, age_seconds=0, settle_seconds=1800) is DetailsStatus.COMPLETE


@pytest.mark.parametrize("details", [None, LIVE])
def test_one_without_an_end_is_waited_for(details):
    with pytest.raises(NotYet) as caught:
        details_status(details, age_seconds=31, settle_seconds=1800)

    assert caught.value.retry_after == 89


@pytest.mark.parametrize("details", [None, LIVE])
def test_one_without_an_end_is_partial_once_it_is_settled(details):
    status = details_status(details, age_seconds=1800, settle_seconds=1800)

    assert status is DetailsStatus.PARTIAL


@pytest.mark.parametrize(
    ("age", "wait"),
    [(-3, 30), (0, 30), (24, 6), (26, 94), (30, 90), (120, 480), (600, 600), (1196, 604)],
)
def test_data_is_looked_for_at_half_a_minute_two_and_ten_minutes_and_each_ten_after(age, wait):
    assert seconds_to_next_poll(age, settle_seconds=7200) == wait


@given(st.floats(0, 10_000), st.floats(0.1, 10_000))
def test_a_wait_never_passes_the_end_of_the_waiting(age, settle):
    wait = seconds_to_next_poll(age, settle_seconds=settle)

    if age >= settle:
        assert wait is None
    else:
        assert wait is not None
        assert wait > 0
        assert age + wait <= settle * (1 + 1e-9)
        assert wait >= min(LEAST_GAP_SECONDS, settle - age) - 1e-9


@given(st.floats(0.1, 20_000))
def test_an_event_is_checked_a_bounded_number_of_times(settle):
    age, looks = 0.0, 1
    while (wait := seconds_to_next_poll(age, settle_seconds=settle)) is not None:
        age, looks = age + wait, looks + 1
        assert looks <= 5 + settle / 600

"""Ids, times and bodies of an injection: the same for every copy of an event."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from tests.support.factories import NOON, an_attributes_wanted, an_id, an_origin
from worker.jobs.attributes.handler import Policy, enriched, payload_sha256, trace_id
from worker.jobs.attributes.inspector import Rules


def test_a_copy_under_another_envelope_id_has_the_same_trace_id():
    event = an_attributes_wanted()
    copy = replace(event, origin=replace(event.origin, event_id=an_id()))

    assert trace_id(copy) == trace_id(event)


def test_another_event_has_another_trace_id():
    assert trace_id(an_attributes_wanted()) != trace_id(an_attributes_wanted())


def test_the_note_has_these_fields_and_the_time_of_the_event():
    event = an_attributes_wanted(origin=an_origin(identity="chat.sentiment|one", occurred_at=NOON))

    assert enriched(event, {"tier": "gold"}) == {
        "eventType": "conversation.attributes.enriched",
        "conversationId": event.conversation_id,
        "attributes": {"tier": "gold"},
        "traceId": "c0fdc245-6d6c-554e-9279-c2c649bfb3a0",
        "timestamp": "2026-03-02T12:00:00.000Z",
    }


def test_the_hash_of_a_payload_does_not_depend_on_the_order_of_its_keys():
    assert payload_sha256({"a": "1", "b": "2"}) == payload_sha256({"b": "2", "a": "1"})


@pytest.mark.parametrize(("seconds", "outlived"), [(900, False), (901, True)])
def test_a_conversation_is_outlived_after_the_longest_age(seconds, outlived):
    policy = Policy(flow_id=an_id(), max_age_seconds=900, rules=Rules())
    event = an_attributes_wanted(origin=an_origin(occurred_at=NOON))

    assert policy.outlived(event, NOON + timedelta(seconds=seconds)) is outlived

import re

import orjson
import pytest

from tests.support.factories import (
    a_body,
    a_leg_body,
    a_platform_body,
    a_reference_body,
    a_report_due,
    a_voice_scored,
    an_id,
)
from tests.support.reading import Events, open_events
from worker.errors import Permanent
from worker.events.reading import UnknownType

STA = "v2.speechandtextanalytics.conversation.{id}.sentiment"
START = "v2.detail.events.conversation.{id}.customer.start"
END = "v2.detail.events.conversation.{id}.customer.end"


def key(body):
    events = open_events(body, Events())
    assert isinstance(events, tuple)
    return events[0].origin.dedupe_key


def leg(detail_type=START, **fields):
    return a_leg_body(detail_type, **fields)


def again(body):
    """The same event, sent again: the envelope is new."""
    event = orjson.loads(body)
    return orjson.dumps(event | {"id": an_id(), "time": "2026-03-03T00:00:00Z"})


@pytest.mark.parametrize(
    "body",
    [
        leg(sessionId="s1"),
        leg(END, mediaType="VOICE"),
        a_platform_body(a_voice_scored()),
        a_reference_body(a_voice_scored()),
        leg(eventTime=None),
    ],
    ids=["start", "end", "sentiment", "flat", "timestamp only"],
)
def test_an_event_sent_again_in_a_new_envelope_has_the_same_key(body):
    assert key(again(body)) == key(body)
    assert re.fullmatch(r"[0-9a-f]{64}", key(body))


def test_one_time_written_in_two_ways_is_one_key():
    conversation = an_id()

    as_text = leg(conversationId=conversation, eventTime="2026-03-02T13:00:00+01:00")
    as_number = leg(conversationId=conversation, eventTime=1772452800000)

    assert key(as_text) == key(as_number)


@pytest.mark.parametrize(
    "change",
    [
        {"sessionId": "s2"},
        {"conversationId": "00000000-0000-4000-8000-00000000000f"},
        {"eventTime": 1772452800001},
        {"sessionId": None, "participantId": "00000000-0000-4000-8000-00000000000f"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_another_session_time_or_conversation_is_another_key(change):
    fields = {"conversationId": "00000000-0000-4000-8000-00000000000e", "sessionId": "s1"}

    assert key(leg(**fields)) != key(leg(**fields | change))


def test_another_participant_of_a_flat_event_is_another_key():
    detail = {"conversationId": an_id()}
    one, other, no_one = (
        a_body("conversation.attributes.requested", detail | named)
        for named in ({"participantId": an_id()}, {"participantId": an_id()}, {})
    )

    assert len({key(one), key(other), key(no_one)}) == 3


def test_another_type_is_another_key():
    conversation = an_id()

    assert key(leg(START, conversationId=conversation)) != key(
        leg(END, conversationId=conversation)
    )


def test_an_event_without_a_time_of_its_own_is_known_by_its_envelope():
    body = a_body(STA, {"eventBody": {"conversationId": an_id()}})

    assert key(body) == key(body)
    assert key(body) != key(again(body))


def test_a_report_due_at_another_time_is_another_key():
    body = a_reference_body(a_report_due())

    assert key(again(body)) != key(body)


OURS, OTHERS = "0a900000-0000-4000-8000-00000000000a", "0b900000-0000-4000-8000-00000000000b"


def source_of(organization):
    return f"aws.partner/genesys.com/cloud/{organization}/production"


def from_(organization, body):
    return orjson.dumps(orjson.loads(body) | {"source": source_of(organization)})


@pytest.mark.parametrize(
    "body",
    [leg(sessionId="s1"), a_platform_body(a_voice_scored()), a_reference_body(a_voice_scored())],
    ids=["leg", "sentiment", "flat"],
)
def test_two_organizations_never_share_a_key(body):
    keys = {key(body), key(from_(OURS, body)), key(from_(OTHERS, body))}

    assert len(keys) == 3
    assert key(from_(OURS.upper(), body)) == key(from_(OURS, body))


def test_a_key_without_an_organization_is_what_it_always_was():
    body = leg(conversationId="00000000-0000-4000-8000-00000000000e", sessionId="s1")

    assert key(body) == "48e1c79f8ffe8abded3118edb9a0d4fb80af38b454c1ab34e6e0d42ad4de3315"


def test_the_origin_names_the_organization():
    (event,) = open_events(from_(OURS, leg()), Events())

    assert event.origin.organization_id == OURS


@pytest.mark.parametrize("ours", [OURS, OURS.upper()])
def test_an_event_of_our_organization_or_of_none_is_read(ours):
    for body in (from_(OURS, leg()), leg()):
        assert isinstance(open_events(body, Events(), ours), tuple)


@pytest.mark.parametrize("body", [leg(), a_body("unknown", {}), a_body("voice.analytics", {})])
def test_an_event_of_another_organization_is_refused_with_its_id_and_not_looked_into(body):
    with pytest.raises(Permanent) as caught:
        open_events(from_(OTHERS, body), Events(), OURS)

    assert OTHERS in caught.value.reason


def test_any_organization_will_do_while_none_is_set():
    assert isinstance(open_events(from_(OTHERS, a_body("unknown", {})), Events()), UnknownType)

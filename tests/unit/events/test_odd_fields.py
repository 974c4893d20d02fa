"""A field that an event can do without refuses nothing: odd, it says nothing."""

import pytest

from tests.support.factories import PHONE, a_body, a_leg_body, an_id, without_origin
from tests.support.reading import Events, open_events
from worker.errors import Permanent

START = "v2.detail.events.conversation.{id}.customer.start"
END = "v2.detail.events.conversation.{id}.customer.end"
STA = "v2.speechandtextanalytics.conversation.{id}.sentiment"
ID = an_id()
SENT = "2026-03-02T12:00:00+00:00"
LONG = "+4" * 200

ODD = [True, 1.5, [], [{}], {}, {"x": 1}, LONG]
ODD_TIMES = ["yesterday", "", 9 * 10**17, -1, 1.5, True, [], {}]


def only(body, **types):
    (event,) = open_events(body, Events(**types))
    return event


def same(odd, plain, **types):
    """An odd field reads as an absent one."""
    return without_origin(only(odd, **types)) == without_origin(only(plain, **types))


@pytest.mark.parametrize("odd", ODD, ids=repr)
@pytest.mark.parametrize(
    "name",
    [
        *("sessionId", "participantId", "mediaType", "direction", "ani", "dnis"),
        *("messageType", "callbackNumbers"),
    ],
)
def test_an_odd_field_of_a_start_says_nothing(name, odd):
    leg = {"participantId": ID, "direction": "INBOUND", "addressFrom": PHONE, "id": ID}
    plain = leg | {name: None}

    assert same(
        a_leg_body(START, conversationId=ID, **leg | {name: odd}),
        a_leg_body(START, conversationId=ID, **plain),
    )


@pytest.mark.parametrize("odd", [True, 1.5, [], {}], ids=repr)
@pytest.mark.parametrize("name", ["addressFrom", "addressTo"])
def test_an_odd_address_says_nothing(name, odd):
    leg = {"direction": "INBOUND" if name == "addressFrom" else "OUTBOUND"}

    assert only(a_leg_body(START, **leg, **{name: odd})).phone_number is None


def test_of_callback_numbers_the_odd_ones_are_passed_over():
    body = a_leg_body(START, callbackNumbers=[None, {"x": 1}, True, f"tel:{PHONE}"])

    assert only(body).phone_number == PHONE


@pytest.mark.parametrize("name", ["participantId", "phoneNumber", "mediaType"])
@pytest.mark.parametrize("odd", ODD, ids=repr)
@pytest.mark.parametrize(
    "detail_type", ["conversation.start", "conversation.end", "voice.analytics", "chat.sentiment"]
)
def test_an_odd_field_of_the_flat_form_says_nothing(detail_type, name, odd):
    detail = {"conversationId": ID}

    assert same(a_body(detail_type, detail | {name: odd}), a_body(detail_type, detail))


@pytest.mark.parametrize("detail_type", ["customer.end", "acw"])
@pytest.mark.parametrize("name", ["ani", "sessionId", "participantId"])
@pytest.mark.parametrize("odd", ODD, ids=repr)
def test_an_odd_field_of_a_calls_end_says_nothing(detail_type, name, odd):
    kind = f"v2.detail.events.conversation.{{id}}.{detail_type}"
    types = {"voice_types": (kind,), "ended_types": (), "chat_types": ()}
    leg = {"conversationId": ID, "mediaType": "VOICE"}

    assert same(a_leg_body(kind, **leg, **{name: odd}), a_leg_body(kind, **leg), **types)


def test_a_number_where_a_text_belongs_is_its_digits():
    assert only(a_leg_body(START, direction="INBOUND", ani=4930123456)).phone_number == "4930123456"

    chats = {"ended_types": (), "chat_types": (END,)}
    chat = only(a_leg_body(END, mediaType="CHAT", sessionId=7), **chats)
    assert chat.session_id == "7"

    speakers = [{"id": 1, "score": 0.5}]
    voice = a_body("voice.analytics", {"conversationId": ID, "sentiment": {"speaker": speakers}})
    assert only(voice).speakers[0].id == "1"


@pytest.mark.parametrize("odd", ODD_TIMES, ids=repr)
def test_an_odd_time_of_its_own_leaves_the_event_the_next_best(odd):
    emitted = {"eventBody": {"conversationId": ID, "eventTime": odd}, "timestamp": 1772452800000}
    neither = {"eventBody": {"conversationId": ID, "eventTime": odd}, "timestamp": odd}
    scored = {"eventBody": {"conversationId": ID}, "timestamp": odd}
    flat = {"conversationId": ID, "timestamp": odd}

    found = [
        only(a_body(kind, detail, time=SENT)).origin.occurred_at
        for kind, detail in (
            (START, emitted),
            (START, neither),
            (STA, scored),
            ("conversation.end", flat),
        )
    ]

    assert [moment.isoformat() for moment in found] == [SENT] * 4


@pytest.mark.parametrize("odd", ODD_TIMES, ids=repr)
def test_an_odd_time_of_the_envelope_refuses_only_an_event_that_has_no_other(odd):
    timed = {"conversationId": ID, "timestamp": "2026-03-02T12:00:00Z"}

    assert only(a_body("conversation.end", timed, time=odd)).origin.occurred_at.isoformat() == SENT
    with pytest.raises(Permanent, match=r"^time: missing, or not a time$"):
        open_events(a_body("conversation.end", {"conversationId": ID}, time=odd), Events())


@pytest.mark.parametrize("odd", [7, "", "x" * 257, "a\nb", [], {}, True], ids=repr)
def test_an_odd_id_of_the_envelope_is_as_none(odd):
    detail = {"conversationId": ID, "timestamp": "2026-03-02T12:00:00Z"}
    origin = only(a_body("conversation.end", detail, id=odd)).origin

    assert origin.event_id == origin.dedupe_key


@pytest.mark.parametrize("odd", [7, True, [], {}, LONG], ids=repr)
def test_what_narrows_a_report_is_never_passed_over(odd):
    body = a_body("report.due", {"name": "x", "period": "day", "mediaType": odd})

    with pytest.raises(Permanent, match=r"^detail\.mediaType: (not text|too long)$"):
        open_events(body, Events())

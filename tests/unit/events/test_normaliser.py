from decimal import Decimal
from pathlib import Path

import orjson
import pytest
from msgspec import structs

from tests.support.factories import (
    PHONE,
    a_body,
    a_chat_scored,
    a_conversation_ended,
    a_leg_body,
    a_platform_body,
    a_reference_body,
    a_report_due,
    a_voice_scored,
    an_attributes_wanted,
    an_id,
    an_origin,
    platform_detail,
    without_origin,
)
from tests.support.reading import Events, open_events
from worker.errors import Permanent
from worker.events.reading import UnknownType
from worker.jobs.attributes.events import AttributesWanted
from worker.jobs.reports.events import ReportDue
from worker.jobs.sentiment.events import ChatScored
from worker.jobs.voice.events import VoiceScored
from worker.jobs.workflow.events import ConversationEnded

SAMPLES = Path(__file__).parents[2] / "samples" / "events"
STA = "v2.speechandtextanalytics.conversation.{id}.sentiment"
START = "v2.detail.events.conversation.{id}.customer.start"
END = "v2.detail.events.conversation.{id}.customer.end"


def opened(body, **types):
    return open_events(body, Events(**types))


def only(body):
    (event,) = opened(body)
    return event


@pytest.mark.parametrize(
    ("sample", "kinds"),
    [
        ("platform/customer_end_message", [ConversationEnded, ChatScored]),
        ("platform/customer_end_voice", [ConversationEnded]),
        ("platform/customer_start", [AttributesWanted]),
        ("platform/sta_sentiment", [VoiceScored]),
        ("reference/chat_sentiment", [ChatScored]),
        ("reference/conversation_end", [ConversationEnded]),
        ("reference/conversation_start", [AttributesWanted]),
        ("reference/report_due", [ReportDue]),
        ("reference/voice_analytics", [VoiceScored]),
    ],
)
def test_every_sample_opens_as_its_events(sample, kinds):
    events = opened((SAMPLES / f"{sample}.json").read_bytes())

    assert [type(event) for event in events] == kinds


def test_a_type_no_job_wants_is_unrouted():
    body = (SAMPLES / "platform/attributes_unrouted.json").read_bytes()

    assert opened(body) == UnknownType("v2.detail.events.conversation.{id}.attributes")


def test_a_type_differing_in_case_only_is_unrouted():
    assert opened(a_body("Voice.Analytics", {})) == UnknownType("Voice.Analytics")


def test_a_type_of_the_settings_is_read():
    body = a_body("acme.voice", {"conversationId": an_id()})

    (event,) = opened(body, voice_types=("acme.*",))

    assert isinstance(event, VoiceScored)


def test_a_voice_conversations_end_wanted_for_chats_only_is_unrouted():
    assert opened(a_leg_body(END, mediaType="VOICE"), ended_types=()) == UnknownType(END)


@pytest.mark.parametrize(
    "event",
    [
        a_voice_scored(),
        a_conversation_ended(),
        an_attributes_wanted(),
        a_chat_scored(),
        a_report_due(),
    ],
    ids=lambda event: type(event).__name__,
)
def test_the_flat_form_brings_every_field(event):
    assert without_origin(only(a_reference_body(event))) == without_origin(event)


@pytest.mark.parametrize(
    "event",
    [
        a_conversation_ended(media_type="callback"),
        an_attributes_wanted(),
    ],
    ids=lambda event: type(event).__name__,
)
def test_both_forms_of_one_fact_give_equal_events(event):
    platform, reference = only(a_platform_body(event)), only(a_reference_body(event))

    assert without_origin(platform) == without_origin(reference) == without_origin(event)
    assert platform.origin.occurred_at == reference.origin.occurred_at


def test_a_score_of_the_platform_is_not_said_to_be_a_calls():
    event = a_voice_scored(speakers=(), phone_number=None)
    platform, reference = only(a_platform_body(event)), only(a_reference_body(event))

    assert without_origin(reference) == without_origin(event)
    assert without_origin(platform) == without_origin(structs.replace(event, is_call=False))


def test_a_bare_detail_gives_the_event_and_the_key_of_its_envelope():
    detail = platform_detail(a_voice_scored())

    bare, enveloped = only(orjson.dumps(detail)), only(a_body(STA, detail))

    assert without_origin(bare) == without_origin(enveloped)
    assert bare.origin.dedupe_key == enveloped.origin.dedupe_key == bare.origin.event_id


@pytest.mark.parametrize("media", ["CHAT", "MESSAGE", "chat", "Message"])
def test_the_end_of_a_chat_is_two_events(media):
    ended, scored = opened(a_leg_body(END, mediaType=media))

    assert (ended.media_type, ended.origin) == (media.lower(), scored.origin)


def test_only_the_customers_own_leg_names_the_session_that_ended():
    own, queue = END, END.replace("customer", "acd")
    bodies = {one: a_leg_body(one, mediaType="CHAT", sessionId="s") for one in (own, queue)}
    opens = {"ended_types": (), "chat_types": (own, queue)}

    found = [opened(body, **opens)[0].session_id for body in bodies.values()]

    assert found == ["s", None]


@pytest.mark.parametrize("media", ["VOICE", "EMAIL", "", None])
def test_the_end_of_anything_else_is_one_event(media):
    body = a_leg_body(END, mediaType=media or None)

    assert isinstance(only(body), ConversationEnded)


@pytest.mark.parametrize("name", ["ani", "dnis", "addressFrom", "direction", "sessionId"])
def test_an_empty_text_that_need_not_be_there_says_nothing(name):
    leg = {"conversationId": an_id(), "eventTime": 1772452800000}

    empty, missing = (
        only(a_body(START, {"eventBody": leg | more}, id="1")) for more in ({name: ""}, {})
    )

    assert empty == missing


@pytest.mark.parametrize("name", ["addressTo", "addressFrom"])
def test_an_email_to_very_many_is_no_reason_to_refuse_it(name):
    many = ", ".join(f"customer{number}@example.com" for number in range(50))
    body = a_leg_body(START, mediaType="EMAIL", **{name: many})

    assert isinstance(only(body), AttributesWanted)


def test_an_empty_participant_is_none():
    detail = {"conversationId": an_id(), "participantId": ""}
    bodies = (a_body(START, {"eventBody": detail}), a_body("conversation.start", detail))

    assert [only(body).participant_id for body in bodies] == [None, None]


@pytest.mark.parametrize("leg", ["acd.start", "user.start", "attributes"])
def test_a_leg_that_is_not_the_customers_names_no_customer(leg):
    """Its participant is the queue or the agent: the CRM's attributes must not go there."""
    detail_type = f"v2.detail.events.conversation.{{id}}.{leg}"
    body = a_leg_body(detail_type, participantId=an_id())

    (event,) = opened(body, attributes_types=(detail_type,))

    assert event.participant_id is None


def test_an_empty_medium_is_none():
    platform = only(a_leg_body(END, mediaType=""))
    flat = only(a_body("conversation.end", {"conversationId": an_id(), "mediaType": ""}))

    assert platform.media_type is flat.media_type is None


@pytest.mark.parametrize("number", ["", "tel:"])
def test_an_empty_phone_number_is_none(number):
    detail = {"conversationId": an_id(), "phoneNumber": number}

    assert only(a_body("voice.analytics", detail)).phone_number is None


@pytest.mark.parametrize("silent", [{"id": "agent"}, {"id": "agent", "score": None}])
def test_a_speaker_without_a_score_is_left_out(silent):
    speakers = [silent, {"id": "customer", "score": -0.1}]
    detail = {"conversationId": an_id(), "sentiment": {"speaker": speakers}}

    assert [one.id for one in only(a_body("voice.analytics", detail)).speakers] == ["customer"]


def test_a_missing_score_stays_missing():
    assert only(a_body(STA, {"eventBody": {"conversationId": an_id()}})).overall is None


@pytest.mark.parametrize("score", [0, 0.1, -0.42, 1e-7, 0.30000000000000004])
def test_a_score_is_exact(score):
    body = a_body("voice.analytics", {"conversationId": an_id(), "sentiment": {"overall": score}})

    assert only(body).overall == Decimal(repr(score))


@pytest.mark.parametrize(
    ("fields", "phone"),
    [
        ({"direction": "INBOUND", "ani": f"tel:{PHONE}", "dnis": "tel:+15550100099"}, PHONE),
        ({"direction": "OUTBOUND", "ani": "tel:+15550100099", "dnis": f"tel:{PHONE}"}, PHONE),
        ({"direction": "INBOUND", "addressFrom": PHONE}, PHONE),
        ({"direction": "OUTBOUND", "addressTo": PHONE}, PHONE),
        ({"direction": "INBOUND", "messageType": "WHATSAPP", "addressFrom": PHONE[1:]}, PHONE),
        ({"direction": "INBOUND", "messageType": "WhatsApp", "addressFrom": PHONE}, PHONE),
        ({"direction": "INBOUND", "messageType": "SMS", "addressFrom": PHONE[1:]}, PHONE[1:]),
        ({"direction": "INBOUND", "messageType": "WHATSAPP", "addressFrom": "ann"}, "ann"),
        ({"mediaType": "CALLBACK", "callbackNumbers": [f"tel:{PHONE}", "+15550100099"]}, PHONE),
        ({"direction": "OUTBOUND", "callbackNumbers": [PHONE], "ani": "+15550100099"}, PHONE),
        ({"direction": "INBOUND", "callbackNumbers": [None, ""], "ani": PHONE}, PHONE),
        ({"direction": None, "ani": PHONE}, None),
        ({"direction": "INBOUND", "dnis": PHONE}, None),
        ({"direction": "INBOUND", "ani": "sip:someone@example.com"}, "sip:someone@example.com"),
    ],
)
def test_the_customers_side_of_a_conversation_is_its_phone_number(fields, phone):
    assert only(a_leg_body(START, **fields)).phone_number == phone


@pytest.mark.parametrize("detail_type", [STA, START, END])
def test_a_missing_conversation_id_is_refused_by_name(detail_type):
    with pytest.raises(Permanent, match=r"^detail\.eventBody\.conversationId: missing$"):
        opened(a_body(detail_type, {"eventBody": {}}))


def test_a_replay_is_marked_on_the_event():
    body = a_reference_body(a_voice_scored(), replay_name="backfill")

    assert only(body).origin.replayed


def test_phone_numbers_stay_out_of_the_repr():
    assert PHONE not in repr(only(a_reference_body(an_attributes_wanted(origin=an_origin()))))

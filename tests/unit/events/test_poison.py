"""Bodies made to break a parser: each is refused with the field's name and nothing of its value."""

import orjson
import pytest

from tests.support.factories import a_body, an_id
from tests.support.reading import Events, open_events
from worker.errors import Permanent
from worker.jobs.voice.events import VoiceScored

MIB = 2**20
NIL = "00000000-0000-0000-0000-000000000000"
CANARY = "+15550199999"
HEAD = b'{"id":"1","detail-type":"voice.analytics","time":"2026-03-02T12:00:00Z","detail":'


def voice(**detail):
    return a_body("voice.analytics", {"conversationId": an_id(), **detail})


def raw_voice(field):
    return HEAD + b'{"conversationId":"' + an_id().encode() + b'",' + field + b"}}"


def end(**body):
    fields = {"conversationId": an_id(), "eventTime": 1772446530412} | body
    return a_body("v2.detail.events.conversation.{id}.customer.end", {"eventBody": fields})


POISON = {
    "empty": (b"", "body: not JSON"),
    "NUL": (b"\x00", "body: not JSON"),
    "larger than a mebibyte": (b'"' + b"x" * MIB + b'"', "body: larger than 1 MiB"),
    "a million keys": (
        b"{" + b",".join(b'"%d":0' % key for key in range(10**6)) + b"}",
        "body: larger than 1 MiB",
    ),
    "depth of 50,000": (b"[" * 50_000, "body: not JSON"),
    "a mebibyte of brackets": (b"[" * MIB, "body: too many lists and objects"),
    "invalid UTF-8": (b'{"a":"\xff\xfe"}', "body: not JSON"),
    "base64": (b"eyJhIjoxfQ==", "body: not JSON"),
    "truncated": (voice()[:-9], "body: not JSON"),
    "escaped lone surrogate": (b'{"a":"\\ud800"}', "body: not JSON"),
    "lone surrogate in text": ('{"a":"\ud800"}', "body: not JSON"),
    "NaN": (raw_voice(b'"sentiment":{"overall":NaN}'), "body: not JSON"),
    "1e999": (
        raw_voice(b'"sentiment":{"overall":1e999}'),
        "detail.sentiment.overall: not finite",
    ),
    "a number of 5,000 digits": (raw_voice(b'"timestamp":' + b"9" * 5000), "body: not JSON"),
    "not an object": (b"[]", "body: not an object"),
    "an object of something else": (b'{"Message":"hello"}', "detail-type: missing"),
    "a later key undoing the first": (
        raw_voice(b'"conversationId":5'),
        "detail.conversationId: not a UUID",
    ),
    "a missing conversation id": (
        end(conversationId=None),
        "detail.eventBody.conversationId: not a UUID",
    ),
    "a path for a conversation id": (
        end(conversationId="../../oauth/clients"),
        "detail.eventBody.conversationId: not a UUID",
    ),
    "a boolean for a score": (
        voice(sentiment={"overall": True}),
        "detail.sentiment.overall: not a number",
    ),
    "a score of another scale": (
        voice(sentiment={"overall": 42.0}),
        "detail.sentiment.overall: not within -1..1",
    ),
    "a score that is 1 when rounded": (
        raw_voice(b'"sentiment":{"overall":1.' + b"0" * 35 + b"1}"),
        "detail.sentiment.overall: not within -1..1",
    ),
    "a speaker's score of another scale": (
        voice(sentiment={"speaker": [{"id": "a", "score": -1.0001}]}),
        "detail.sentiment.speaker.0.score: not within -1..1",
    ),
    "text for a score": (
        voice(sentiment={"overall": CANARY}),
        "detail.sentiment.overall: not a number",
    ),
    "a list for a body": (
        a_body("v2.speechandtextanalytics.conversation.{id}.sentiment", {"eventBody": []}),
        "detail.eventBody: not an object",
    ),
    "100,000 speakers": (
        raw_voice(b'"sentiment":{"speaker":[' + b"0," * 100_000 + b"0]}"),
        "detail.sentiment.speaker.0: not an object",
    ),
    "more speakers than ever spoke": (
        voice(sentiment={"speaker": [{"id": "a", "score": 0}] * 1001}),
        "detail.sentiment.speaker: too many",
    ),
    "a list for a speaker": (
        voice(sentiment={"speaker": [{"id": [CANARY]}]}),
        "detail.sentiment.speaker.0.id: not text",
    ),
}


@pytest.mark.parametrize(("body", "expected"), POISON.values(), ids=POISON.keys())
def test_poison_is_refused_with_the_field_at_fault_and_nothing_of_its_value(body, expected):
    with pytest.raises(Permanent) as caught:
        open_events(body, Events())

    assert caught.value.reason == expected


@pytest.mark.parametrize(
    "conversation_id",
    [
        "..",
        "../../oauth/clients",
        "a/b",
        "a?x",
        "a%2f..",
        "unknown",
        "",
        f"{NIL}\n",
        NIL[1:],
    ],
)
def test_a_conversation_id_that_is_no_uuid_is_refused_before_it_can_enter_a_path(conversation_id):
    with pytest.raises(Permanent, match=r"^detail\.conversationId: not a UUID$"):
        open_events(voice(conversationId=conversation_id), Events())


def test_a_refusal_holds_no_copy_of_the_body_in_its_causes():
    with pytest.raises(Permanent) as caught:
        open_events(voice(conversationId=[CANARY]), Events())

    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_keys_of_the_body_do_not_reach_the_reason():
    with pytest.raises(Permanent) as caught:
        open_events(a_body("report.due", {"name": "x", "filters": {CANARY: 5}}), Events())

    assert caught.value.reason == "detail.filters: not pairs of dimension and value"


def test_nothing_is_lost_on_a_sound_body_with_unknown_fields():
    body = orjson.loads(voice()) | {"new-field": {"deep": [1, 2, 3]}}
    body["detail"]["other"] = "x"

    events = open_events(orjson.dumps(body), Events())

    assert isinstance(events, tuple)
    assert isinstance(events[0], VoiceScored)

"""A conversation as a row: what is taken from where, and that nothing is invented."""

from copy import deepcopy
from pathlib import Path

import orjson
import pytest
from msgspec import convert

from worker.clients.http_types import fitting
from worker.errors import Permanent
from worker.jobs.reports import rows
from worker.jobs.reports.rows import Conversation, Result, dimensions_of

SAMPLES = Path(__file__).parents[2] / "samples" / "replies"
QUEUE = "9e000000-0000-4000-8000-000000000001"
SECOND = "9e000000-0000-4000-8000-000000000002"


def read_as(kind, value):
    return convert(fitting(value, kind), kind)


def row_of_platform(conversation, asked=rows.ALL):
    return rows.row_of_platform(read_as(Conversation, conversation), asked)


def row_of_reference(result):
    return rows.row_of_reference(read_as(Result, result))


@pytest.fixture
def conversation():
    reply = orjson.loads((SAMPLES / "platform" / "details_query_response.json").read_bytes())
    return reply["conversations"][0]


@pytest.fixture
def result():
    reply = orjson.loads((SAMPLES / "reference" / "report_page.json").read_bytes())
    return reply["results"][0]


def agent_of(conversation):
    return conversation["participants"][-1]


def test_the_platform_sample_is_read_whole(conversation):
    row = row_of_platform(conversation)

    assert row is not None
    assert row.id == "c0ffee00-0000-4000-8000-000000000001"
    assert (row.duration_ms, row.talk_ms, row.hold_ms) == (214_000, 163_900, 6_100)
    assert (row.media_type, row.queue_id, row.direction) == ("voice", QUEUE, "inbound")
    assert row.wrapup_codes == ("3a000000-0000-4000-8000-000000000001",)


def test_the_reference_sample_is_read_whole_and_has_no_id(result):
    row = row_of_reference(result)

    assert row is not None
    assert (row.id, row.duration_ms, row.talk_ms, row.hold_ms) == (None, 214_000, 163_900, 6_100)
    assert (row.media_type, row.queue_id, row.wrapup_codes) == ("voice", QUEUE, ("resolved",))


def test_both_dialects_give_the_start_in_milliseconds(conversation, result):
    assert row_of_platform(conversation).start_ms == 1_772_446_346_000
    assert row_of_reference(result).start_ms == 1_772_323_500_000


def test_a_conversation_without_an_end_is_live(conversation):
    del conversation["conversationEnd"]

    assert row_of_platform(conversation).duration_ms is None


def test_a_result_without_a_duration_is_live(result):
    del result["metrics"]["conversation.duration.seconds"]

    assert row_of_reference(result).duration_ms is None


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("conversationId", None),
        ("conversationId", ""),
        ("conversationId", 5),
        ("conversationStart", None),
        ("conversationStart", "soon"),
        ("conversationStart", "2026-03-02T10:12:26"),
    ],
)
def test_a_conversation_without_id_or_start_is_no_row(conversation, field, value):
    conversation[field] = value

    assert row_of_platform(conversation) is None


@pytest.mark.parametrize("end", ["2026-03-02T10:12:25.999Z", "later", 7])
def test_an_end_that_is_before_the_start_or_unreadable_is_no_row(conversation, end):
    conversation["conversationEnd"] = end

    assert row_of_platform(conversation) is None


@pytest.mark.parametrize("duration", [-1, "214", True, float("inf")])
def test_a_duration_that_is_none_is_no_row(result, duration):
    result["metrics"]["conversation.duration.seconds"] = duration

    assert row_of_reference(result) is None


def test_talk_and_hold_are_summed_over_the_sessions_of_all_agents(conversation):
    conversation["participants"].append(deepcopy(agent_of(conversation)))

    row = row_of_platform(conversation)

    assert (row.talk_ms, row.hold_ms) == (327_800, 12_200)


def test_a_metric_that_is_missing_did_not_occur(conversation):
    agent_of(conversation)["sessions"][0]["metrics"] = []

    row = row_of_platform(conversation)

    assert (row.talk_ms, row.hold_ms) == (0, 0)


def transferred(conversation):
    """To a second queue, a minute later, and listed first."""
    agent = deepcopy(agent_of(conversation))
    for segment in agent["sessions"][0]["segments"]:
        segment["queueId"] = SECOND
        segment["segmentStart"] = segment["segmentStart"].replace("T10:1", "T10:2")
    conversation["participants"].insert(0, agent)


def test_a_transferred_conversation_counts_for_the_queue_that_answered_first(conversation):
    transferred(conversation)

    assert row_of_platform(conversation).queue_id == QUEUE


def test_a_transferred_conversation_counts_for_the_queue_that_was_asked_for(conversation):
    transferred(conversation)

    assert row_of_platform(conversation, {"queueId": {SECOND}}).queue_id == SECOND


def test_a_conversation_that_changed_its_medium_counts_for_the_one_that_was_asked_for(conversation):
    """A caller left a voicemail, and the agent called back."""
    agent_of(conversation)["sessions"][0]["mediaType"] = "callback"

    assert row_of_platform(conversation).media_type == "callback"
    assert row_of_platform(conversation, {"mediaType": {"voice"}}).media_type == "voice"


def test_a_transferred_conversation_counts_for_the_agent_who_was_first(conversation):
    transferred(conversation)
    first, second = agent_of(conversation), conversation["participants"][0]
    first["userId"], second["userId"] = "first", "second"

    assert row_of_platform(conversation).user_id == "first"
    assert row_of_platform(conversation, {"userId": {"second"}}).user_id == "second"


ALERTED = {
    "purpose": "agent",
    "userId": "alerted",
    "sessions": [
        {
            "mediaType": "voice",
            "metrics": [
                {"name": "nAlert", "value": 1},
                {"name": "tAlert", "value": 7400},
                {"name": "tNotResponding", "value": 7400},
                {"name": "tAcw", "value": 57_000},
                {"name": "tHandle", "value": 57_000},
            ],
            "segments": [
                {
                    "segmentType": "alert",
                    "segmentStart": "2026-03-02T10:12:20.000Z",
                    "segmentEnd": "2026-03-02T10:12:27.400Z",
                    "queueId": SECOND,
                    "disconnectType": "system",
                },
                {
                    "segmentType": "wrapup",
                    "segmentStart": "2026-03-02T10:12:27.400Z",
                    "segmentEnd": "2026-03-02T10:13:24.400Z",
                    "wrapUpCode": "ININ-WRAP-UP-TIMEOUT",
                },
            ],
        }
    ],
}
"""Alerted for 7 s, and did not respond."""


def test_the_agent_of_a_conversation_is_who_talked_and_not_who_was_only_alerted(conversation):
    conversation["participants"].insert(0, ALERTED)
    talked = agent_of(conversation)["userId"]

    row = row_of_platform(conversation)

    assert (row.user_id, row.talk_ms, row.queue_id) == (talked, 163_900, QUEUE)
    assert row.wrapup_codes == ("3a000000-0000-4000-8000-000000000001",)


def test_a_conversation_without_an_answer_is_no_agents_and_counts_for_the_queue_that_offered_it(
    conversation,
):
    conversation["participants"][1:] = [ALERTED]

    row = row_of_platform(conversation)

    assert (row.user_id, row.talk_ms, row.wrapup_codes) == (None, 0, ())
    assert (row.queue_id, row.media_type) == (SECOND, "voice")


@pytest.mark.parametrize("metric", ["tTalk", "tAnswered", "tTalkComplete"])
def test_an_agent_with_talk_time_talked_whatever_the_segments(conversation, metric):
    agent = agent_of(conversation)
    agent["sessions"] = [{"metrics": [{"name": metric, "value": 374_900}]}]

    assert row_of_platform(conversation).user_id == agent["userId"]


def test_an_agent_whose_sessions_are_not_reported_is_an_agent_all_the_same(conversation):
    agent_of(conversation).update(userId="agent", sessions=None)

    assert row_of_platform(conversation).user_id == "agent"


@pytest.mark.parametrize("length", [1e300, 1e308, 10**16])
def test_a_length_of_time_beyond_all_reason_is_none(conversation, result, length):
    agent_of(conversation)["sessions"][0]["metrics"] = [{"name": "tTalk", "value": length}]
    result["metrics"]["conversation.duration.seconds"] = length

    assert row_of_platform(conversation).talk_ms == 0
    assert row_of_reference(result) is None


def test_a_conversation_that_was_not_answered_counts_for_the_queue_it_waited_in(conversation):
    agent_of(conversation)["purpose"] = "acd"

    row = row_of_platform(conversation)

    assert (row.queue_id, row.talk_ms, row.media_type) == (QUEUE, 0, "voice")


def test_a_conversation_that_never_met_a_queue_has_none(conversation):
    conversation["participants"] = conversation["participants"][:1]

    assert row_of_platform(conversation).queue_id is None


@pytest.mark.parametrize("junk", [None, 7, "x", [1], [None]])
def test_junk_where_lists_of_objects_belong_is_no_data(conversation, junk):
    conversation["participants"] = junk
    conversation["divisionIds"] = junk

    assert row_of_platform(conversation).talk_ms == 0


def test_names_of_r4_and_of_the_platform_mean_the_same_dimension():
    assert dimensions_of(("conversation.media.type", "queueId", "mediaType")) == (
        "mediaType",
        "queueId",
    )


def test_a_dimension_that_no_row_has_is_refused_without_quoting_it():
    with pytest.raises(Permanent) as caught:
        dimensions_of(("queueId", "shoe size"))

    assert "entry 2" in caught.value.reason
    assert "shoe" not in caught.value.reason

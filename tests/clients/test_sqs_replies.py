"""Replies of SQS, and of what only pretends to be it: any JSON is read, and none of it raises."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from worker.clients.aws.errors import EntryFailed
from worker.clients.aws.sqs import (
    Message,
    QueueAttributes,
    answered_at,
    attributes_of,
    batch_results,
    messages_of,
)

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
NAMES = st.sampled_from(
    [
        *("Id", "Code", "SenderFault", "MessageId", "ReceiptHandle", "Body", "Attributes"),
        *("MessageAttributes", "ApproximateReceiveCount", "SentTimestamp", "MessageGroupId"),
        *("AWSTraceHeader", "traceparent", "StringValue", "VisibilityTimeout", "RedrivePolicy"),
        *("maxReceiveCount", "HTTPHeaders", "date"),
    ]
)
ODD_TEXTS = st.sampled_from(["0", "1", "-1", "1e3", "9" * 400, "\ud800", "{}", "[]", "{", "x"])
JSON = st.recursive(
    SCALARS | ODD_TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=6),
    max_leaves=25,
)
ANSWERS = st.dictionaries(
    st.sampled_from(["Successful", "Failed", "Messages", "Attributes", "ResponseMetadata"]), JSON
)


@given(ANSWERS, st.integers(0, 10))
def test_any_answer_to_a_batch_has_a_result_for_each_entry(answer, count):
    results = batch_results(answer, count)

    assert len(results) == count
    assert all(one is None or isinstance(one, EntryFailed) for one in results)


@given(ANSWERS)
@example({"Messages": [None, "\ud800"]})
@example({"Messages": "\ud800"})
def test_any_answer_to_a_receive_is_messages_and_a_number_of_others(answer):
    messages, skipped = messages_of(answer, 7.0)

    assert skipped >= 0
    for one in messages:
        assert isinstance(one, Message)
        assert one.id
        assert one.receipt
        assert one.receive_count >= 1
        assert one.sent_at is None or 0 < one.sent_at < 10**11
        assert all(isinstance(value, dict) for value in one.attributes.values())


@given(ANSWERS)
def test_any_answer_says_something_of_the_queue_or_nothing(answer):
    attributes, date = attributes_of(answer), answered_at(answer)

    assert attributes is None or isinstance(attributes, QueueAttributes)
    assert attributes is None or attributes.visibility_seconds >= 0
    assert date is None or isinstance(date, float)


@pytest.mark.parametrize(
    ("answer", "codes"),
    [
        ({"Successful": [{"Id": "0"}, {"Id": "1"}], "Failed": []}, [None, None]),
        ({"Successful": [{"Id": "1"}, {"Id": "0"}]}, [None, None]),
        (
            {"Successful": [{"Id": "0"}, {"Id": "1"}], "Failed": [{"Id": "0", "Code": "Busy"}]},
            ["Busy", None],
        ),
        ({"Successful": [{}]}, ["Unanswered", "Unanswered"]),
        ({"Successful": None, "Failed": None}, ["Unanswered", "Unanswered"]),
        ({"Successful": [None, 1, "0", {"Id": 0}]}, ["Unanswered", "Unanswered"]),
        ({"Successful": {"Id": "0"}}, ["Unanswered", "Unanswered"]),
        ({"Successful": [{"Id": "0"}], "Failed": [{"Id": "1", "Code": "Busy"}]}, [None, "Busy"]),
        ({"Failed": [{"Id": "0"}, {"Id": "1", "Code": 5}]}, ["unreadable code"] * 2),
        ({"Successful": [{"Id": "0"}], "Failed": [{"Id": "0", "Code": "Busy"}]}, ["Busy", "Una"]),
    ],
    ids=str,
)
def test_what_is_not_confirmed_has_failed(answer, codes):
    results = batch_results(answer, 2)

    reported = [failed and failed.code for failed in results]
    assert [code and code[:3] for code in reported] == [code and code[:3] for code in codes]


def test_ten_that_were_done_say_nothing_of_an_eleventh():
    answer = {"Successful": [{"Id": str(number)} for number in range(10)]}

    codes = [failed and failed.code for failed in batch_results(answer, 11)]
    assert codes == [*[None] * 10, "Unanswered"]


def test_only_true_is_a_fault_of_the_sender():
    failed = [{"Id": "0", "SenderFault": True}, {"Id": "1", "SenderFault": "false"}]

    assert [one.sender_fault for one in batch_results({"Failed": failed}, 2)] == [True, False]


def test_a_message_is_read_with_all_that_sqs_says_of_it():
    attributes = {"traceparent": {"DataType": "String", "StringValue": "00-1"}, "odd": 5}
    entry = {
        "MessageId": "m",
        "ReceiptHandle": "r",
        "Body": "hello",
        "Attributes": {
            "ApproximateReceiveCount": "3",
            "SentTimestamp": "1772452800123",
            "MessageGroupId": "g",
            "AWSTraceHeader": "Root=1",
            "DeadLetterQueueSourceArn": "arn",
        },
        "MessageAttributes": attributes,
    }

    (message,), skipped = messages_of({"Messages": [entry]}, 7.0)

    assert skipped == 0
    assert (message.id, message.receipt, message.body, message.received_at) == (
        "m",
        "r",
        "hello",
        7.0,
    )
    assert (message.receive_count, message.sent_at) == (3, 1772452800.123)
    assert (message.group_id, message.moved_from) == ("g", "arn")
    assert message.attributes == {"traceparent": attributes["traceparent"]}
    assert (message.cause.traceparent, message.cause.trace_header) == ("00-1", "Root=1")


NO_MESSAGES = [
    None,
    1,
    {},
    {"MessageId": "m"},
    {"ReceiptHandle": "r"},
    {"MessageId": "", "ReceiptHandle": "r"},
    {"MessageId": "m", "ReceiptHandle": None},
    {"MessageId": "m", "ReceiptHandle": "r", "Body": 1},
]


@pytest.mark.parametrize("entry", NO_MESSAGES, ids=str)
def test_what_is_no_message_is_counted_and_costs_none_beside_it(entry):
    whole = {"MessageId": "m", "ReceiptHandle": "r"}

    messages, skipped = messages_of({"Messages": [entry, whole]}, 7.0)

    assert [one.id for one in messages] == ["m"]
    assert skipped == 1


@pytest.mark.parametrize("value", ["x", "", None, -1, 1.5, [], "9" * 5000, "-3"], ids=repr)
def test_numbers_that_are_none_are_left_out(value):
    system = {"ApproximateReceiveCount": value, "SentTimestamp": value}
    entry = {"MessageId": "m", "ReceiptHandle": "r", "Attributes": system}

    (message,), _ = messages_of({"Messages": [entry]}, 7.0)

    assert (message.receive_count, message.sent_at) == (1, None)


def test_a_queue_says_what_the_worker_must_know_of_it():
    raw = {
        "VisibilityTimeout": "45",
        "ApproximateNumberOfMessages": "5",
        "ApproximateNumberOfMessagesNotVisible": "6",
        "ApproximateNumberOfMessagesDelayed": "7",
        "FifoQueue": "true",
        "QueueArn": "arn:q",
        "MessageRetentionPeriod": "345600",
        "RedrivePolicy": '{"deadLetterTargetArn":"arn:d","maxReceiveCount":"50"}',
    }

    assert attributes_of({"Attributes": raw}) == QueueAttributes(
        visibility_seconds=45,
        visible=5,
        in_flight=6,
        delayed=7,
        fifo=True,
        arn="arn:q",
        retention_seconds=345600,
        max_receive_count=50,
        dead_letter_arn="arn:d",
    )


@pytest.mark.parametrize("answer", [{}, {"Attributes": {}}, {"Attributes": None}], ids=str)
def test_a_queue_that_says_nothing_is_no_queue_with_defaults(answer):
    assert attributes_of(answer) is None


@pytest.mark.parametrize(
    ("date", "seconds"),
    [
        ("Mon, 02 Mar 2026 12:00:00 GMT", 1772452800.0),
        ("Mon, 02 Mar 2026 12:00:00 -0000", 1772452800.0),
        ("yesterday", None),
        ("Mon, 02 Mar 2026 12:00:00 +99999999999999", None),
        ("", None),
    ],
)
def test_the_date_of_an_answer_is_sqs_own_time(date, seconds):
    assert answered_at({"ResponseMetadata": {"HTTPHeaders": {"date": date}}}) == seconds

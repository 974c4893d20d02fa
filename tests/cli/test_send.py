"""`worker send`: files in, messages on the queue."""

import io
import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.cli.send import MAX_BYTES, MAX_ENTRIES, Event, batches


@pytest.fixture
def bodies_on(aws):
    def receive(queue):
        reply = aws("sqs", "receive_message", QueueUrl=queue, MaxNumberOfMessages=10)
        return sorted(message["Body"] for message in reply.get("Messages", []))

    return receive


def test_a_file_is_one_event_sent_as_it_is(worker, a_queue, bodies_on, tmp_path):
    queue, file = a_queue(), tmp_path / "event.json"
    file.write_text('{\n  "a": 1.0\n}\n')

    run = worker("send", str(file), SQS_QUEUE_URL=queue)

    assert run.code == 0
    assert bodies_on(queue) == ['{\n  "a": 1.0\n}']


def test_json_lines_are_one_event_each(worker, a_queue, bodies_on, tmp_path):
    queue, file = a_queue(), tmp_path / "events.jsonl"
    file.write_text('{"n": 1}\n\n{"n": 2}\n')

    run = worker("send", "--json", str(file), SQS_QUEUE_URL=queue)

    assert [entry["source"] for entry in run.json] == [f"{file}:1", f"{file}:3"]
    assert all(entry["message_id"] and not entry["problem"] for entry in run.json)
    assert bodies_on(queue) == ['{"n": 1}', '{"n": 2}']


def test_a_dash_reads_stdin(worker, a_queue, bodies_on, monkeypatch):
    queue = a_queue()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"n": 1}')))

    worker("send", "-", SQS_QUEUE_URL=queue)

    assert bodies_on(queue) == ['{"n": 1}']


def test_with_several_queues_each_event_goes_to_those_of_its_type(
    worker, a_queue, bodies_on, tmp_path
):
    ended, chats, file = a_queue(), a_queue(), tmp_path / "events.jsonl"
    end = '{"detail-type":"v2.detail.events.conversation.{id}.customer.end"}'
    bare = '{"topicName":"v2.detail.events.conversation.7.customer.start"}'
    file.write_text(f'{end}\n{bare}\n{{"detail-type":"report.due"}}\n[]\n')

    run = worker("send", str(file), SQS_QUEUE_URL=f"workflow={ended},attributes+sentiment={chats}")

    assert run.code == 1
    assert (bodies_on(ended), bodies_on(chats)) == ([end], [end, bare])
    assert f"{file}:2 to {chats.rpartition('/')[2]}: " in run.out
    assert run.err.splitlines() == [
        f"{file}:{n}: no queue is bound to its type; name one by --queue-url" for n in (3, 4)
    ]


def test_the_queue_may_be_given_by_option(worker, a_queue, bodies_on, tmp_path):
    queue, file = a_queue(), tmp_path / "event.json"
    file.write_text("{}")

    assert worker("send", str(file), "--queue-url", queue).code == 0
    assert bodies_on(queue) == ["{}"]


def test_more_than_ten_events_go_in_several_batches(worker, a_queue, aws, tmp_path):
    queue, file = a_queue(), tmp_path / "events.jsonl"
    file.write_text("\n".join(json.dumps({"n": n}) for n in range(23)))

    run = worker("send", "--json", str(file), SQS_QUEUE_URL=queue)

    waiting = aws(
        "sqs",
        "get_queue_attributes",
        QueueUrl=queue,
        AttributeNames=["ApproximateNumberOfMessages"],
    )
    assert len({entry["message_id"] for entry in run.json}) == 23
    assert waiting["Attributes"]["ApproximateNumberOfMessages"] == "23"


def test_a_fifo_queue_gets_what_it_wants(worker, a_queue, bodies_on, tmp_path):
    queue, file = a_queue(".fifo", FifoQueue="true"), tmp_path / "event.json"
    file.write_text("{}")

    assert worker("send", str(file), SQS_QUEUE_URL=queue).code == 0
    assert bodies_on(queue) == ["{}"]


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b'{"n": 1}\n+4915112345678 nonsense\n', ":2: is not JSON"),
        (b"", ": is empty"),
        (b'{"n": NaN}', ": is not JSON"),
        (b'"\xff"', ": is not JSON"),
        (b'"' + b"x" * MAX_BYTES + b'"', ": is larger than 1 MiB"),
    ],
)
def test_nothing_is_sent_when_one_event_is_bad(sent_with, content, error):
    run, bodies = sent_with(content)

    assert run.code == 2
    assert error in run.err
    assert "4915112345678" not in run.err
    assert bodies == []


@pytest.fixture
def sent_with(worker, a_queue, bodies_on, tmp_path):
    """Send a good event and a file of the given content; return the run and what arrived."""

    def send(content):
        queue, good, other = a_queue(), tmp_path / "good.json", tmp_path / "other.json"
        good.write_text("{}")
        other.write_bytes(content)
        return worker("send", str(good), str(other), SQS_QUEUE_URL=queue), bodies_on(queue)

    return send


def test_a_file_that_is_not_there_is_said_so(worker, a_queue):
    run = worker("send", "/nowhere.json", SQS_QUEUE_URL=a_queue())

    assert (run.code, run.err) == (2, "/nowhere.json: No such file or directory\n")


def test_a_queue_that_does_not_exist_is_a_problem_per_event(worker, a_queue, tmp_path):
    file = tmp_path / "event.json"
    file.write_text("{}")

    run = worker("send", str(file), SQS_QUEUE_URL=a_queue() + "-gone")

    assert run.code == 1
    assert f"{file}: " in run.err
    assert "check its name" in run.err


def test_an_sqs_that_is_not_reached_is_exit_code_3(worker, tmp_path, monkeypatch, closed_port):
    file = tmp_path / "event.json"
    file.write_text("{}")
    url = f"http://127.0.0.1:{closed_port}"
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)

    run = worker("send", str(file), SQS_QUEUE_URL=f"{url}/1/q")

    assert run.code == 3
    assert f"{file}: EndpointConnectionError" in run.err


def test_no_queue_is_a_configuration_error(worker, tmp_path):
    run = worker("send", "-")

    assert (run.code, run.err.split(":")[0]) == (2, "SQS_QUEUE_URL")


@given(st.lists(st.integers(1, MAX_BYTES), max_size=30))
def test_batches_keep_order_and_fit_the_quotas(lengths):
    pool = "x" * MAX_BYTES
    events = [Event(str(n), pool[:length]) for n, length in enumerate(lengths)]

    made = list(batches(events))

    assert [event for batch in made for event in batch] == events
    assert all(0 < len(batch) <= MAX_ENTRIES for batch in made)
    assert all(sum(len(event.body) for event in batch) <= MAX_BYTES for batch in made)

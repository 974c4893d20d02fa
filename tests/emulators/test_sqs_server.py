"""What only our server does: the wire by hand, hanging up, waiting, journal, moves, outages."""

import asyncio
import json

import aiohttp
import pytest

from worker.emulators.sqs import SqsServer
from worker.emulators.sqs.model import Attribute
from worker.emulators.sqs.queue import Depth


# ── the wire ───────────────────────────────────────────────────────────────────────────────────
async def test_error_names_the_shape_in_the_body_and_the_query_code_in_a_header(sqs_post):
    status, headers, body = await sqs_post("GetQueueUrl", QueueName="nowhere")

    assert status == 400
    assert headers["x-amzn-query-error"] == "AWS.SimpleQueueService.NonExistentQueue;Sender"
    assert headers["Content-Type"] == "application/x-amz-json-1.0"
    assert body["__type"] == "com.amazonaws.sqs#QueueDoesNotExist"


async def test_unknown_action_is_refused(sqs_post):
    status, _, body = await sqs_post("AddPermission")

    assert (status, body["__type"]) == (404, "com.amazon.coral.service#UnknownOperationException")


async def test_body_that_is_no_json_is_refused(sqs):
    headers = {"X-Amz-Target": "AmazonSQS.ListQueues"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(sqs.endpoint_url, data=b"[", headers=headers) as reply,
    ):
        assert reply.status == 400
        assert reply.headers["x-amzn-query-error"] == "SerializationException;Sender"


async def test_server_listens_on_loopback_only(sqs):
    assert sqs.endpoint_url.startswith("http://127.0.0.1:")


async def test_queue_is_found_whatever_host_its_url_names(sqs, sqs_post):
    sqs.create_queue("q")

    status, _, _ = await sqs_post(
        "SendMessage", QueueUrl="https://sqs.eu-west-1.amazonaws.com/1/q", MessageBody="hello"
    )

    assert status == 200


# ── contents ───────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("refused", ["\x00", "\x0b", "\x1f", "\ufffe"], ids=ascii)
async def test_message_is_refused_when_it_holds_a_character_sqs_refuses(sqs, sqs_post, refused):
    url = sqs.create_queue("q")

    _, _, body = await sqs_post("SendMessage", QueueUrl=url, MessageBody=f"a{refused}b")

    assert body["__type"] == "com.amazonaws.sqs#InvalidMessageContents"
    assert sqs.depth(url) == Depth(0, 0, 0)


async def test_bad_character_fails_its_entry_alone(sqs, sqs_post):
    url = sqs.create_queue("q")
    entries = [{"Id": "bad", "MessageBody": "\x00"}, {"Id": "good", "MessageBody": "a\tb\r\n"}]

    _, _, body = await sqs_post("SendMessageBatch", QueueUrl=url, Entries=entries)

    assert [entry["Id"] for entry in body["Successful"]] == ["good"]
    assert [(entry["Code"], entry["SenderFault"]) for entry in body["Failed"]] == [
        ("InvalidMessageContents", True)
    ]


async def test_attributes_count_for_the_size(sqs, sqs_post):
    url = sqs.create_queue("q", MaximumMessageSize="1024")
    attributes = {"a": {"DataType": "String", "StringValue": "x" * 17}}

    fits, _, _ = await sqs_post(
        "SendMessage", QueueUrl=url, MessageBody="x" * 1000, MessageAttributes=attributes
    )
    exceeds, _, _ = await sqs_post(
        "SendMessage", QueueUrl=url, MessageBody="x" * 1001, MessageAttributes=attributes
    )

    assert (fits, exceeds) == (200, 400)


@pytest.mark.parametrize(
    "attributes",
    [
        {"empty": {"DataType": "String", "StringValue": ""}},
        {"untyped": {"StringValue": "x"}},
        {"AWS.reserved": {"DataType": "String", "StringValue": "x"}},
        {"two..dots": {"DataType": "String", "StringValue": "x"}},
        {f"number{n}": {"DataType": "String", "StringValue": "x"} for n in range(11)},
    ],
    ids=["empty", "untyped", "reserved", "dots", "eleven"],
)
async def test_message_is_refused_with_attributes_sqs_refuses(sqs, sqs_post, attributes):
    url = sqs.create_queue("q")

    status, headers, _ = await sqs_post(
        "SendMessage", QueueUrl=url, MessageBody="hello", MessageAttributes=attributes
    )

    assert (status, headers["x-amzn-query-error"]) == (400, "InvalidParameterValue;Sender")


@pytest.mark.parametrize(
    ("queue", "over"),
    [
        ("q", {"MessageDeduplicationId": "x"}),
        ("q.fifo", {"MessageGroupId": "a", "MessageDeduplicationId": "x", "DelaySeconds": 5}),
    ],
    ids=["deduplication-on-standard", "delay-on-fifo"],
)
async def test_send_is_refused_when_a_parameter_does_not_fit_the_queue(sqs, sqs_post, queue, over):
    url = sqs.create_queue(queue, **({"FifoQueue": "true"} if queue.endswith("fifo") else {}))

    status, _, body = await sqs_post("SendMessage", QueueUrl=url, MessageBody="hello", **over)

    assert status == 400
    assert "not valid for this queue type" in body["message"]


async def test_fifo_send_and_receive_carry_the_sequence_number(sqs, sqs_client):
    url = sqs.create_queue("q.fifo", FifoQueue="true", ContentBasedDeduplication="true")

    sent = await sqs_client.send_message(QueueUrl=url, MessageBody="hello", MessageGroupId="a")
    reply = await sqs_client.receive_message(QueueUrl=url, AttributeNames=["All"])

    attributes = reply["Messages"][0]["Attributes"]
    assert attributes["SequenceNumber"] == sent["SequenceNumber"]


async def test_short_poll_is_refused_when_too_many_are_in_flight(sqs, sqs_post):
    url = sqs.create_queue("q")
    sqs.send(url, "hello")
    sqs._queues.find(url).in_flight_limit = 0

    _, short, _ = await sqs_post("ReceiveMessage", QueueUrl=url, WaitTimeSeconds=0)
    status, _, long = await sqs_post("ReceiveMessage", QueueUrl=url, WaitTimeSeconds=1)

    assert short["x-amzn-query-error"] == "OverLimit;Sender"
    assert (status, long) == (200, {})


# ── long polls ─────────────────────────────────────────────────────────────────────────────────
async def begin_long_poll(sqs, url):
    """Return the task of a poll that the server is waiting with."""
    target = {"X-Amz-Target": "AmazonSQS.ReceiveMessage"}

    async def poll():
        body = {"QueueUrl": url, "WaitTimeSeconds": 20}
        async with (
            aiohttp.ClientSession() as session,
            session.post(sqs.endpoint_url, json=body, headers=target) as reply,
        ):
            return await reply.json(content_type=None)

    task = asyncio.create_task(poll())
    changes = sqs._queues._kept[url.rpartition("/")[2]].changes
    async with asyncio.timeout(30):
        while not changes._waiting:  # noqa: ASYNC110  nothing rings when a wait begins
            await asyncio.sleep(0)
    return task


async def test_message_is_leased_to_no_one_when_the_client_hung_up_in_its_poll(sqs):
    url = sqs.create_queue("q")
    poll = await begin_long_poll(sqs, url)
    poll.cancel()
    await asyncio.gather(poll, return_exceptions=True)

    message_id = sqs.send(url, "hello")
    await sqs.wait_until(lambda: sqs.depth(url).in_flight == 1, timeout=5)

    assert sqs.journal.receives[message_id] == 1


async def test_one_message_ends_one_of_two_polls(sqs):
    url = sqs.create_queue("q")
    polls = [await begin_long_poll(sqs, url) for _ in range(2)]

    sqs.send(url, "hello")
    done, waiting = await asyncio.wait(polls, return_when=asyncio.FIRST_COMPLETED)

    assert [len(poll.result()["Messages"]) for poll in done] == [1]
    assert len(waiting) == 1
    await sqs.stop()
    assert await waiting.pop() == {}


async def test_poll_ends_with_an_error_when_its_queue_is_deleted(sqs, sqs_post):
    url = sqs.create_queue("q")
    poll = await begin_long_poll(sqs, url)

    await sqs_post("DeleteQueue", QueueUrl=url)

    answer = await asyncio.wait_for(poll, timeout=5)
    assert answer["__type"] == "com.amazonaws.sqs#QueueDoesNotExist"


@pytest.mark.looptime
async def test_long_poll_lasts_its_seconds_on_the_loops_clock(sqs, sqs_post):
    url = sqs.create_queue("q")
    started = asyncio.get_running_loop().time()

    _, _, body = await sqs_post("ReceiveMessage", QueueUrl=url, WaitTimeSeconds=20)

    assert body == {}
    assert asyncio.get_running_loop().time() - started == pytest.approx(20, abs=0.5)


@pytest.mark.looptime
async def test_lease_ends_on_the_loops_clock(sqs, sqs_post):
    url = sqs.create_queue("q", VisibilityTimeout="43200")
    sqs.send(url, "hello")
    await sqs_post("ReceiveMessage", QueueUrl=url)

    await sqs.wait_until(lambda: sqs.depth(url).visible == 1, timeout=50_000)

    assert sqs.messages(url)[0].receives == 1


@pytest.mark.looptime
async def test_call_takes_the_round_trip_longer(sqs, sqs_post):
    sqs.round_trip_seconds = 3
    started = asyncio.get_running_loop().time()

    await sqs_post("ListQueues")

    assert asyncio.get_running_loop().time() - started == pytest.approx(3, abs=0.5)


# ── for tests ──────────────────────────────────────────────────────────────────────────────────
async def test_wait_gives_up_at_its_deadline(sqs):
    with pytest.raises(TimeoutError):
        await sqs.wait_until(lambda: False, timeout=0.01)


async def test_sent_message_is_there_with_its_attributes(sqs, sqs_client):
    url = sqs.create_queue("q")
    message_id = sqs.send(url, "hello", attributes={"kind": Attribute("String", "voice")})

    reply = await sqs_client.receive_message(QueueUrl=url, MessageAttributeNames=["All"])

    [message] = reply["Messages"]
    assert message["MessageId"] == message_id
    assert message["MessageAttributes"]["kind"]["StringValue"] == "voice"
    [stored] = sqs.messages(url)
    assert (stored.sent.body, stored.receives, stored.hidden_until is None) == ("hello", 1, False)


async def test_calls_are_counted_by_action(sqs, sqs_post):
    for _ in range(3):
        await sqs_post("ListQueues")

    assert sqs.counts == {"ListQueues": 3}


async def test_journal_lists_receives_and_deletes_by_message(sqs, sqs_client):
    url = sqs.create_queue("q")
    message_id = sqs.send(url, "hello")
    for _ in range(2):
        reply = await sqs_client.receive_message(QueueUrl=url, VisibilityTimeout=0)
    handle = reply["Messages"][0]["ReceiptHandle"]
    entries = [
        {"Id": "good", "ReceiptHandle": handle},
        {"Id": "bad", "ReceiptHandle": "made-up"},
    ]
    await sqs_client.delete_message_batch(QueueUrl=url, Entries=entries)

    assert (sqs.journal.receives[message_id], sqs.journal.deletes[message_id]) == (2, 1)
    assert sqs.journal.outcomes("DeleteMessageBatch") == {"ok": 1, "ReceiptHandleIsInvalid": 1}
    assert [record.action for record in sqs.journal.find(message_id=message_id)] == [
        "ReceiveMessage",
        "ReceiveMessage",
        "DeleteMessageBatch",
    ]


async def test_journal_is_written_to_its_file_line_by_line(tmp_path):
    path = tmp_path / "sqs.jsonl"
    async with SqsServer(journal_path=path, wall_clock=lambda: 7.0) as sqs:
        url = sqs.create_queue("q")
        async with (
            aiohttp.ClientSession() as session,
            session.post(
                sqs.endpoint_url,
                json={"QueueUrl": url},
                headers={"X-Amz-Target": "AmazonSQS.ReceiveMessage"},
            ),
        ):
            [line] = path.read_text().splitlines()

    assert json.loads(line) == {
        "time": 7.0,
        "action": "ReceiveMessage",
        "queue": "q",
        "message_ids": [],
        "outcome": "empty",
    }


async def test_server_keeps_port_and_messages_through_an_outage(sqs, sqs_post):
    url = sqs.create_queue("q")
    sqs.send(url, "hello")

    await sqs.stop()
    with pytest.raises(aiohttp.ClientConnectionError):
        await sqs_post("ListQueues")
    await sqs.start()
    _, _, body = await sqs_post("ReceiveMessage", QueueUrl=url)

    assert body["Messages"][0]["Body"] == "hello"


async def test_queues_are_listed_in_pages(sqs, sqs_client):
    for name in ("a", "b", "c"):
        sqs.create_queue(name)

    first = await sqs_client.list_queues(MaxResults=2)
    second = await sqs_client.list_queues(MaxResults=2, NextToken=first["NextToken"])

    names = [url.rpartition("/")[2] for url in [*first["QueueUrls"], *second["QueueUrls"]]]
    assert names == ["a", "b", "c"]
    assert "NextToken" not in second


async def test_second_purge_within_a_minute_is_refused(sqs, sqs_client):
    url = sqs.create_queue("q")
    await sqs_client.purge_queue(QueueUrl=url)

    with pytest.raises(sqs_client.exceptions.PurgeQueueInProgress):
        await sqs_client.purge_queue(QueueUrl=url)


# ── move tasks ─────────────────────────────────────────────────────────────────────────────────
@pytest.fixture
def pair(sqs):
    """Make a queue with the policy "one receive, then dead", and its dead-letter queue."""
    dead_letters = sqs.create_queue("dead")
    policy = {"deadLetterTargetArn": sqs.arn(dead_letters), "maxReceiveCount": 1}
    return sqs.create_queue("q", RedrivePolicy=json.dumps(policy)), dead_letters


async def kill(sqs, sqs_post, url, *bodies):
    for body in bodies:
        sqs.send(url, body)
    for _ in range(2):
        await sqs_post("ReceiveMessage", QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0)


async def test_move_task_brings_dead_letters_back_as_new_messages(sqs, sqs_post, sqs_client, pair):
    url, dead_letters = pair
    await kill(sqs, sqs_post, url, "one", "two")
    before = {message.id for message in sqs.messages(dead_letters)}

    await sqs_client.start_message_move_task(SourceArn=sqs.arn(dead_letters))
    tasks = await sqs_client.list_message_move_tasks(SourceArn=sqs.arn(dead_letters))

    [task] = tasks["Results"]
    assert (task["Status"], task["ApproximateNumberOfMessagesMoved"]) == ("COMPLETED", 2)
    assert (sqs.depth(url).visible, sqs.depth(dead_letters).visible) == (2, 0)
    assert {message.receives for message in sqs.messages(url)} == {0}
    assert before.isdisjoint(message.id for message in sqs.messages(url))


async def test_move_task_fails_on_a_message_sqs_did_not_move_there(sqs, sqs_client, pair):
    _, dead_letters = pair
    sqs.send(dead_letters, "sent by hand")

    await sqs_client.start_message_move_task(SourceArn=sqs.arn(dead_letters))
    tasks = await sqs_client.list_message_move_tasks(SourceArn=sqs.arn(dead_letters))

    assert tasks["Results"][0]["FailureReason"] == "CouldNotDetermineMessageSource"
    assert sqs.depth(dead_letters) == Depth(1, 0, 0)


async def test_move_task_is_refused_when_the_source_is_no_dead_letter_queue(sqs, sqs_post, pair):
    url, _ = pair

    status, headers, _ = await sqs_post("StartMessageMoveTask", SourceArn=sqs.arn(url))

    assert (status, headers["x-amzn-query-error"]) == (400, "InvalidParameterValue;Sender")


@pytest.mark.looptime
async def test_cancelled_move_task_leaves_the_rest_where_it_is(sqs, sqs_post, pair):
    url, dead_letters = pair
    await kill(sqs, sqs_post, url, "1", "2", "3", "4", "5")
    _, _, started = await sqs_post(
        "StartMessageMoveTask", SourceArn=sqs.arn(dead_letters), MaxNumberOfMessagesPerSecond=1
    )

    await sqs.wait_until(lambda: sqs.depth(url).visible == 2, timeout=10)
    _, _, cancelled = await sqs_post("CancelMessageMoveTask", TaskHandle=started["TaskHandle"])
    again, _, _ = await sqs_post("CancelMessageMoveTask", TaskHandle=started["TaskHandle"])
    await asyncio.sleep(60)

    assert cancelled["ApproximateNumberOfMessagesMoved"] == 2
    assert again == 404
    assert (sqs.depth(url).visible, sqs.depth(dead_letters).visible) == (2, 3)

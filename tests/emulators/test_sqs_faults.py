"""Faults on purpose: the same seed gives the same ones, and each does what it says."""

import asyncio
from contextlib import asynccontextmanager

import aiohttp
import orjson
import pytest
from botocore.exceptions import ClientError

from worker.emulators.sqs import SqsServer
from worker.emulators.sqs.control import (
    ACCESS_DENIED,
    HTTP_500,
    HTTP_503,
    THROTTLED,
    DeliverAgain,
    Deny,
    Drip,
    FailEntries,
    FaultPlan,
    FewerMessages,
    InFlight,
    Refuse,
    Reset,
    Say,
    Silence,
    Slow,
    When,
)
from worker.emulators.sqs.queue import Depth


def hits(plan, calls, action="ReceiveMessage", queue="q"):
    return [number for number in range(1, calls + 1) if plan.draw(action, queue).faults]


# ── the plan ───────────────────────────────────────────────────────────────────────────────────
def test_same_seed_gives_the_same_faults():
    plans = [FaultPlan(seed) for seed in (7, 7, 8)]
    for plan in plans:
        plan.add("ReceiveMessage", HTTP_500, When(probability=0.3))

    first, same, other = (hits(plan, 200) for plan in plans)

    assert first == same
    assert first != other
    assert 30 < len(first) < 90


def test_calls_of_one_action_do_not_shift_the_faults_of_another():
    quiet, busy = FaultPlan(7), FaultPlan(7)
    for plan in (quiet, busy):
        plan.add("ReceiveMessage", HTTP_500, When(probability=0.3))
        plan.add("DeleteMessage", HTTP_500, When(probability=0.3))
    hits(busy, 50, "DeleteMessage")

    assert hits(busy, 100) == hits(quiet, 100)


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        (When(), [1, 2, 3, 4, 5, 6]),
        (When(first=2, last=3), [2, 3]),
        (When(every=3), [1, 4]),
        (When(every=2, first=2), [2, 4, 6]),
        (When(queue="other"), []),
        (When(probability=0), []),
    ],
    ids=str,
)
def test_rule_hits_the_calls_it_names(when, expected):
    plan = FaultPlan()
    plan.add("ReceiveMessage", HTTP_500, when)

    assert hits(plan, 6) == expected


def test_cleared_action_goes_well_again_and_others_do_not():
    plan = FaultPlan()
    plan.add("ReceiveMessage", HTTP_500)
    plan.add("DeleteMessage", HTTP_500)

    plan.clear("ReceiveMessage")

    assert hits(plan, 1) == []
    assert hits(plan, 1, "DeleteMessage") == [1]


def test_rule_for_any_action_hits_all():
    plan = FaultPlan()
    plan.add("*", HTTP_500)

    assert hits(plan, 1) == hits(plan, 1, "SendMessage") == [1]


def test_rule_ends_by_itself_after_its_seconds():
    now = [100.0]
    plan = FaultPlan(clock=lambda: now[0])
    plan.add("ReceiveMessage", HTTP_503, When(seconds=20))
    found = []
    for now[0] in (100.0, 119.9, 120.0, 500.0):
        found.append(len(hits(plan, 1)))

    assert found == [1, 1, 0, 0]


# ── over the wire ──────────────────────────────────────────────────────────────────────────────
@pytest.fixture
def url(sqs):
    return sqs.create_queue("q")


@pytest.mark.parametrize(
    ("fault", "answer"),
    [
        (HTTP_500, (500, "InternalError")),
        (THROTTLED, (400, "RequestThrottled")),
        (Refuse("RequestThrottled", 503), (503, "RequestThrottled")),
        (ACCESS_DENIED, (403, "AccessDenied")),
    ],
    ids=str,
)
async def test_refused_call_has_no_effect_and_names_its_code(sqs, sqs_client, url, fault, answer):
    sqs.faults.add("SendMessage", fault)

    with pytest.raises(ClientError) as raised:
        await sqs_client.send_message(QueueUrl=url, MessageBody="hello")

    response = raised.value.response
    assert (response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]) == answer
    assert sqs.depth(url) == Depth(0, 0, 0)
    assert sqs.journal.outcomes("SendMessage") == {answer[1]: 1}


async def test_answer_may_be_lost_after_the_effect(sqs, sqs_post, url):
    sqs.faults.add("SendMessage", Refuse(after_effect=True))

    status, _, _ = await sqs_post("SendMessage", QueueUrl=url, MessageBody="hello")

    assert status == 500
    assert sqs.depth(url) == Depth(1, 0, 0)


async def test_connection_is_reset_and_the_next_call_goes_well(sqs, sqs_post, url):
    sqs.faults.add("SendMessage", Reset(), When(last=1))

    with pytest.raises(aiohttp.ClientOSError):
        await sqs_post("SendMessage", QueueUrl=url, MessageBody="lost")
    status, _, _ = await sqs_post("SendMessage", QueueUrl=url, MessageBody="hello")

    assert status == 200
    assert [message.sent.body for message in sqs.messages(url)] == ["hello"]


@pytest.mark.looptime
async def test_slow_call_takes_its_seconds(sqs, sqs_post, url):
    sqs.faults.add("SendMessage", Slow(seconds=9))
    started = asyncio.get_running_loop().time()

    await sqs_post("SendMessage", QueueUrl=url, MessageBody="hello")

    assert asyncio.get_running_loop().time() - started == pytest.approx(9, abs=0.5)


@pytest.mark.parametrize("sender_fault", [True, False])
async def test_some_entries_of_a_batch_fail_and_keep_their_message(
    sqs, sqs_post, url, sender_fault
):
    for body in ("1", "2", "3"):
        sqs.send(url, body)
    _, _, received = await sqs_post("ReceiveMessage", QueueUrl=url, MaxNumberOfMessages=3)
    entries = [
        {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]}
        for number, message in enumerate(received["Messages"])
    ]
    sqs.faults.add(
        "DeleteMessageBatch", FailEntries(count=2, shape="Unlucky", sender_fault=sender_fault)
    )

    status, _, reply = await sqs_post("DeleteMessageBatch", QueueUrl=url, Entries=entries)

    assert status == 200
    assert len(reply["Successful"]) == 1
    assert {(e["Code"], e["SenderFault"]) for e in reply["Failed"]} == {("Unlucky", sender_fault)}
    assert sqs.depth(url) == Depth(0, 2, 0)


async def test_receive_gives_fewer_than_there_are(sqs, sqs_post, url):
    for body in ("1", "2", "3"):
        sqs.send(url, body)
    sqs.faults.add("ReceiveMessage", FewerMessages(at_most=2))

    _, _, reply = await sqs_post("ReceiveMessage", QueueUrl=url, MaxNumberOfMessages=10)

    assert len(reply["Messages"]) == 2
    assert sqs.depth(url) == Depth(1, 2, 0)


async def test_message_is_delivered_again_while_it_is_in_flight(sqs, sqs_post, url):
    sqs.send(url, "hello")
    sqs.faults.add("ReceiveMessage", DeliverAgain(), When(last=1))

    replies = [(await sqs_post("ReceiveMessage", QueueUrl=url))[2] for _ in range(3)]

    ids = [[message["MessageId"] for message in reply.get("Messages", [])] for reply in replies]
    assert ids[0] == ids[1] != []
    assert ids[2] == []


# ── answers that are hard to take ──────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("fault", "action"), [(Deny(), "sqs:sendmessage"), (Deny("kms:Decrypt"), "kms:Decrypt")]
)
async def test_denied_call_names_the_action_in_the_words_of_aws(
    sqs, sqs_client, url, fault, action
):
    sqs.faults.add("SendMessageBatch", fault)

    with pytest.raises(ClientError) as raised:
        await sqs_client.send_message_batch(
            QueueUrl=url, Entries=[{"Id": "0", "MessageBody": "hello"}]
        )

    error = raised.value.response["Error"]
    assert error["Code"] == "AccessDenied"
    assert f"is not authorized to perform: {action} on resource: arn:aws:sqs:" in error["Message"]
    assert sqs.depth(url) == Depth(0, 0, 0)


async def test_success_may_say_anything_after_its_effect(sqs, sqs_post, url):
    sqs.faults.add("SendMessage", Say('{"Successful":[{}]}'))

    status, _, reply = await sqs_post("SendMessage", QueueUrl=url, MessageBody="hello")

    assert (status, reply) == (200, {"Successful": [{}]})
    assert sqs.depth(url) == Depth(1, 0, 0)


async def test_queue_says_that_more_is_in_flight_than_is(sqs, sqs_post, url):
    sqs.faults.add("GetQueueAttributes", InFlight(110_000))

    _, _, reply = await sqs_post("GetQueueAttributes", QueueUrl=url, AttributeNames=["All"])

    assert reply["Attributes"]["ApproximateNumberOfMessagesNotVisible"] == "110000"


@pytest.mark.parametrize("head", [True, False])
async def test_answer_comes_byte_by_byte_and_is_whole_in_the_end(sqs, sqs_post, url, head):
    sqs.faults.add("SendMessage", Drip(seconds=0.001, head=head))
    started = asyncio.get_running_loop().time()

    status, headers, reply = await sqs_post("SendMessage", QueueUrl=url, MessageBody="hello")

    assert status == 200
    assert headers["Content-Type"] == "application/x-amz-json-1.0"
    assert reply["MessageId"]
    least = len(str(reply)) + (200 if head else 0)
    assert asyncio.get_running_loop().time() - started > 0.001 * least


async def test_drip_ends_with_its_client(sqs, url):
    sqs.faults.add("SendMessage", Drip(seconds=0.05, head=True))
    async with _half_a_call(sqs, "SendMessage", url) as reader:
        assert await reader.readexactly(4) == b"HTTP"

    await _no_one_is_served(sqs)


@pytest.mark.parametrize("after_effect", [True, False])
async def test_call_is_taken_and_never_answered(sqs, url, after_effect):
    sqs.faults.add("SendMessage", Silence(after_effect=after_effect))
    async with _half_a_call(sqs, "SendMessage", url) as reader:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.3)
        assert sqs.depth(url) == Depth(int(after_effect), 0, 0)
        assert sqs.journal.outcomes("SendMessage")["silence"] == 1

    await _no_one_is_served(sqs)


async def test_answers_carry_the_date_of_the_servers_own_clock():
    async with SqsServer(wall_clock=lambda: 1772452800.5) as server:
        url = server.create_queue("q")
        async with _half_a_call(server, "SendMessage", url) as reader:
            head = await reader.readuntil(b"\r\n\r\n")

    assert b"Date: Mon, 02 Mar 2026 12:00:00 GMT\r\n" in head


@asynccontextmanager
async def _half_a_call(server, action, url):
    """Send a request, and give what the answer is read from; hang up in the end."""
    body = orjson.dumps({"QueueUrl": url, "MessageBody": "hello"})
    head = f"POST / HTTP/1.1\r\nHost: sqs\r\nX-Amz-Target: AmazonSQS.{action}\r\n"
    host = server.address.host, server.address.port
    reader, writer = await asyncio.open_connection(*host)
    try:
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        yield reader
    finally:
        writer.close()
        await writer.wait_closed()


async def _no_one_is_served(server):
    async with asyncio.timeout(5):
        while server._runner.server.connections:  # noqa: ASYNC110  a server rings no bell
            await asyncio.sleep(0.01)


# ── switched from another process ──────────────────────────────────────────────────────────────
async def test_faults_are_switched_over_the_wire(sqs, sqs_post, url):
    asked = {"action": "SendMessage", "fault": "Deny", "when": {"seconds": 60, "queue": "q"}}
    async with aiohttp.ClientSession(sqs.endpoint_url) as http:
        async with http.post("/faults", json=asked) as reply:
            assert reply.status == 200
        denied, _, _ = await sqs_post("SendMessage", QueueUrl=url, MessageBody="hello")
        async with http.delete("/faults", params={"action": "SendMessage"}) as reply:
            assert reply.status == 200
        done, _, _ = await sqs_post("SendMessage", QueueUrl=url, MessageBody="hello")
        async with http.get("/counts") as reply:
            counts = await reply.json()

    assert (denied, done) == (403, 200)
    assert counts["calls"] == {"SendMessage": 2}
    assert counts["outcomes"]["SendMessage"] == {"AccessDenied": 1, "ok": 1}


@pytest.mark.parametrize(
    "asked", [b"", b"[]", b'{"fault":"Deny"}', b'{"action":"*","fault":"None"}',
              b'{"action":"*","fault":"Slow","with":{"minutes":1}}'],
)  # fmt: skip
async def test_fault_that_there_is_not_is_refused_with_those_there_are(sqs, asked):
    async with (
        aiohttp.ClientSession(sqs.endpoint_url) as http,
        http.post("/faults", data=asked) as reply,
    ):
        reported = await reply.json()

    assert reply.status == 400
    assert {"Deny", "Drip", "Silence"} < set(reported["faults"])
    assert not sqs.faults.draw("SendMessage", "q").faults

"""Faults on purpose: the same seed gives the same ones, and each does what it says."""

import asyncio

import aiohttp
import pytest
from botocore.exceptions import ClientError

from worker.demo.sqs.faults import (
    ACCESS_DENIED,
    HTTP_500,
    THROTTLED,
    DeliverAgain,
    FailEntries,
    FaultPlan,
    FewerMessages,
    Refuse,
    Reset,
    Slow,
    When,
)
from worker.demo.sqs.queue import Depth


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


async def test_message_is_delivered_again_while_it_is_in_hand(sqs, sqs_post, url):
    sqs.send(url, "hello")
    sqs.faults.add("ReceiveMessage", DeliverAgain(), When(last=1))

    replies = [(await sqs_post("ReceiveMessage", QueueUrl=url))[2] for _ in range(3)]

    ids = [[message["MessageId"] for message in reply.get("Messages", [])] for reply in replies]
    assert ids[0] == ids[1] != []
    assert ids[2] == []

"""The benchmark's SQS keeps to the rules that its contestants rely on."""

import asyncio
import hashlib
import os
import sys

import aioboto3
import orjson
import pytest

from tests.benchmarks.queue_server import QueueServer
from tests.benchmarks.server.queue import Queue
from tests.benchmarks.server.sessions import session_processes, session_seconds

SECONDS = 30.0


@pytest.fixture
def queue():
    queue = Queue(visibility_seconds=SECONDS)
    queue.send("first")
    return queue


def test_a_received_message_is_not_given_out_again(queue):
    queue.receive(10, now=0, visibility_seconds=None)

    assert queue.receive(10, now=SECONDS - 1, visibility_seconds=None) == []


def test_a_message_comes_again_when_its_lease_ends(queue):
    queue.receive(10, now=0, visibility_seconds=None)

    assert len(queue.receive(10, now=SECONDS, visibility_seconds=None)) == 1


def test_a_receive_gives_no_more_than_was_asked_for(queue):
    queue.send("second")

    assert len(queue.receive(1, now=0, visibility_seconds=None)) == 1


def test_an_older_receipt_deletes_nothing(queue):
    [message] = queue.receive(1, now=0, visibility_seconds=None)
    older = message.handle
    queue.receive(1, now=SECONDS, visibility_seconds=None)

    assert queue.delete(older) is None
    assert queue.hidden == [0]


def test_a_lease_that_was_prolonged_ends_later(queue):
    [message] = queue.receive(1, now=0, visibility_seconds=None)

    assert queue.hide(message.handle, SECONDS, now=20)

    assert queue.receive(1, now=SECONDS + 1, visibility_seconds=None) == []
    assert len(queue.receive(1, now=20 + SECONDS, visibility_seconds=None)) == 1


def test_a_message_that_is_made_visible_again_can_be_received_at_once(queue):
    [message] = queue.receive(1, now=0, visibility_seconds=None)

    queue.hide(message.handle, 0, now=1)

    assert len(queue.receive(1, now=1, visibility_seconds=None)) == 1


@pytest.fixture
async def server():
    async with QueueServer() as server:
        await server.reset()
        yield server


@pytest.fixture
async def sqs(server):
    session = aioboto3.Session("x", "x", region_name="us-east-1")
    async with session.client("sqs", endpoint_url=server.url) as client:
        yield client


@pytest.fixture
async def fill(server, tmp_path):
    async def fill(count, first=1):
        path = tmp_path / "messages.jsonl"
        path.write_bytes(b"\n".join(orjson.dumps([f'{{"n": {n}}}', {}]) for n in range(100)))
        await server.fill(path, first, count)

    return fill


async def test_the_sdk_reads_body_digest_and_receive_count(server, sqs, fill):
    await fill(1)

    answer = await sqs.receive_message(QueueUrl=server.queue_url)

    [message] = answer["Messages"]
    assert message["Body"] == '{"n": 1}'
    assert message["MD5OfBody"] == hashlib.md5(b'{"n": 1}', usedforsecurity=False).hexdigest()
    assert message["Attributes"]["ApproximateReceiveCount"] == "1"


async def test_an_empty_queue_answers_without_messages(server, sqs):
    assert "Messages" not in await sqs.receive_message(QueueUrl=server.queue_url)


async def test_a_long_poll_gets_what_comes_while_it_waits(server, sqs, fill):
    poll = asyncio.create_task(sqs.receive_message(QueueUrl=server.queue_url, WaitTimeSeconds=20))
    while not (await server.state())["calls"]:
        pass

    await fill(1)

    assert len((await poll)["Messages"]) == 1


async def test_a_deleted_batch_is_gone_and_known_by_number(server, sqs, fill):
    await fill(3)
    answer = await sqs.receive_message(QueueUrl=server.queue_url, MaxNumberOfMessages=10)
    entries = [
        {"Id": str(place), "ReceiptHandle": message["ReceiptHandle"]}
        for place, message in enumerate(answer["Messages"])
    ]

    await sqs.delete_message_batch(QueueUrl=server.queue_url, Entries=entries)

    state = await server.state()
    assert (state["hidden"], state["deleted"]) == ([], [1, 2, 3])


async def test_what_was_sent_can_be_kept_and_put_back(server, sqs, tmp_path):
    attributes = {"kind": {"DataType": "String", "StringValue": "score"}}
    await sqs.send_message(
        QueueUrl=server.queue_url, MessageBody="sent", MessageAttributes=attributes
    )
    await server.keep(tmp_path / "kept.jsonl")
    await server.reset()

    await server.fill(tmp_path / "kept.jsonl", 0, 1)

    answer = await sqs.receive_message(QueueUrl=server.queue_url, MessageAttributeNames=["All"])
    [message] = answer["Messages"]
    assert (message["Body"], message["MessageAttributes"]) == ("sent", attributes)


async def test_a_round_trip_delays_no_other(server, sqs):
    await server.reset(round_trip_seconds=5)
    slow = asyncio.create_task(sqs.receive_message(QueueUrl=server.queue_url))
    while not (await server.state())["calls"]:
        pass

    assert not slow.done()
    slow.cancel()


async def test_a_stretch_counts_calls_and_deletes_between_its_marks(server, sqs, fill):
    await server.watch(0, begin=2, end=5, seconds=20)
    await fill(5)
    for _ in range(5):
        [message] = (await sqs.receive_message(QueueUrl=server.queue_url))["Messages"]
        receipt = message["ReceiptHandle"]
        await sqs.delete_message(QueueUrl=server.queue_url, ReceiptHandle=receipt)

    stretch = await server.wait(20)

    assert stretch.complete
    assert stretch.deleted == 3
    assert stretch.calls == {"ReceiveMessage": 3, "DeleteMessage": 3}


async def test_messages_that_are_still_at_work_make_no_call_dearer(server, sqs, fill):
    await server.watch(0, begin=10, end=20, seconds=20)
    await fill(30)
    one = {"QueueUrl": server.queue_url}
    receipts = []
    for receives in (1, 2):
        for _ in range(receives):
            answer = await sqs.receive_message(**one, MaxNumberOfMessages=10)
            receipts += [message["ReceiptHandle"] for message in answer["Messages"]]
        entries = [{"Id": str(place), "ReceiptHandle": receipts.pop(0)} for place in range(10)]
        await sqs.delete_message_batch(**one, Entries=entries)

    stretch = await server.wait(20)

    assert (stretch.given, stretch.deleted) == (20, 10)
    assert stretch.calls_a_message == pytest.approx(0.2)


async def test_the_slow_message_counts_for_nothing(server, sqs, fill):
    await server.watch(0, begin=0, end=1, seconds=20)
    await fill(1, first=0)
    [slow] = (await sqs.receive_message(QueueUrl=server.queue_url))["Messages"]

    await sqs.delete_message(QueueUrl=server.queue_url, ReceiptHandle=slow["ReceiptHandle"])

    assert await server.wait(0) is None


async def test_a_stretch_that_never_began_is_reported(server):
    await server.watch(0, begin=0, end=1, seconds=20)

    assert await server.wait(0) is None


GRANDCHILD = """
import os, subprocess, sys
inner = '''
import os
os.setpgid(0, 0)
while os.times().user < 0.1:
    pass
print(os.getpid(), flush=True)
input()
'''
subprocess.Popen([sys.executable, "-c", inner])
input()
"""


async def test_a_session_is_found_with_children_that_made_a_group_of_their_own():
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", GRANDCHILD, stdin=-1, stdout=-1, start_new_session=True
    )
    grandchild = int(await process.stdout.readline())
    try:
        assert set(session_processes(process.pid)) == {process.pid, grandchild}
        assert session_seconds(process.pid) >= 0.1
    finally:
        for pid in (grandchild, process.pid):
            os.kill(pid, 9)
        await process.wait()

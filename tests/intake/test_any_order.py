"""Whatever goes wrong, in whatever order: nothing is lost, doubled or left behind.

A quarter of an hour under seeded faults takes a second or two, as time is virtual.
"""

import asyncio
from collections import Counter
from random import Random

import pytest

from tests.support.aws import TRANSPORTS
from tests.support.factories import a_conversation_ended, a_reference_body, a_voice_scored
from worker.emulators.sqs.control import (
    HTTP_500,
    DeliverAgain,
    FailEntries,
    FewerMessages,
    Reset,
    Slow,
    When,
)
from worker.errors import NotYet, Permanent, RateLimited, Unavailable
from worker.events.origin import Result

SEEDS = range(2)
MESSAGES = 120
GROUPS = 7
HARM_SECONDS = 900
PROCESSES = 6

FAULTS = {
    "ReceiveMessage": [
        HTTP_500,
        Reset(after_effect=True),
        FewerMessages(3),
        DeliverAgain(),
        Slow(12),
    ],
    "DeleteMessageBatch": [
        HTTP_500,
        Reset(after_effect=True),
        FailEntries(2),
        FailEntries(1, sender_fault=True),
        Slow(7),
    ],
    "ChangeMessageVisibilityBatch": [
        HTTP_500,
        Reset(),
        FailEntries(2),
        FailEntries(1, shape="ReceiptHandleIsInvalid", sender_fault=True),
        Slow(8),
    ],
    "SendMessage": [HTTP_500, Reset(after_effect=True)],
}
ERRORS = [
    lambda: Unavailable("down"),
    lambda: RateLimited("429", retry_after=7),
    lambda: NotYet("soon", retry_after=3),
    lambda: RuntimeError("no one thought of it"),
    lambda: Permanent("never"),
]


class Whims:
    """Handlers that take their time, fail as they like, and note what they did."""

    def __init__(self, random):
        self.done = []
        self._random = random

    async def __call__(self, event):
        await asyncio.sleep(self._random.choice([0, 0, 0.1, 1, 20, 45]))
        if (whim := self._random.randrange(12)) < len(ERRORS):
            error = ERRORS[whim]()
            raise error
        self.done.append(event.conversation_id)
        return Result.OK


@pytest.fixture(params=["standard", "fifo"])
def fifo(request):
    return request.param == "fifo"


@pytest.fixture
def make_queue(sqs, fifo):
    def make(name, **attributes):
        if fifo:
            return sqs.create_queue(f"{name}.fifo", FifoQueue="true", **attributes)
        return sqs.create_queue(name, **attributes)

    return make


@pytest.fixture
async def dead_letters(make_queue):
    return make_queue("dead-letters")


@pytest.fixture
async def queue(make_queue):
    return make_queue("events", VisibilityTimeout="30")


@pytest.fixture(params=SEEDS)
def random(request):
    return Random(request.param)


@pytest.fixture
async def sent(sqs, queue, random, fifo):
    """Conversation ids by group, in order; one group on a standard queue."""
    sent = {}
    for number in range(MESSAGES):
        event = random.choice([a_voice_scored, a_conversation_ended])()
        group = f"g{random.randrange(GROUPS)}" if fifo else None
        where = {"group_id": group, "deduplication_id": str(number)} if fifo else {}
        sqs.send(queue, a_reference_body(event).decode(), **where)
        sent.setdefault(group, []).append(event.conversation_id)
    return sent


def harm(sqs, random):
    sqs.faults.clear()
    for action, faults in FAULTS.items():
        for fault in faults:
            sqs.faults.add(action, fault, When(probability=random.choice([0, 0.03, 0.1])))


def nothing_is_held(intake):
    consumer = intake.consumer
    groups = consumer.groups._groups if consumer.groups else {}
    return not (
        consumer.delivery.running
        or consumer._tasks
        or intake.leases
        or intake.acks.outstanding
        or groups
        or consumer.gate.waiting
    )


def lost(sqs, dead_letters, sent, done):
    dead_lettered = "".join(message.sent.body for message in sqs.messages(dead_letters))
    return [
        one for ids in sent.values() for one in ids if one not in done and one not in dead_lettered
    ]


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.looptime
async def test_each_message_is_done_once_in_its_order_or_dead_lettered(
    sqs, queue, dead_letters, random, sent, start_intake, fifo, transport
):
    whims = Whims(random)
    harm(sqs, random)
    how = {"SQS_CONCURRENCY": random.choice([4, 10, 20]), "AWS_TRANSPORT": transport}

    async with start_intake(whims, beside=whims, RETRY_CAP_SECONDS=30, **how) as intake:
        await asyncio.sleep(HARM_SECONDS)
        sqs.faults.clear()
        await sqs.wait_until(lambda: sum(sqs.depth(queue)) == 0, 3600)
        await asyncio.sleep(60)
        assert nothing_is_held(intake)
        report = await intake.drain()
        assert sum(intake.permits.used.values()) == 0

    assert (report.released, report.stranded) == (0, 0)
    assert lost(sqs, dead_letters, sent, set(whims.done)) == []
    assert max(Counter(whims.done).values()) == 1
    for ids in sent.values() if fifo else ():
        assert [one for one in whims.done if one in ids] == [x for x in ids if x in whims.done]


@pytest.mark.looptime
async def test_a_drain_at_any_moment_leaves_the_rest_to_the_next_process(
    sqs, queue, dead_letters, random, sent, start_intake
):
    whims = Whims(random)
    for _ in range(PROCESSES):
        harm(sqs, random)
        concurrency = random.choice([4, 10, 20])
        async with start_intake(
            whims, beside=whims, RETRY_CAP_SECONDS=30, SQS_CONCURRENCY=concurrency
        ) as intake:
            await asyncio.sleep(random.uniform(0, 90))
            await intake.drain(random.choice([0, 3, 20]))
            await asyncio.sleep(30)
            assert nothing_is_held(intake)
            assert sum(intake.permits.used.values()) == 0
            assert not intake.consumer.pollers
    sqs.faults.clear()
    async with start_intake(whims, beside=whims, RETRY_CAP_SECONDS=30):
        await sqs.wait_until(lambda: sum(sqs.depth(queue)) == 0, 3600)

    assert lost(sqs, dead_letters, sent, set(whims.done)) == []

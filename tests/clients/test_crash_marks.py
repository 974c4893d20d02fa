"""Marks of messages in flight: what proves that a process died of one, and what does not."""

import asyncio
import time
from random import Random

import pytest
from structlog.testing import capture_logs

from tests.support.dynamodb import Strict, a_client, a_guard, a_store_table
from worker.clients.aws import crash_marks
from worker.clients.aws.crash_marks import (
    KEPT_SECONDS,
    PAUSE_SECONDS,
    CrashMarks,
    Evidence,
    evidence_of,
)
from worker.resilience.work import Work, begin
from worker.telemetry import metrics

VISIBILITY = 30.0
NONE = Evidence()


class Clock:
    """The time of all workers, moved by hand."""

    def __init__(self):
        self.now = time.time()

    def __call__(self):
        return self.now


@pytest.fixture
async def client(wire):
    async with a_client() as client:
        yield client


@pytest.fixture
async def table(client):
    return await a_store_table(client)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def process(client, table, clock):
    """Make the marks of a process, by its name."""
    return lambda owner, ahead=0.0: CrashMarks(
        client, table, a_guard(), owner, lambda: clock() + ahead
    )


async def marks_in(client, table):
    return (await client.scan(TableName=table, ConsistentRead=True))["Items"]


# ── what a mark proves ─────────────────────────────────────────────────────────────────────────
async def test_a_message_that_was_not_in_flight_proves_nothing(process):
    assert await process("a").begin("q", "m", VISIBILITY) == NONE


async def test_a_mark_says_whose_it_is_and_until_when(process, client, table, clock):
    await process("a").begin("q", "m", VISIBILITY)

    (mark,) = await marks_in(client, table)
    assert mark == {
        "id": {"S": "mark|q|m"},
        "owner": {"S": "a"},
        "leaseUntil": {"N": str(int((clock.now + VISIBILITY) * 1000))},
        "expiresAt": {"N": str(int(clock.now + KEPT_SECONDS))},
        "alone": {"BOOL": False},
    }


async def test_a_mark_left_by_another_is_a_death_as_soon_as_sqs_gives_the_message_again(
    process, clock
):
    await process("dead").begin("q", "m", VISIBILITY)
    clock.now += VISIBILITY - 0.5  # the mark was written half a second after the receive

    assert await process("next").begin("q", "m", VISIBILITY) == (1, False)


@pytest.mark.parametrize("ahead", [-5.0, 5.0])
async def test_clocks_may_differ_by_the_allowance(process, clock, ahead):
    await process("dead").begin("q", "m", VISIBILITY)
    clock.now += VISIBILITY - 0.5

    assert (await process("next", ahead).begin("q", "m", VISIBILITY)).deaths == 1


async def test_deaths_add_up_and_only_the_last_says_whether_it_was_alone(process, clock):
    found = []
    for number in range(5):
        marks = process(f"p{number}")
        found.append(await marks.begin("q", "m", VISIBILITY))
        if number == 2:
            await marks.alone("q", "m")
        clock.now += VISIBILITY

    assert found == [NONE, (1, False), (2, False), (3, True), (4, False)]


async def test_to_run_alone_late_in_a_lease_does_not_hide_the_death(process, clock):
    dying = process("dead")
    await dying.begin("q", "m", VISIBILITY)
    clock.now += VISIBILITY - 2
    await dying.alone("q", "m")
    clock.now += 2

    assert await process("next").begin("q", "m", VISIBILITY) == (1, True)


async def test_what_was_counted_is_still_known_to_one_that_sees_no_death(process, clock):
    for owner in ("p1", "p2"):
        await process(owner).begin("q", "m", VISIBILITY)
        clock.now += VISIBILITY
    again = process("p3")

    assert await again.begin("q", "m", VISIBILITY) == (2, False)
    assert await again.begin("q", "m", VISIBILITY) == (2, False)


async def test_a_second_copy_of_sqs_beside_a_living_owner_is_no_death(process, clock):
    await process("alive").begin("q", "m", VISIBILITY)
    clock.now += VISIBILITY / 2

    assert await process("other").begin("q", "m", VISIBILITY) == NONE


async def test_an_own_mark_is_no_death(process, clock):
    marks = process("a")
    await marks.begin("q", "m", VISIBILITY)
    await marks.alone("q", "m")
    clock.now += 10 * VISIBILITY

    assert await marks.begin("q", "m", VISIBILITY) == NONE


async def test_messages_and_queues_are_distinguished(process, clock):
    await process("dead").begin("q", "m", VISIBILITY)
    clock.now += VISIBILITY

    assert await process("next").begin("q", "n", VISIBILITY) == NONE
    assert await process("next").begin("r", "m", VISIBILITY) == NONE


async def test_a_mark_of_yesterday_proves_nothing_although_ttl_has_not_deleted_it(process, clock):
    for owner in ("p1", "p2"):
        await process(owner).begin("q", "m", VISIBILITY)
        clock.now += VISIBILITY
    clock.now += KEPT_SECONDS

    assert await process("p3").begin("q", "m", VISIBILITY) == NONE
    clock.now += VISIBILITY
    assert await process("p4").begin("q", "m", VISIBILITY) == (1, False)


async def test_a_long_run_that_renews_its_mark_is_alive_beside_a_second_copy(process, clock):
    owner = process("a")
    await owner.begin("q", "m", VISIBILITY)
    for _ in range(4):
        clock.now += VISIBILITY / 2
        await owner.renew("q", ["m"], VISIBILITY)
    clock.now += 1

    assert await process("b").begin("q", "m", VISIBILITY) == NONE


async def test_a_mark_of_another_is_not_renewed(process, clock):
    late = process("a")
    await late.begin("q", "m", VISIBILITY)
    clock.now += VISIBILITY
    await process("b").begin("q", "m", VISIBILITY)
    clock.now += VISIBILITY
    await late.renew("q", ["m", "never marked"], VISIBILITY)
    await late.alone("q", "m")

    assert await process("c").begin("q", "m", VISIBILITY) == (2, False)


def test_a_short_visibility_has_a_smaller_allowance():
    mark = {"owner": {"S": "a"}, "leaseUntil": {"N": "8000"}, "expiresAt": {"N": "999"}}

    assert evidence_of(mark, "b", 3.9, 8.0) == NONE
    assert evidence_of(mark, "b", 4.0, 8.0) == (1, False)


# ── how a mark ends ────────────────────────────────────────────────────────────────────────────
async def test_an_outcome_takes_the_mark_off_with_all_that_was_counted(
    process, client, table, clock
):
    await process("dead").begin("q", "m", VISIBILITY)
    clock.now += VISIBILITY
    marks = process("alive")
    await marks.begin("q", "m", VISIBILITY)
    await marks.end("q", "m")

    assert await marks_in(client, table) == []


async def test_a_mark_of_another_is_not_taken_off(process, client, table, clock):
    late = process("a")
    await late.begin("q", "m", VISIBILITY)
    clock.now += VISIBILITY
    await process("b").begin("q", "m", VISIBILITY)
    await late.end("q", "m")
    await late.release("q", "m")

    (mark,) = await marks_in(client, table)
    assert mark["owner"] == {"S": "b"}


async def test_what_is_released_without_an_outcome_keeps_its_deaths_and_adds_none(process, clock):
    for owner in ("p1", "p2"):
        await process(owner).begin("q", "m", VISIBILITY)
        clock.now += VISIBILITY
    drained = process("p3")
    await drained.begin("q", "m", VISIBILITY)
    await drained.alone("q", "m")
    await drained.release("q", "m")
    clock.now += VISIBILITY

    assert await process("p4").begin("q", "m", VISIBILITY) == (2, False)


async def test_the_mark_of_a_lost_message_is_taken_off_too(process, client, table):
    marks = process("a")
    marks._guard = Strict(marks._guard)
    await marks.begin("q", "m", VISIBILITY)
    begin(Work("m", "voice", holds_lease=lambda: False))
    await marks.end("q", "m")

    assert await marks_in(client, table) == []


# ── without the table ──────────────────────────────────────────────────────────────────────────
async def test_a_table_that_is_down_proves_nothing_and_raises_nothing(process, wire):
    marks, before = process("a"), unavailable()
    wire.cut = True

    with capture_logs() as logs:
        for number in range(20):
            assert await marks.begin("q", f"m{number}", VISIBILITY) == NONE
            await marks.alone("q", f"m{number}")
            await marks.renew("q", [f"m{number}"], VISIBILITY)
            await marks.end("q", f"m{number}")

    assert [line["event"] for line in logs] == ["crash_marks_unavailable"]
    assert unavailable() - before == 80
    assert wire.requests < 10  # it is left alone for a while


async def test_a_table_that_does_not_answer_delays_a_message_by_seconds(process, wire, monkeypatch):
    monkeypatch.setattr("worker.clients.aws.crash_marks.ANSWER_SECONDS", 0.2)
    marks, wire.hold = process("a"), True
    clock = asyncio.get_running_loop().time
    began = clock()

    assert await marks.begin("q", "m", VISIBILITY) == NONE
    assert await marks.begin("q", "n", VISIBILITY) == NONE

    wire.hold = False
    assert clock() - began < 1


async def test_marks_that_could_not_be_taken_off_are_taken_off_later(
    process, wire, client, table, monkeypatch
):
    marks, requests = process("a"), wire.requests
    for number in range(8):
        await marks.begin("q", f"m{number}", VISIBILITY)
    wire.cut = True
    for number in range(8):
        await marks.end("q", f"m{number}")
    wire.cut = False
    assert len(await marks_in(client, table)) == 8
    _let_pass(marks, PAUSE_SECONDS)
    for number in range(2):
        await marks.begin("q", f"n{number}", VISIBILITY)
        await marks.end("q", f"n{number}")

    assert await marks_in(client, table) == []
    assert wire.requests > requests


async def test_a_mark_that_is_begun_anew_is_not_taken_off_for_its_earlier_end(
    process, wire, client, table
):
    marks = process("a")
    await marks.begin("q", "m", VISIBILITY)
    wire.cut = True
    await marks.end("q", "m")
    wire.cut = False
    _let_pass(marks, PAUSE_SECONDS)
    await marks.begin("q", "m", VISIBILITY)
    await marks.begin("q", "n", VISIBILITY)
    await marks.end("q", "n")

    assert [mark["id"]["S"] for mark in await marks_in(client, table)] == ["mark|q|m"]


def _let_pass(marks, seconds):
    marks._paused_until -= seconds


def unavailable():
    outcome = {"outcome": "unavailable"}
    return metrics.REGISTRY.get_sample_value("worker_idempotency_outcomes_total", outcome)


# ── all of it ──────────────────────────────────────────────────────────────────────────────────
class Queue:
    """As much of SQS as it takes: who has which message, and how often it was received."""

    def __init__(self, messages):
        self.receives = dict.fromkeys(messages, 0)
        self.done, self.dead_lettered = set(), set()

    def left(self):
        return [one for one in self.receives if one not in self.done | self.dead_lettered]


async def _life(marks, queue, killer, random):
    """One process: takes all there is, runs what it may side by side, and dies of the killer."""
    order = queue.left()
    random.shuffle(order)
    found = {}
    for message in order:
        queue.receives[message] += 1
        if queue.receives[message] > 1:
            found[message] = await marks.begin("q", message, VISIBILITY)
    ended = {one for one, evidence in found.items() if evidence.deaths >= 3 and evidence.alone}
    for message in ended:
        queue.dead_lettered.add(message)
        await marks.end("q", message)
    isolated = [one for one in order if found.get(one, NONE).deaths >= 2 and one not in ended]
    together = [one for one in order if one not in {*isolated, *ended}]
    if killer in together:
        return
    for message in together:
        await _outcome(marks, queue, message)
    for message in isolated:  # while all the others wait, marked
        await marks.alone("q", message)
        if message == killer:
            return
        await _outcome(marks, queue, message)


async def _outcome(marks, queue, message):
    queue.done.add(message)
    await marks.end("q", message)


@pytest.mark.parametrize("seed", range(4))
async def test_only_what_kills_is_dead_lettered_and_its_neighbours_are_done(
    process, clock, seed, monkeypatch
):
    # A mark that a slow moto does not write in time is done without, and costs one more receive.
    monkeypatch.setattr(crash_marks, "ANSWER_SECONDS", 60)
    random, neighbours = Random(seed), [f"healthy-{number}" for number in range(6)]
    queue = Queue([*neighbours, "killer"])
    for life in range(10):
        await _life(process(f"p{life}"), queue, "killer", random)
        clock.now += VISIBILITY

    assert queue.dead_lettered == {"killer"}
    assert queue.done == set(neighbours)
    assert max(queue.receives.values()) <= 5

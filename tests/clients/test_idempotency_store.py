"""The idempotency store: once over all workers, whichever dies, freezes or comes late."""

import asyncio
import time
from types import SimpleNamespace

import pytest
from structlog.testing import capture_logs

from tests.support.aws import TRANSPORTS
from tests.support.dynamodb import (
    RETENTION_SECONDS,
    Strict,
    a_client,
    a_store,
    a_store_table,
)
from worker.clients.aws.idempotency import BUSY_RETRY_SECONDS, SKEW_SECONDS
from worker.errors import LeaseLost, Misconfigured, Permanent, Transient, Unavailable
from worker.events.origin import Result
from worker.intake.idempotency import Idempotency
from worker.resilience.work import Work as AWork
from worker.resilience.work import begin
from worker.telemetry import metrics

LEASE = 120.0
PAST_THE_LEASE = LEASE + SKEW_SECONDS + 1
SHORT_LEASE = 2.0
KEPT_LEASE = 6.0
"""Where the lease must not end by itself: on a busy machine nothing may run for a second."""

MINUTE = 60.0


@pytest.fixture
def transport(request):
    return getattr(request, "param", "wire")


BOTH = pytest.mark.parametrize("transport", TRANSPORTS, indirect=True)
"""For what hangs on how answers are read and calls repeated."""


@pytest.fixture
async def client(wire, transport):
    async with a_client(transport) as client:
        yield client


@pytest.fixture
async def table(client):
    return await a_store_table(client)


@pytest.fixture
async def store(client, table):
    return a_store(client, table)


@pytest.fixture(params=["memory", "dynamodb"])
def either(request):
    """With the store and without it, for what they have in common."""
    store = None if request.param == "memory" else request.getfixturevalue("store")
    return Idempotency(store)


class Work:
    """A handler that can be held and be made to fail."""

    def __init__(self, error=None):
        self.error = error
        self.began = asyncio.Event()
        self.go_on = asyncio.Event()
        self.go_on.set()
        self.runs = 0
        self.cancelled = 0

    async def __call__(self):
        self.began.set()
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.error:
            raise self.error
        self.runs += 1
        return Result.OK


@pytest.fixture
def held():
    work = Work()
    work.go_on.clear()
    return work


@pytest.fixture
def outcomes():
    """Return what the store counted since the test began."""

    def now():
        return {
            name: metrics.REGISTRY.get_sample_value(
                "worker_idempotency_outcomes_total", {"outcome": name}
            )
            for name in ("claimed", "done", "busy", "stale_owner", "unavailable")
        }

    before = now()
    return lambda: {name: int(n - before[name]) for name, n in now().items() if n > before[name]}


async def item(client, table):
    (found,) = (await client.scan(TableName=table, ConsistentRead=True))["Items"]
    return found


async def until(holds, seconds=15):
    async with asyncio.timeout(seconds):
        while not await holds():  # noqa: ASYNC110  the table has no event to wait for
            await asyncio.sleep(0.02)


async def test_work_that_ended_well_is_a_duplicate_the_next_time(either, outcomes):
    work = Work()

    assert await either.once("voice", "k", work, proof="store") is Result.OK
    assert await either.once("voice", "k", work, proof="store") is Result.DUPLICATE
    assert work.runs == 1
    assert outcomes() == {"claimed": 1, "done": 1}


async def test_work_that_failed_may_be_claimed_again_at_once(either):
    with pytest.raises(Permanent, match="no"):
        await either.once("voice", "k", Work(error=Permanent("no")), proof="store")

    assert await either.once("voice", "k", Work(), proof="store") is Result.OK


async def test_work_that_was_cancelled_may_be_claimed_again_at_once(either, held):
    running = asyncio.create_task(either.once("voice", "k", held, proof="store"))
    await held.began.wait()
    running.cancel()
    await asyncio.wait({running})

    assert await either.once("voice", "k", Work(), proof="store") is Result.OK
    assert running.cancelled()


async def test_work_that_was_cancelled_after_its_effects_is_done(store):
    async def effects_then_cancelled():
        asyncio.get_running_loop().call_soon(running.cancel)
        return Result.OK

    running = asyncio.create_task(store.once("voice", "k", effects_then_cancelled))
    await asyncio.wait({running})

    assert running.cancelled()
    assert await store.once("voice", "k", Work()) is Result.DUPLICATE


async def test_work_that_was_cancelled_while_its_end_is_recorded_is_done(store, monkeypatch):
    complete, calls = store._table.complete, []

    async def first_is_cancelled(claim):
        calls.append(claim)
        if len(calls) == 1:
            running.cancel()
            await asyncio.Event().wait()
        return await complete(claim)

    monkeypatch.setattr(store._table, "complete", first_is_cancelled)
    running = asyncio.create_task(store.once("voice", "k", Work()))
    await asyncio.wait({running})

    assert running.cancelled()
    assert await store.once("voice", "k", Work()) is Result.DUPLICATE


async def test_work_that_passed_its_deadline_raises_time_out_and_may_be_claimed_again(either, held):
    async def within_deadline():
        async with asyncio.timeout(0.05):
            return await held()

    with pytest.raises(TimeoutError):
        await either.once("voice", "k", within_deadline, proof="store")
    assert await either.once("voice", "k", Work(), proof="store") is Result.OK


async def test_a_copy_is_transient_while_the_first_is_under_way(store, held, outcomes):
    first = asyncio.create_task(store.once("voice", "k", held))
    await held.began.wait()

    with pytest.raises(Transient, match="a copy of this event") as caught:
        await store.once("voice", "k", Work())

    held.go_on.set()
    assert await first is Result.OK
    assert 0 < caught.value.retry_after <= LEASE + SKEW_SECONDS
    assert outcomes() == {"claimed": 1, "busy": 1}


async def test_the_same_event_is_other_work_for_another_handler(either):
    await either.once("voice", "k", Work(), proof="store")

    assert await either.once("workflow", "k", Work(), proof="store") is Result.OK


async def test_fifty_copies_over_three_workers_run_once(client, table):
    workers, work = [a_store(client, table) for _ in range(3)], Work()

    answers = await asyncio.gather(
        *(workers[n % 3].once("voice", "k", work) for n in range(50)), return_exceptions=True
    )

    assert work.runs == 1
    assert answers.count(Result.OK) == 1
    rest = [answer for answer in answers if answer is not Result.OK]
    assert all(isinstance(a, Transient) or a is Result.DUPLICATE for a in rest)


async def test_done_work_is_known_to_the_worker_of_the_next_start(client, table):
    await a_store(client, table).once("voice", "k", Work())

    assert await a_store(client, table).once("voice", "k", Work()) is Result.DUPLICATE


@BOTH
async def test_done_work_expires_after_the_retention(client, table, store):
    await store.once("voice", "k", Work())

    record = await item(client, table)
    assert record["id"] == {"S": "voice|k"}
    assert record["status"] == {"S": "DONE"}
    assert int(record["expiresAt"]["N"]) == pytest.approx(time.time() + RETENTION_SECONDS, abs=30)


@BOTH
async def test_what_has_expired_counts_as_gone_before_ttl_deletes_it(client, table, store):
    await store.once("voice", "k", Work())
    later = a_store(client, table, ahead=RETENTION_SECONDS + 60)

    assert await later.once("voice", "k", Work()) is Result.OK


async def test_a_killed_workers_claim_holds_until_its_lease_and_the_skew_have_passed(client, table):
    await _die_while_running(client, table)
    early = a_store(client, table, ahead=LEASE + SKEW_SECONDS - 2)
    late = a_store(client, table, ahead=PAST_THE_LEASE)

    with pytest.raises(Transient):
        await early.once("voice", "k", Work())
    assert await late.once("voice", "k", Work()) is Result.OK


async def _die_while_running(client, table, ahead=0.0):
    """Leave behind what `kill -9` leaves: a claim no one releases."""
    dead = a_store(client, table, ahead=ahead)
    work = Work()
    work.go_on.clear()
    task = asyncio.create_task(dead.once("voice", "k", work))
    await work.began.wait()
    dead._table = _Gone()
    task.cancel()
    await asyncio.wait({task})


class _Gone:
    async def release(self, claim):
        return False


async def test_a_wait_for_a_copy_is_the_rest_of_its_lease(client, table, held):
    first = asyncio.create_task(a_store(client, table).once("voice", "k", held))
    await held.began.wait()

    with pytest.raises(Transient) as caught:
        await a_store(client, table, ahead=LEASE - 2).once("voice", "k", Work())

    assert caught.value.retry_after == pytest.approx(2 + SKEW_SECONDS, abs=2)
    held.go_on.set()
    await first


async def test_a_wait_for_a_copy_is_bounded_whatever_its_clock_says(client, table, held):
    five_hours_ahead = a_store(client, table, ahead=5 * 3600)
    first = asyncio.create_task(five_hours_ahead.once("voice", "k", held))
    await held.began.wait()

    with pytest.raises(Transient) as caught:
        await a_store(client, table).once("voice", "k", Work())

    assert caught.value.retry_after == BUSY_RETRY_SECONDS
    held.go_on.set()
    await first


async def test_a_living_owner_whose_clock_is_a_minute_behind_keeps_its_claim(client, table, held):
    owner = asyncio.create_task(a_store(client, table).once("voice", "k", held))
    await held.began.wait()
    just_before_it_renews = a_store(client, table, ahead=MINUTE + LEASE / 3)

    with pytest.raises(Transient, match="a copy of this event"):
        await just_before_it_renews.once("voice", "k", Work())

    held.go_on.set()
    assert await owner is Result.OK


async def test_a_dead_owners_claim_holds_longer_by_as_much_as_its_clock_was_ahead(client, table):
    await _die_while_running(client, table, ahead=MINUTE)
    early = a_store(client, table, ahead=PAST_THE_LEASE)
    late = a_store(client, table, ahead=PAST_THE_LEASE + MINUTE)

    with pytest.raises(Transient):
        await early.once("voice", "k", Work())
    assert await late.once("voice", "k", Work()) is Result.OK


async def test_an_owner_too_far_behind_is_taken_over_and_its_completion_refused(
    client, table, held, outcomes
):
    owner = asyncio.create_task(a_store(client, table).once("voice", "k", held))
    await held.began.wait()
    five_minutes_ahead = a_store(client, table, ahead=5 * MINUTE)

    assert await five_minutes_ahead.once("voice", "k", Work()) is Result.OK
    held.go_on.set()
    with pytest.raises(Transient, match="claim was lost"):
        await owner

    assert outcomes()["stale_owner"] == 1


@BOTH
async def test_an_owner_that_was_frozen_past_its_lease_is_refused(client, table, held, outcomes):
    frozen, other = a_store(client, table), a_store(client, table, ahead=PAST_THE_LEASE)
    late = asyncio.create_task(frozen.once("voice", "k", held))
    await held.began.wait()

    assert await other.once("voice", "k", Work()) is Result.OK
    before = await item(client, table)
    with capture_logs() as logs:
        held.go_on.set()
        with pytest.raises(Transient, match="claim was lost"):
            await late

    assert await item(client, table) == before
    assert outcomes() == {"claimed": 2, "stale_owner": 1}
    assert [(x["event"], x["refused"]) for x in logs] == [("idempotency_stale_owner", "completion")]


async def test_a_completion_that_was_refused_is_not_asked_for_again(client, table, wire, held):
    late = asyncio.create_task(a_store(client, table).once("voice", "k", held))
    await held.began.wait()
    await a_store(client, table, ahead=PAST_THE_LEASE).once("voice", "k", Work())
    before = wire.requests

    held.go_on.set()
    with pytest.raises(Transient, match="claim was lost"):
        await late

    assert wire.requests - before == 1


async def test_a_handler_that_wakes_after_its_lease_is_cancelled_before_its_next_effect(
    client, table
):
    store, effects = a_store(client, table, lease_seconds=SHORT_LEASE), []
    began = asyncio.Event()

    async def work():
        began.set()
        await asyncio.sleep(0.01)
        effects.append("one")
        return Result.OK

    running = asyncio.create_task(store.once("voice", "k", work))
    await began.wait()
    time.sleep(SHORT_LEASE)  # noqa: ASYNC251  the whole process is frozen, as by SIGSTOP

    with pytest.raises(Transient, match="claim was lost"):
        await running
    assert effects == []


async def test_a_stale_owners_failure_does_not_release_the_others_claim(client, table, held):
    frozen, other = a_store(client, table), a_store(client, table, ahead=PAST_THE_LEASE)
    late = asyncio.create_task(frozen.once("voice", "k", held))
    await held.began.wait()
    await other.once("voice", "k", Work())

    held.error = Unavailable("down")
    held.go_on.set()
    with pytest.raises(Unavailable):
        await late

    assert await frozen.once("voice", "k", Work()) is Result.DUPLICATE


async def test_a_long_run_keeps_its_lease(client, table, held):
    store = a_store(client, table, lease_seconds=KEPT_LEASE)
    long = asyncio.create_task(store.once("report", "k", held))
    await held.began.wait()
    first = int((await item(client, table))["leaseUntil"]["N"])

    async def its_first_lease_is_over():
        # A scan of moto beside a write may find nothing.
        items = (await client.scan(TableName=table, ConsistentRead=True))["Items"]
        return any(int(one["leaseUntil"]["N"]) > first + 1000 * KEPT_LEASE for one in items)

    await until(its_first_lease_is_over)
    held.go_on.set()

    assert await long is Result.OK
    assert held.cancelled == 0


async def test_a_handler_whose_claim_was_taken_over_is_cancelled(client, table, held, outcomes):
    slow = a_store(client, table, lease_seconds=KEPT_LEASE)
    other = a_store(client, table, ahead=KEPT_LEASE + SKEW_SECONDS + 1)
    running = asyncio.create_task(slow.once("report", "k", held))
    await held.began.wait()

    await other.once("report", "k", Work())
    with capture_logs() as logs, pytest.raises(Transient, match="claim was lost"):
        await running

    assert held.cancelled == 1
    assert outcomes()["stale_owner"] == 1
    assert [x["event"] for x in logs] == ["idempotency_stale_owner", "idempotency_claim_lost"]


async def test_a_takeover_ends_a_run_that_the_tables_silence_would_not(client, table, held):
    slow = a_store(client, table, lease_seconds=SHORT_LEASE, fail_open=True)
    other = a_store(client, table, ahead=SHORT_LEASE + SKEW_SECONDS + 1)
    running = asyncio.create_task(slow.once("report", "k", held))
    await held.began.wait()

    await other.once("report", "k", Work())

    with pytest.raises(Transient, match="claim was lost"):
        await asyncio.wait_for(running, 10)


async def test_a_handler_is_cancelled_before_a_lease_ends_that_cannot_be_renewed(
    client, table, wire, held, outcomes
):
    store = a_store(client, table, lease_seconds=KEPT_LEASE)
    began = time.monotonic()
    running = asyncio.create_task(store.once("report", "k", held))
    await held.began.wait()
    wire.cut = True

    with pytest.raises(Transient, match="claim was lost"):
        await running

    assert time.monotonic() - began < KEPT_LEASE
    assert held.cancelled == 1
    assert outcomes()["unavailable"] >= 1


async def test_one_renewal_that_fails_costs_nothing(client, table, wire, held):
    store = a_store(client, table, lease_seconds=KEPT_LEASE)
    running = asyncio.create_task(store.once("report", "k", held))
    await held.began.wait()
    first = await item(client, table)

    with capture_logs() as logs:
        wire.cut = True
        await until(lambda: _any(logs, "idempotency_renewal_failed"))
        wire.cut = False
        await until(lambda: _changed(client, table, first))
    held.go_on.set()

    assert await running is Result.OK


async def _any(logs, event):
    return any(line["event"] == event for line in logs)


async def _changed(client, table, before):
    return await item(client, table) != before


@BOTH
async def test_nothing_runs_while_the_table_is_down(store, wire, outcomes):
    wire.cut, work = True, Work()

    with pytest.raises(Unavailable, match="idempotency"):
        await store.once("voice", "k", work)

    assert work.runs == 0
    assert outcomes() == {"unavailable": 1}


async def test_work_runs_without_the_table_when_set_so(client, table, wire, outcomes):
    store, work = a_store(client, table, fail_open=True), Work()
    wire.cut = True

    with capture_logs() as logs:
        assert await store.once("voice", "k", work) is Result.OK

    assert work.runs == 1
    assert outcomes() == {"unavailable": 1}
    assert [x["event"] for x in logs] == ["idempotency_bypassed"]


async def test_a_run_outlives_its_lease_without_the_table_when_set_so(client, table, wire, held):
    store = a_store(client, table, lease_seconds=SHORT_LEASE, fail_open=True)
    running = asyncio.create_task(store.once("voice", "k", held))
    await held.began.wait()
    wire.cut = True
    await asyncio.wait({running}, timeout=SHORT_LEASE + 0.5)
    held.go_on.set()

    assert await running is Result.OK


async def test_done_work_stays_done_when_it_cannot_be_recorded(store, wire, held, outcomes):
    running = asyncio.create_task(store.once("voice", "k", held))
    await held.began.wait()
    wire.cut = True
    held.go_on.set()

    assert await running is Result.OK
    assert outcomes() == {"claimed": 1, "unavailable": 1}


@BOTH
async def test_a_claim_whose_reply_was_lost_is_found_again_by_its_retry(table, wire, transport):
    async with a_client(transport, attempts=3) as client:
        store, work = a_store(client, table), Work()
        wire.replies_to_lose = 1

        assert await store.once("voice", "k", work) is Result.OK

    assert work.runs == 1


@BOTH
async def test_a_completion_whose_reply_was_lost_is_no_stale_owner(
    table, wire, held, outcomes, transport
):
    async with a_client(transport, attempts=3) as client:
        running = asyncio.create_task(a_store(client, table).once("voice", "k", held))
        await held.began.wait()
        wire.replies_to_lose = 1
        held.go_on.set()

        assert await running is Result.OK
    assert outcomes() == {"claimed": 1}


@BOTH
async def test_a_table_of_another_shape_is_a_wrong_setting_and_no_fault_of_the_message(client):
    name = await a_store_table(client)
    await client.delete_table(TableName=name)
    await client.create_table(
        TableName=name,
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )

    with pytest.raises(Misconfigured) as caught:
        await a_store(client, name).once("voice", "k", Work())
    assert caught.value.setting == "LEDGER_TABLE"


@BOTH
async def test_a_claim_that_is_cancelled_while_it_is_written_blocks_no_one(client, table, wire):
    store, work = a_store(client, table), Work()
    wire.hold = True
    claiming = asyncio.create_task(store.once("voice", "k", work))
    await wire.held.wait()
    claiming.cancel()
    wire.hold = False
    await asyncio.wait({claiming})

    assert work.runs == 0
    assert await a_store(client, table).once("voice", "k", work) is Result.OK


async def test_the_record_names_its_conversation(client, table, store):
    await store.once("chat", "k", Work(), conversation_id="c-1")

    assert (await item(client, table))["conversationId"] == {"S": "c-1"}


async def test_work_whose_lease_was_lost_is_not_run_even_when_set_to_fail_open(client, table):
    store, work = a_store(client, table, fail_open=True), Work()
    store._table._guard = Strict(store._table._guard)
    begin(LOST)

    with pytest.raises(LeaseLost):
        await store.once("voice", "k", work)

    assert work.runs == 0


@pytest.mark.parametrize("error", [None, Permanent("no")], ids=["done", "failed"])
async def test_what_was_done_is_recorded_although_the_lease_was_lost_meanwhile(
    client, table, held, error
):
    store, lease = a_store(client, table), SimpleNamespace(held=True)
    store._table._guard = Strict(store._table._guard)
    held.error = error
    begin(AWork("m", "voice", holds_lease=lambda: lease.held))
    running = asyncio.create_task(store.once("voice", "k", held))
    await held.began.wait()
    lease.held = False
    held.go_on.set()
    await asyncio.wait({running})

    begin(AWork("m", "voice"))
    again = await a_store(client, table).once("voice", "k", Work())
    assert again is (Result.OK if error else Result.DUPLICATE)


LOST = AWork("m", "voice", holds_lease=lambda: False)

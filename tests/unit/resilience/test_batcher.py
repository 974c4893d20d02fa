"""Batches: what is sent together, and that everyone gets the own answer."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.errors import LeaseLost
from worker.resilience.batcher import Batcher
from worker.resilience.work import Work, begin, current_work
from worker.telemetry.logs import log_fields, merge_log_fields

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]


def now():
    return asyncio.get_running_loop().time()


class Sink:
    """Keeps the batches it got and answers each item with its double, after `seconds`."""

    def __init__(self, seconds=0.0):
        self.batches = []
        self.at = []
        self.running = self.most_running = 0
        self.seconds = seconds

    async def __call__(self, items):
        self.batches.append(list(items))
        self.at.append(now())
        self.running += 1
        self.most_running = max(self.running, self.most_running)
        await asyncio.sleep(self.seconds)
        self.running -= 1
        return [item * 2 for item in items]


def started(batcher, items):
    return [asyncio.create_task(batcher.submit(item)) for item in items]


async def test_full_batch_goes_at_once():
    sink = Sink()
    batcher = Batcher(sink, max_items=3, max_wait_seconds=10)

    answers = await asyncio.gather(*started(batcher, [1, 2, 3]))

    assert answers == [2, 4, 6]
    assert (sink.batches, sink.at) == ([[1, 2, 3]], [0])


async def test_batch_goes_when_its_oldest_item_has_waited_long_enough():
    sink = Sink()
    batcher = Batcher(sink, max_items=10, max_wait_seconds=0.2)
    first = started(batcher, [1])
    await asyncio.sleep(0.15)

    answers = await asyncio.gather(*first, *started(batcher, [2]))

    assert answers == [2, 4]
    assert (sink.batches, sink.at) == ([[1, 2]], [pytest.approx(0.2)])


async def test_no_wait_at_all_still_joins_what_is_submitted_in_one_turn():
    sink = Sink()
    batcher = Batcher(sink, max_items=10, max_wait_seconds=0)

    await asyncio.gather(*started(batcher, [1, 2, 3]))

    assert sink.batches == [[1, 2, 3]]


async def test_what_waits_goes_at_once_when_it_is_asked_to():
    sink = Sink()
    batcher = Batcher(sink, max_items=10, max_wait_seconds=10)
    first = started(batcher, [1, 2])
    await asyncio.sleep(0.1)

    assert batcher.waiting() == [1, 2]
    batcher.flush_now()

    assert await asyncio.gather(*first) == [2, 4]
    assert (sink.batches, sink.at, batcher.waiting()) == ([[1, 2]], [0.1], [])


async def test_what_comes_after_a_flush_that_was_asked_for_waits_as_ever():
    sink = Sink()
    batcher = Batcher(sink, max_items=10, max_wait_seconds=1)
    first = started(batcher, [1])
    await asyncio.sleep(0)
    batcher.flush_now()

    await asyncio.gather(*first, *started(batcher, [2]))

    assert (sink.batches, sink.at) == ([[1], [2]], [0, 1])


async def test_items_over_a_full_batch_go_with_the_next():
    sink = Sink()
    batcher = Batcher(sink, max_items=2, max_wait_seconds=0.1)

    await asyncio.gather(*started(batcher, [1, 2, 3]))

    assert sink.batches == [[1, 2], [3]]


async def test_exception_among_the_results_fails_its_own_submitter_only():
    async def flush(items):
        return [ValueError("no") if item == 2 else item for item in items]

    batcher = Batcher(flush, max_items=3, max_wait_seconds=1)

    answers = await asyncio.gather(*started(batcher, [1, 2, 3]), return_exceptions=True)

    assert (answers[0], type(answers[1]), answers[2]) == (1, ValueError, 3)


async def test_exception_out_of_flush_fails_its_whole_batch_and_no_other():
    async def flush(items):
        if 1 in items:
            raise ConnectionError("reset")
        return list(items)

    batcher = Batcher(flush, max_items=2, max_wait_seconds=1)

    answers = await asyncio.gather(*started(batcher, [1, 2, 3, 4]), return_exceptions=True)

    assert [type(answer) for answer in answers[:2]] == [ConnectionError] * 2
    assert answers[2:] == [3, 4]


async def test_wrong_number_of_results_fails_the_batch():
    async def flush(items):
        return items[1:]

    batcher = Batcher(flush, max_items=2, max_wait_seconds=1)

    answers = await asyncio.gather(*started(batcher, [1, 2]), return_exceptions=True)

    assert [str(answer) for answer in answers] == ["flush answered 1 of 2 items"] * 2


async def test_cancelled_submitter_is_taken_out_of_a_batch_not_yet_sent():
    sink = Sink()
    batcher = Batcher(sink, max_items=10, max_wait_seconds=0.1)
    tasks = started(batcher, [1, 2, 3])
    await asyncio.sleep(0)

    tasks[0].cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

    assert sink.batches == [[2, 3]]


async def test_item_is_sent_all_the_same_when_its_submitter_is_cancelled_later():
    sink = Sink(seconds=1)
    batcher = Batcher(sink, max_items=2, max_wait_seconds=0.1)
    tasks = started(batcher, [1, 2])
    await asyncio.sleep(0.5)

    tasks[0].cancel()
    answers = await asyncio.gather(*tasks, return_exceptions=True)

    assert isinstance(answers[0], asyncio.CancelledError)
    assert answers[1] == 4


async def test_batch_whose_items_were_all_withdrawn_is_not_sent():
    sink = Sink()
    batcher = Batcher(sink, max_items=10, max_wait_seconds=0.1)
    (task,) = started(batcher, [1])
    await asyncio.sleep(0)

    task.cancel()
    await asyncio.sleep(1)

    assert (sink.batches, batcher.pending) == ([], 0)


async def test_flushes_run_at_once_up_to_their_limit():
    sink = Sink(seconds=1)
    batcher = Batcher(sink, max_items=1, max_wait_seconds=0, max_concurrent=3)

    await asyncio.gather(*started(batcher, range(7)))

    assert sink.most_running == 3
    assert sink.at == pytest.approx([0, 0, 0, 1, 1, 1, 2])


async def test_items_that_wait_for_a_free_flush_are_sent_together():
    sink = Sink(seconds=1)
    batcher = Batcher(sink, max_items=10, max_wait_seconds=0.1, max_concurrent=1)
    tasks = started(batcher, [0])
    await asyncio.sleep(0.2)
    for item in range(1, 6):
        tasks += started(batcher, [item])
        await asyncio.sleep(0.15)

    await asyncio.gather(*tasks)

    assert sink.batches == [[0], [1, 2, 3, 4, 5]]


async def test_close_sends_what_is_there_and_waits_for_every_answer():
    sink = Sink(seconds=1)
    batcher = Batcher(sink, max_items=2, max_wait_seconds=60, max_concurrent=1)
    tasks = started(batcher, [1, 2, 3])
    await asyncio.sleep(0)

    await batcher.close()

    assert [task.result() for task in tasks] == [2, 4, 6]
    assert now() == pytest.approx(2)
    assert batcher.pending == 0


async def test_closed_batcher_takes_no_more_items():
    batcher = Batcher(Sink(), max_items=2, max_wait_seconds=1)
    await batcher.close()

    with pytest.raises(RuntimeError, match="closed"):
        await batcher.submit(1)


async def test_pending_counts_items_until_they_are_answered():
    batcher = Batcher(Sink(seconds=1), max_items=2, max_wait_seconds=0.1)

    tasks = started(batcher, [1, 2, 3])
    await asyncio.sleep(0.01)
    in_flight = batcher.pending
    await asyncio.gather(*tasks)

    assert (in_flight, batcher.pending) == (3, 0)


async def test_batch_does_not_log_under_the_ids_of_a_submitter():
    seen = []

    async def flush(items):
        seen.append(dict(merge_log_fields(None, "info", {})))
        return items

    batcher = Batcher(flush, max_items=1, max_wait_seconds=1)
    with log_fields(message_id="m-1"):
        await batcher.submit(1)

    assert seen == [{}]


@settings(deadline=None)
@given(
    max_items=st.integers(1, 5),
    max_concurrent=st.integers(1, 3),
    max_wait=st.sampled_from([0, 0.1, 1]),
    flush_seconds=st.sampled_from([0, 0.05, 2]),
    submitters=st.lists(
        st.tuples(
            st.floats(min_value=0, max_value=3),  # when it submits
            st.one_of(st.none(), st.sampled_from([0, 0.05, 0.5])),  # when it is cancelled
            st.sampled_from(["good", "good", "bad", "poison"]),
        ),
        max_size=40,
    ),
)
async def test_everyone_gets_the_own_answer_for_any_interleaving(
    max_items, max_concurrent, max_wait, flush_seconds, submitters
):
    sent = []

    async def flush(items):
        assert 1 <= len(items) <= max_items
        sent.append(items)
        await asyncio.sleep(flush_seconds)
        if any(kind == "poison" for _, kind in items):
            raise LookupError(*(number for number, _ in items))
        return [ValueError(number) if kind == "bad" else number for number, kind in items]

    async def submitter(number, at, limit, kind):
        await asyncio.sleep(at)
        async with asyncio.timeout(limit):
            return await batcher.submit((number, kind))

    batcher = Batcher(
        flush, max_items=max_items, max_wait_seconds=max_wait, max_concurrent=max_concurrent
    )
    answers = await asyncio.gather(
        *(submitter(number, *args) for number, args in enumerate(submitters)),
        return_exceptions=True,
    )
    await batcher.close()

    numbers = [number for items in sent for number, _ in items]
    assert len(numbers) == len(set(numbers))
    for number, (submitter_args, answer) in enumerate(zip(submitters, answers, strict=True)):
        assert_own(answer, number, *submitter_args[1:])
    assert batcher.pending == 0


def assert_own(answer, number, limit, kind):
    match answer:
        case TimeoutError():
            assert limit is not None
        case LookupError():
            assert number in answer.args
        case ValueError():
            assert (kind, answer.args) == ("bad", (number,))
        case _:
            assert (kind, answer) == ("good", number)


async def test_an_abandoned_batcher_cancels_what_was_sent_and_sends_no_more():
    sent, begun = [], asyncio.Event()

    async def never(items):
        sent.append(list(items))
        begun.set()
        await asyncio.Event().wait()

    batcher = Batcher(never, max_items=1, max_wait_seconds=0, max_concurrent=1)
    tasks = [asyncio.create_task(batcher.submit(item)) for item in "ab"]
    await begun.wait()

    await batcher.abandon()
    await asyncio.wait(tasks)

    assert sent == [["a"]]
    assert all(task.cancelled() for task in tasks)


# ── on behalf of messages ──────────────────────────────────────────────────────────────────────
def submitted(batcher, item, work):
    async def working():
        begin(work)
        return await batcher.submit(item)

    return asyncio.create_task(working())


async def test_a_batch_works_for_the_messages_of_all_who_submitted():
    seen = []

    async def flush(items):
        seen.append({work.message_id for work in current_work()})
        return items

    batcher = Batcher(flush, max_items=3, max_wait_seconds=10)

    await asyncio.gather(
        submitted(batcher, 1, Work("a", "voice")),
        submitted(batcher, 2, Work("b", "workflow")),
        batcher.submit(3),
    )

    assert seen == [{"a", "b"}]


async def test_no_deadline_runs_before_the_batch_goes_where_the_batcher_is_set_so():
    sink = Sink(seconds=30)
    batcher = Batcher(sink, max_items=1, max_wait_seconds=0, max_concurrent=1, waits_for="budget")
    first, second = Work("a", "voice", ends_by=100), Work("b", "voice", ends_by=100)
    running = [submitted(batcher, 1, first), submitted(batcher, 2, second)]
    await asyncio.sleep(10)
    reported = (first.waiting_for, second.waiting_for)

    await asyncio.gather(*running)

    assert reported == ("", "budget")
    assert (first.ends_by, second.ends_by) == (100, pytest.approx(130))
    assert second.waiting_for == ""


async def test_cancelled_before_the_batch_goes_its_deadline_runs_again():
    batcher = Batcher(Sink(), max_items=9, max_wait_seconds=10, waits_for="budget")
    work = Work("a", "voice")
    waiting = submitted(batcher, 1, work)
    await asyncio.sleep(1)

    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)

    assert work.waiting_for == ""


async def test_what_was_submitted_for_a_message_whose_lease_is_lost_is_not_sent():
    sink = Sink()
    batcher = Batcher(sink, max_items=2, max_wait_seconds=10)

    lost, kept = await asyncio.gather(
        submitted(batcher, 1, Work("a", "voice", holds_lease=lambda: False)),
        submitted(batcher, 2, Work("b", "voice")),
        return_exceptions=True,
    )

    assert isinstance(lost, LeaseLost)
    assert (kept, sink.batches) == (4, [[2]])

"""What only our queue does, and SQS too: stale handles, twelve hours, redrive, blocked groups."""

import pytest

from worker.emulators.sqs.model import QueueAttributes, Sending, SqsError
from worker.emulators.sqs.queue import Depth, Queue

TWELVE_HOURS = 43_200


class Clock:
    """A clock that is frozen until it is moved."""

    def __init__(self):
        self.seconds = 1_000.0

    def __call__(self):
        return self.seconds


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def a_queue(clock):
    def create(name="q", **attributes):
        if name.endswith(".fifo"):
            attributes = {"FifoQueue": "true", **attributes}
        return Queue(name, QueueAttributes.parse(attributes), clock=clock)

    return create


@pytest.fixture
def a_pair(a_queue):
    """Make a queue and its dead-letter queue."""

    def create(name, max_receive_count):
        dead_letters = a_queue(f"dead-{name}")
        policy = (
            f'{{"deadLetterTargetArn":"{dead_letters.arn}","maxReceiveCount":{max_receive_count}}}'
        )
        queue = a_queue(name, RedrivePolicy=policy)
        queue.dead_letters = dead_letters
        return queue, dead_letters

    return create


def send(queue, *bodies, group_id=None):
    for body in bodies:
        queue.send(Sending(body=body, group_id=group_id))


def bodies(received):
    return [message.sent.body for message, _ in received]


def code(raised):
    return raised.value.code


# ── stale handles ──────────────────────────────────────────────────────────────────────────────
def test_standard_queue_deletes_after_the_lease_when_it_was_not_received_since(a_queue, clock):
    queue = a_queue()
    send(queue, "hello")
    [(_, handle)] = queue.receive(1)
    clock.seconds += 31

    queue.delete(handle)

    assert queue.depth() == Depth(0, 0, 0)


def test_standard_queue_keeps_the_message_when_the_deleted_handle_was_replaced(a_queue, clock):
    queue = a_queue()
    send(queue, "hello")
    [(_, stale)] = queue.receive(1)
    clock.seconds += 31
    queue.receive(1)

    queue.delete(stale)

    assert queue.depth() == Depth(0, 1, 0)


def test_fifo_queue_refuses_a_delete_after_the_lease(a_queue, clock):
    queue = a_queue("q.fifo")
    send(queue, "hello", group_id="a")
    [(_, handle)] = queue.receive(1)
    clock.seconds += 31

    with pytest.raises(SqsError, match="The receipt handle has expired") as raised:
        queue.delete(handle)

    assert code(raised) == "InvalidParameterValue"
    assert queue.depth() == Depth(1, 0, 0)


def test_handle_of_another_queue_is_refused(a_queue):
    one, other = a_queue("one"), a_queue("other")
    send(one, "hello")
    [(_, handle)] = one.receive(1)

    with pytest.raises(SqsError) as raised:
        other.delete(handle)

    assert code(raised) == "ReceiptHandleIsInvalid"


def test_replaced_handle_cannot_prolong_the_lease_of_its_successor(a_queue, clock):
    queue = a_queue()
    send(queue, "hello")
    [(_, stale)] = queue.receive(1)
    clock.seconds += 31
    queue.receive(1)

    with pytest.raises(SqsError) as raised:
        queue.change_visibility(stale, 600)

    assert code(raised) == "InvalidParameterValue"
    clock.seconds += 31
    assert queue.depth() == Depth(1, 0, 0)


def test_visibility_is_refused_once_the_message_is_visible_again(a_queue, clock):
    queue = a_queue()
    send(queue, "hello")
    [(_, handle)] = queue.receive(1)
    clock.seconds += 30

    with pytest.raises(SqsError) as raised:
        queue.change_visibility(handle, 30)

    assert code(raised) == "AWS.SimpleQueueService.MessageNotInflight"


# ── leases ─────────────────────────────────────────────────────────────────────────────────────
def test_lease_cannot_be_prolonged_beyond_twelve_hours_from_its_receive(a_queue, clock):
    queue = a_queue(VisibilityTimeout="43200")
    send(queue, "hello")
    [(_, handle)] = queue.receive(1)
    clock.seconds += 600

    queue.change_visibility(handle, TWELVE_HOURS - 600)
    with pytest.raises(SqsError, match="beyond the limit") as raised:
        queue.change_visibility(handle, TWELVE_HOURS - 599)

    assert code(raised) == "InvalidParameterValue"


def test_twelve_hours_start_anew_with_each_receive(a_queue, clock):
    queue = a_queue(VisibilityTimeout="43200")
    send(queue, "hello")
    queue.receive(1)
    clock.seconds += TWELVE_HOURS
    [(_, handle)] = queue.receive(1)

    queue.change_visibility(handle, TWELVE_HOURS)

    assert queue.depth() == Depth(0, 1, 0)


def test_changed_visibility_lasts_for_this_receive_only(a_queue, clock):
    queue = a_queue()
    send(queue, "hello")
    [(_, handle)] = queue.receive(1)
    queue.change_visibility(handle, 600)
    clock.seconds += 600

    queue.receive(1)
    clock.seconds += 30

    assert queue.depth() == Depth(1, 0, 0)


def test_shortened_lease_ends_early(a_queue, clock):
    queue = a_queue(VisibilityTimeout="600")
    send(queue, "hello")
    [(_, handle)] = queue.receive(1)

    queue.change_visibility(handle, 5)
    clock.seconds += 5

    assert queue.depth() == Depth(1, 0, 0)


def test_next_due_is_the_earliest_lease_that_still_runs(a_queue):
    queue = a_queue()
    send(queue, "one", "two")
    [(_, first)] = queue.receive(1, 10)
    queue.receive(1, 20)

    queue.delete(first)

    assert queue.seconds_to_next_due() == 20


def test_heartbeats_leave_no_growing_list_of_timers(a_queue):
    queue = a_queue()
    send(queue, "soon due", "hello")
    queue.receive(1, 1)
    [(_, handle)] = queue.receive(1)

    for _ in range(1_000):
        queue.change_visibility(handle, 3_600)

    assert len(queue._store._timers._due) < 100


def test_queue_gives_out_no_more_when_too_many_are_in_flight(a_queue):
    queue = a_queue()
    queue.in_flight_limit = 2
    send(queue, "1", "2", "3")

    assert bodies(queue.receive(10)) == ["1", "2"]
    assert queue.receive(10) == []


# ── redrive ────────────────────────────────────────────────────────────────────────────────────
def test_redriven_message_keeps_id_age_and_receive_count(a_pair):
    queue, dead_letters = a_pair("q", 1)
    send(queue, "poison")
    [(alive, _)] = queue.receive(1, 0)

    assert queue.receive(1) == []
    [dead] = dead_letters.messages()

    assert (dead.id, dead.sent_at_milliseconds) == (alive.id, alive.sent_at_milliseconds)
    assert (dead.receives, dead.dead_letter_source_arn) == (1, queue.arn)
    assert queue.depth() == Depth(0, 0, 0)


def test_receive_goes_on_past_a_redriven_message(a_pair):
    queue, dead_letters = a_pair("q", 1)
    send(queue, "poison")
    queue.receive(1, 0)
    send(queue, "healthy")

    assert bodies(queue.receive(1)) == ["healthy"]
    assert dead_letters.depth() == Depth(1, 0, 0)


def test_releases_count_as_receives(a_pair):
    queue, dead_letters = a_pair("q", 3)
    send(queue, "healthy")

    for _ in range(3):
        [(_, handle)] = queue.receive(1)
        queue.change_visibility(handle, 0)
    queue.receive(1)

    assert dead_letters.depth() == Depth(1, 0, 0)


def test_message_stays_when_its_queue_has_no_dead_letters(a_pair):
    queue, _ = a_pair("q", 1)
    queue.dead_letters = None
    send(queue, "poison")
    queue.receive(1, 0)

    assert bodies(queue.receive(1)) == ["poison"]


def test_redriven_head_of_a_group_sets_the_rest_of_its_group_free(a_pair):
    queue, dead_letters = a_pair("q.fifo", 1)
    send(queue, "head", group_id="a")
    queue.receive(1, 0)
    send(queue, "next", group_id="a")

    assert bodies(queue.receive(10)) == ["next"]
    assert [message.sent.body for message in dead_letters.messages()] == ["head"]


# ── FIFO ───────────────────────────────────────────────────────────────────────────────────────
def test_hidden_head_blocks_its_group_even_when_the_next_messages_are_released(a_queue, clock):
    queue = a_queue("q.fifo")
    send(queue, "1", "2", "3", group_id="a")
    head, *next_messages = queue.receive(3)

    queue.change_visibility(head.receipt_handle, 600)
    for _, handle in next_messages:
        queue.change_visibility(handle, 0)

    assert queue.receive(10) == []
    clock.seconds += 600
    assert bodies(queue.receive(10)) == ["1", "2", "3"]


def test_released_head_waits_for_the_next_message_in_flight(a_queue):
    queue = a_queue("q.fifo")
    send(queue, "1", "2", group_id="a")
    head, next_message = queue.receive(2)

    queue.change_visibility(head.receipt_handle, 0)
    blocked = queue.receive(10)
    queue.delete(next_message.receipt_handle)

    assert blocked == []
    assert bodies(queue.receive(10)) == ["1"]


def test_groups_do_not_wait_for_each_other(a_queue):
    queue = a_queue("q.fifo")
    send(queue, "a1", "a2", group_id="a")
    send(queue, "b1", "b2", group_id="b")

    assert bodies(queue.receive(1)) == ["a1"]
    assert bodies(queue.receive(1)) == ["b1"]
    assert queue.receive(10) == []


def test_deduplication_ends_after_five_minutes(a_queue, clock):
    queue = a_queue("q.fifo")
    first = queue.send(Sending(body="same", group_id="a"))
    clock.seconds += 299
    repeated = queue.send(Sending(body="same", group_id="a"))
    clock.seconds += 1
    anew = queue.send(Sending(body="same", group_id="a"))

    assert repeated == first
    assert anew != first
    assert queue.depth() == Depth(2, 0, 0)


def test_deduplication_outlives_the_message(a_queue):
    queue = a_queue("q.fifo")
    send(queue, "same", group_id="a")
    [(_, handle)] = queue.receive(1)
    queue.delete(handle)

    send(queue, "same", group_id="a")

    assert queue.depth() == Depth(0, 0, 0)


def test_deduplication_may_be_per_group(a_queue):
    queue = a_queue("q.fifo", DeduplicationScope="messageGroup")
    send(queue, "same", group_id="a")
    send(queue, "same", group_id="b")

    assert queue.depth() == Depth(2, 0, 0)


def test_sequence_numbers_grow(a_queue):
    queue = a_queue("q.fifo")

    numbers = [
        queue.send(Sending(body=body, group_id="a")).sequence_number for body in ("1", "2", "3")
    ]

    assert numbers == sorted(set(numbers))
    assert {len(number) for number in numbers} == {20}


def test_delay_made_shorter_lets_no_message_overtake(a_queue, clock):
    queue = a_queue("q.fifo", DelaySeconds="60")
    send(queue, "first", group_id="a")
    queue.attributes = queue.attributes.changed({"DelaySeconds": "0"})
    send(queue, "second", group_id="a")

    early = queue.receive(10)
    clock.seconds += 60

    assert early == []
    assert bodies(queue.receive(10)) == ["first", "second"]


# ── the rest ───────────────────────────────────────────────────────────────────────────────────
def test_what_comes_back_to_a_standard_queue_goes_to_its_end(a_queue):
    queue = a_queue()
    send(queue, "1", "2")
    [(_, handle)] = queue.receive(1)
    queue.change_visibility(handle, 0)

    assert bodies(queue.receive(10)) == ["2", "1"]


def test_exposed_message_is_delivered_twice(a_queue):
    queue = a_queue()
    send(queue, "hello")
    [first] = queue.receive(1)

    queue.expose(first.message)
    [second] = queue.receive(1)

    assert first.message.id == second.message.id
    assert first.receipt_handle != second.receipt_handle


def test_purge_takes_what_is_in_flight_and_delayed_as_well(a_queue, clock):
    queue = a_queue()
    send(queue, "1", "2")
    queue.send(Sending(body="3", delay_seconds=5))
    queue.receive(1)

    queue.purge()
    clock.seconds += 60

    assert queue.depth() == Depth(0, 0, 0)
    assert queue.receive(10) == []


@pytest.mark.parametrize(
    ("attributes", "refusal"),
    [
        ({"VisibilityTimeout": "43201"}, "InvalidAttributeValue"),
        ({"DelaySeconds": "-1"}, "InvalidAttributeValue"),
        ({"MaximumMessageSize": "1048577"}, "InvalidAttributeValue"),
        ({"Colour": "red"}, "InvalidAttributeName"),
        ({"FifoQueue": "false"}, "InvalidAttributeName"),
        ({"RedrivePolicy": "{}"}, "InvalidParameterValue"),
    ],
    ids=str,
)
def test_queue_attribute_is_refused_when_out_of_bounds(attributes, refusal):
    with pytest.raises(SqsError) as raised:
        QueueAttributes.parse(attributes)

    assert code(raised) == refusal

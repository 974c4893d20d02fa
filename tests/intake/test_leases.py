from worker.clients.aws.sqs import Message
from worker.intake.leases import ARRIVAL_SECONDS, Leases

VISIBILITY = 30


def a_message(receipt="r1", at=0.0):
    return Message(id="m", receipt=receipt, body="", received_at=at)


def leases(now=0.0):
    return Leases(None, None, visibility_seconds=VISIBILITY, clock=lambda: now)


def test_a_second_copy_gets_no_lease_of_its_own_and_renews_the_receipt():
    held = leases()
    first = held.hold([a_message("r1", at=0)])[0]

    assert held.hold([a_message("r2", at=10)])[0] is None
    assert (first.message.receipt, first.ends_at) == ("r2", 10 + VISIBILITY)
    assert len(held) == 1


def test_a_lease_that_ended_makes_room_for_the_next_copy():
    held = leases()
    held.forget(held.hold([a_message()])[0])

    assert held.hold([a_message("r2")])[0] is not None


def test_forgetting_an_old_lease_leaves_the_new_one_of_the_same_message():
    held = leases()
    old = held.hold([a_message()])[0]
    held.forget(old)
    held.hold([a_message("r2")])

    held.forget(old)

    assert len(held) == 1


def test_no_more_than_twelve_hours_since_the_receive_may_be_asked_for():
    held = leases(now=43_000.0)
    lease = held.hold([a_message(at=0.0)])[0]

    assert held.at_most(lease, 900) == 199
    assert held.at_most(lease, 10) == 10


def test_a_cancelled_lease_remembers_the_first_reason():
    lease = leases().hold([a_message()])[0]

    lease.cancel("lease_lost")
    lease.cancel("drain")

    assert lease.lost


def test_a_message_of_a_poll_longer_than_the_visibility_is_held_as_it_arrives():
    held = leases(now=100.0)

    lease = held.hold([a_message(at=100.0 - VISIBILITY - 1)])[0]

    assert lease.is_held()
    assert lease.seconds_left() == ARRIVAL_SECONDS

from worker.intake.park_limit import ParkLimit


def a_limit(most=3):
    now = [0.0]
    return ParkLimit(most, lambda: now[0]), now


def test_a_few_dead_letters_are_always_taken():
    limit, _ = a_limit()

    assert [limit.admit() for _ in range(3)] == [True] * 3


def test_parking_stops_when_it_becomes_most_of_what_happens():
    limit, _ = a_limit()

    assert [limit.admit() for _ in range(6)] == [True] * 3 + [False] * 3
    assert limit.reached


def test_many_dead_letters_among_more_good_messages_are_taken():
    limit, _ = a_limit()
    for _ in range(100):
        limit.done()

    assert all(limit.admit() for _ in range(50))


def test_after_a_minute_a_few_more_may_be_parked():
    limit, now = a_limit()
    for _ in range(4):
        limit.admit()

    now[0] = 61.0

    assert not limit.reached
    assert [limit.admit() for _ in range(4)] == [True] * 3 + [False]


def test_a_limit_reached_late_in_a_minute_holds_beyond_its_end():
    limit, now = a_limit()
    now[0] = 50.0
    for _ in range(4):
        limit.admit()

    now[0] = 65.0

    assert not limit.admit()

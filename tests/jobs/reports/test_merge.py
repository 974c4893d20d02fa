from itertools import chain

from hypothesis import given
from hypothesis import strategies as st

from tests.support.genesys import a_row
from worker.jobs.reports.reader import Merge

starts = st.integers(0, 50)
pages = st.lists(st.lists(starts, max_size=8).map(sorted), max_size=6)


def rows_of(pages):
    """Ids hold page and place, so that ties can be distinguished."""
    return [
        [a_row(id=f"{p}/{i}", start_ms=start) for i, start in enumerate(page)]
        for p, page in enumerate(pages)
    ]


def flat(pages):
    return list(chain.from_iterable(pages))


@given(pages)
def test_the_merge_of_sorted_pages_is_the_stable_sort_of_all(pages):
    listed = rows_of(pages)

    merged = list(Merge().add(flat(listed)))

    assert merged == sorted(flat(listed), key=lambda row: row.start_ms)


@given(pages, st.data())
def test_repeats_anywhere_on_the_pages_change_nothing(pages, data):
    listed = rows_of(pages)
    once = list(Merge().add(flat(listed)))
    again = [sorted(page + page, key=lambda row: row.start_ms) for page in listed]

    merge = Merge()

    assert list(merge.add(flat([*again, *listed]))) == once
    assert merge.repeats == 2 * len(once)


def test_a_row_that_comes_again_on_a_later_round_is_dropped():
    merge, row = Merge(), a_row()
    list(merge.add([row]))

    assert list(merge.add([row])) == []
    assert (merge.rows, merge.repeats) == (1, 1)


def test_rows_without_an_id_are_never_taken_for_repeats():
    row = a_row(id=None)

    assert list(Merge().add([row, row])) == [row, row]


def test_the_memory_is_a_window_however_many_rows_pass():
    merge = Merge(window=10)

    for number in range(1000):
        list(merge.add([a_row(id=str(number), start_ms=number)]))

    assert len(merge._recent) == 10


def test_a_repeat_beyond_the_window_is_let_through_and_counted_as_a_row():
    merge, first = Merge(window=2), a_row(id="first", start_ms=0)
    rows = [first, a_row(id="b", start_ms=1), a_row(id="c", start_ms=2)]

    list(merge.add(rows))
    list(merge.add([first]))

    assert (merge.rows, merge.repeats) == (4, 0)

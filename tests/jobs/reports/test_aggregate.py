from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from tests.support.genesys import DAY_MS, HOUR_MS, OTHER_QUEUE, QUEUE, a_row
from worker.jobs.reports.charts import clock
from worker.jobs.reports.figures import MAX_WRAPUP_CODES, OTHER, Aggregate, Totals, rounded
from worker.jobs.reports.report import metric

BOTH = ("mediaType", "queueId")

rows = st.builds(
    a_row,
    start_ms=st.integers(DAY_MS, DAY_MS + 48 * HOUR_MS),
    duration_ms=st.none() | st.integers(0, 10**8),
    talk_ms=st.integers(0, 10**8),
    hold_ms=st.integers(0, 10**8),
    media_type=st.sampled_from(["voice", "message", None]),
    queue_id=st.sampled_from([QUEUE, OTHER_QUEUE, None]),
    wrapup_codes=st.lists(st.sampled_from("abc"), unique=True).map(tuple),
)


def an_aggregate(rows, group_by=BOTH, **over):
    aggregate = Aggregate(group_by, **over)
    for row in rows:
        aggregate.add(row)
    return aggregate


def figures_of(*rows):
    (totals,) = an_aggregate(rows).groups.values()
    return totals.figures()


def seen(aggregate):
    groups = {key: totals.figures() for key, totals in aggregate.groups.items()}
    return groups, aggregate.total.figures(), dict(aggregate.starts), aggregate.tally


def test_the_figures_of_one_conversation():
    figures = figures_of(a_row(duration_ms=120_000, talk_ms=60_000, hold_ms=12_000))

    assert figures.conversation_count == 1
    assert figures.avg_duration_seconds == Decimal("120.00")
    assert (figures.talk_ratio, figures.hold_ratio) == (Decimal("0.5000"), Decimal("0.1000"))
    assert figures.efficiency_score == Decimal("95.00")
    assert figures.p50_duration_seconds == figures.p99_duration_seconds == Decimal("120.00")
    assert figures.unique_wrapup_codes == ("resolved",)


def test_ratios_are_of_the_total_duration_and_not_means_of_ratios():
    figures = figures_of(
        a_row(duration_ms=1_000, talk_ms=1_000, hold_ms=0),
        a_row(duration_ms=9_000, talk_ms=0, hold_ms=9_000),
    )

    assert (figures.talk_ratio, figures.hold_ratio) == (Decimal("0.1000"), Decimal("0.9000"))


def test_ratios_of_no_duration_are_zero():
    figures = figures_of(a_row(duration_ms=0, talk_ms=5, hold_ms=5))

    assert (figures.talk_ratio, figures.hold_ratio) == (0, 0)
    assert figures.efficiency_score == 100


def test_efficiency_never_falls_below_zero():
    assert figures_of(a_row(duration_ms=1000, hold_ms=5000)).efficiency_score == 0


def test_numbers_are_rounded_half_up_as_on_paper():
    assert rounded(Decimal("0.125"), 2) == Decimal("0.13")
    figures = figures_of(a_row(duration_ms=15), a_row(duration_ms=0))
    assert metric(figures, "avg_duration_seconds") == Decimal("0.01")


def test_figures_are_not_rounded_before_they_are_written():
    figures = figures_of(a_row(duration_ms=59_495))

    assert figures.p50_duration_seconds == figures.avg_duration_seconds == Decimal("59.495")
    assert (metric(figures, "p50_duration_seconds"), clock(figures.p50_duration_seconds)) == (
        Decimal("59.50"),
        "0:59",
    )


def test_wrapup_codes_are_sorted_and_each_is_there_once():
    figures = figures_of(a_row(wrapup_codes=("b", "a")), a_row(wrapup_codes=("a",)))

    assert figures.unique_wrapup_codes == ("a", "b")


def test_wrapup_codes_beyond_the_limit_are_counted_instead():
    totals = Totals()
    for number in range(MAX_WRAPUP_CODES + 3):
        totals.add(a_row(wrapup_codes=(f"{number:04}",)), 1)

    figures = totals.figures()

    assert len(figures.unique_wrapup_codes) == MAX_WRAPUP_CODES
    assert figures.unlisted_wrapup_codes == 3


def test_a_live_conversation_is_counted_apart_and_in_no_group():
    aggregate = an_aggregate([a_row(duration_ms=None)])

    assert aggregate.tally.live == 1
    assert not aggregate.groups


def test_conversations_are_counted_by_the_quarter_of_an_hour_they_started_in():
    aggregate = an_aggregate([a_row(start_ms=DAY_MS + HOUR_MS - 1), a_row(start_ms=DAY_MS)])

    assert aggregate.starts == {DAY_MS: 1, DAY_MS + HOUR_MS * 3 // 4: 1}


def test_no_dimension_is_one_group():
    assert list(an_aggregate([a_row(), a_row()], ()).groups) == [()]


def test_the_busiest_group_comes_first():
    aggregate = an_aggregate([a_row(), a_row(queue_id=OTHER_QUEUE), a_row(queue_id=OTHER_QUEUE)])

    assert list(aggregate.groups) == [("voice", OTHER_QUEUE), ("voice", QUEUE)]


def test_groups_beyond_the_limit_fold_into_one_and_are_counted():
    many = [a_row(queue_id=str(number)) for number in range(5)]

    aggregate = an_aggregate(many, group_limit=3)

    assert aggregate.groups[OTHER, OTHER].count == 2
    assert aggregate.tally.folded == 2
    assert aggregate.total.count == 5


def test_groups_beyond_the_limit_fold_when_slices_are_put_together():
    whole = an_aggregate([a_row(queue_id="a"), a_row(queue_id="b")], group_limit=2)

    whole.merge(an_aggregate([a_row(queue_id="c"), a_row(queue_id="a")]))

    assert whole.groups[OTHER, OTHER].count == whole.tally.folded == 1
    assert whole.groups["voice", "a"].count == 2


def test_what_one_slice_folded_is_not_counted_twice():
    whole = an_aggregate([a_row(queue_id="a")], group_limit=1)

    whole.merge(an_aggregate([a_row(queue_id="a"), a_row(queue_id="b")], group_limit=1))

    assert whole.tally.folded == 1


@given(st.lists(rows), st.lists(rows))
def test_slices_read_apart_add_up_to_the_whole(one, other):
    apart = an_aggregate(one)
    apart.merge(an_aggregate(other))

    assert seen(apart) == seen(an_aggregate(one + other))

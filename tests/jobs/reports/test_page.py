"""The page: what it shows, and that nothing in it can break out or reach the network."""

import re
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from html import unescape
from html.parser import HTMLParser
from zoneinfo import ZoneInfo

import pytest

from tests.support.genesys import DAY, NOW, OTHER_QUEUE, QUEUE, a_day, a_row
from worker.clients.genesys.details_query import Slice
from worker.clients.genesys.filters import Condition
from worker.jobs.reports.charts import (
    change,
    clock,
    group_label,
    percent,
    points,
    ticks,
    time_ticks,
)
from worker.jobs.reports.figures import EXACT_VALUES, Aggregate
from worker.jobs.reports.page import DEFINITIONS, html_page
from worker.jobs.reports.report import METRICS, period, previous_of, report_of, span_before

AGENT = "05000000-0000-4000-8000-000000000001"
DIVISION = "dd000000-0000-4000-8000-000000000001"
CODE = "3a000000-0000-4000-8000-000000000001"
BERLIN_DAY = datetime(2026, 3, 1, 23, tzinfo=UTC)
VOID = {"meta", "link"}


def an_aggregate(*rows):
    aggregate = Aggregate(a_day().group_by)
    for row in rows:
        aggregate.add(row)
    return aggregate


def a_page(*rows, names=None, as_of=NOW, links=None, before=None, **due):
    due = a_day(**due)
    aggregate = Aggregate(due.group_by)
    for row in rows:
        aggregate.add(row)
    previous = before and previous_of(span_before(due), an_aggregate(*before))
    return html_page(report_of(due, aggregate, as_of, previous), names, links)


def text_of(page):
    """What a reader sees, in order."""
    body = page.partition("<main>")[2].partition("<script>")[0]
    return unescape(re.sub(r"<[^>]+>", " ", re.sub(r"<title>.*?</title>", "", body)))


class Tags(HTMLParser):
    """Checks that what is opened is closed."""

    def __init__(self, page):
        super().__init__()
        self.open, self.seen, self.links = [], [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        self.links += [value for name, value in attrs if name in {"href", "src", "xlink:href"}]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_every_element_is_closed():
    assert Tags(a_page(a_row(), a_row(queue_id=None, wrapup_codes=tuple("abcdef")))).open == []


def test_the_page_has_its_charts_and_its_table():
    tags = Tags(a_page(a_row())).seen

    assert tags.count("table") == 1
    assert tags.count("svg") >= 4


def test_the_page_loads_nothing():
    page = a_page(a_row())

    assert Tags(page).links == ["data:,"]
    assert "http" not in page.replace("http-equiv", "")


def test_the_policy_allows_exactly_the_script_and_the_style_that_are_there():
    page = a_page(a_row())

    for kind in ("script", "style"):
        (content,) = re.findall(f"<{kind}>(.*?)</{kind}>", page, re.DOTALL)
        digest = b64encode(sha256(content.encode()).digest()).decode()
        assert f"{kind}-src &#x27;sha256-{digest}&#x27;" in page
    assert "default-src &#x27;none&#x27;" in page
    assert "style=" not in page
    assert "onclick" not in page


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", '"><img src=x>', "</style>&amp;"])
def test_text_from_outside_cannot_become_markup(text):
    page = a_page(
        a_row(media_type=text, queue_id=text, wrapup_codes=(text,)),
        filters=(Condition("userId", (text,)),),
    )

    tags = Tags(page)
    assert "img" not in tags.seen
    assert tags.seen.count("script") == tags.seen.count("style") == 1


def test_queues_are_shown_by_name_where_names_are_known():
    page = a_page(a_row(), a_row(queue_id=OTHER_QUEUE), names={QUEUE: "Billing"})

    assert "Billing" in page
    assert "9e000000…0002" in page


def test_the_ids_are_at_hand_where_names_are_shown():
    names = {QUEUE: "Billing", CODE: "Resolved"}
    page = a_page(a_row(wrapup_codes=(CODE, "ININ-WRAP-UP-TIMEOUT")), names=names)

    assert f'title="{QUEUE}" data-value="Billing" data-label="Queue">Billing</td>' in page
    assert f'title="{CODE} ININ-WRAP-UP-TIMEOUT"' in page
    assert "Resolved, ININ-WRAP-UP-TIMEOUT" in page
    assert f"<title>voice · Billing\n{QUEUE}</title>" in page


def test_agents_divisions_and_filters_are_shown_by_name():
    row = a_row(user_id=AGENT, division_id=DIVISION)
    due = {"group_by": ("userId", "divisionId"), "queue_ids": (QUEUE,)}
    page = a_page(row, names={AGENT: "Ann", DIVISION: "Home", QUEUE: "Billing"}, **due)

    assert "Ann · Home" in page
    assert "<b>Billing</b>" in page


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", '"><img src=x>', "</title>&amp;"])
def test_a_name_cannot_become_markup(text):
    names = {QUEUE: text, CODE: text}

    tags = Tags(a_page(a_row(wrapup_codes=(CODE,)), names=names, queue_ids=(QUEUE,)))

    assert "img" not in tags.seen
    assert tags.seen.count("script") == tags.seen.count("style") == 1


def test_a_report_of_nothing_says_so():
    assert "No finished conversation." in a_page()


def test_what_the_figures_lack_is_said():
    due = a_day()
    aggregate = Aggregate(due.group_by)
    aggregate.add(a_row())
    aggregate.tally.unsettled, aggregate.tally.live = 2, 3

    page = html_page(report_of(due, aggregate, NOW))

    assert "changed while they were read: 2." in page
    assert "Left out as they were not over: 3." in page


def test_a_day_has_a_point_per_hour_and_empty_hours_are_zero():
    series, daily = points({}, Slice(DAY, DAY + timedelta(days=1)))

    assert (len(series), daily) == (24, False)
    assert {point.count for point in series} == {0}


def test_a_month_has_a_point_per_day():
    hour = 3_600_000
    start = round(DAY.timestamp() * 1000)
    hours = {start: 1, start + hour: 2, start + 25 * hour: 4}

    series, daily = points(hours, Slice(DAY, DAY + timedelta(days=30)))

    assert (len(series), daily) == (30, True)
    assert [point.count for point in series[:3]] == [3, 4, 0]


@pytest.mark.parametrize("largest", [0, 1, 3, 7, 10, 99, 1_000, 123_456])
def test_an_axis_has_few_marks_and_holds_the_largest_value(largest):
    for marks in (ticks(largest), time_ticks(max(1, largest))):
        assert marks[0] == 0
        assert marks[-1] >= largest
        assert 2 <= len(marks) <= 7


@pytest.mark.parametrize("largest", [3, 11, 12])
def test_an_axis_of_counts_has_whole_numbers_only(largest):
    assert all(mark == int(mark) for mark in ticks(largest))


def test_lengths_of_time_read_as_on_a_clock():
    assert (clock(59.6), clock(214), clock(3_725)) == ("1:00", "3:34", "1:02:05")


def test_shares_read_as_per_cent():
    assert percent(Decimal("0.05674")) == "5.67\u202f%"


# 0.10149 is 0.1015 with four digits, which is 10.2 % with one: rounded once it is 10.15 %.
def test_cards_bars_and_table_say_the_same_share_and_it_is_the_one_of_the_files():
    row = a_row(duration_ms=100_000, talk_ms=50_005, hold_ms=10_149)
    page = a_page(row)

    assert re.findall(r"<dt>Hold</dt><dd>([^<]+)", page)[0] == "10.15\u202f%"
    assert set(re.findall(r"<title>hold: ([^<]+)</title>", page)) == {"10.15\u202f%"}
    assert set(re.findall(r'data-label="Hold"><span>([^<]+)', page)) == {"10.15\u202f%"}
    assert set(re.findall(r'data-value="(0\.\d+)" data-label="Hold"', page)) == {"0.1015"}
    # Half of the last digit is rounded up, where Python's own rounding goes to the even digit.
    assert re.findall(r"<dt>Talk</dt><dd>([^<]+)", page)[0] == "50.01\u202f%"


def test_several_agents_who_talk_at_once_make_cards_and_bars_agree_too():
    page = a_page(a_row(duration_ms=10_000, talk_ms=15_000, hold_ms=1_000))

    assert re.findall(r"<dt>Talk</dt><dd>([^<]+)", page)[0] == "150.00\u202f%"
    assert set(re.findall(r"<title>talk: ([^<]+)</title>", page)) == {"150.00\u202f%"}


def test_the_files_can_be_downloaded_from_the_page():
    links = {"report.csv": "data:text/csv;base64,QQ==", "report.json": "data:,{}"}
    page = a_page(a_row(), links=links, timezone="Europe/Berlin", start=BERLIN_DAY)

    assert Tags(page).links == ["data:,", *links.values()]
    assert 'download="daily-voice-20260302.csv"' in page


def test_a_file_that_is_too_large_for_a_link_is_said_to_be_beside_the_page():
    assert "report.json is beside this page" in a_page(a_row(), links={"report.csv": "data:,"})


def test_the_period_before_stands_beside_each_figure():
    before = [a_row(duration_ms=60_000, talk_ms=30_000, hold_ms=3_000)] * 4
    now = [a_row(duration_ms=90_000, talk_ms=30_000, hold_ms=9_000)] * 5
    text = " ".join(text_of(a_page(*now, before=before)).split())

    assert "compared with 28 February 2026" in text
    assert "Conversations 5 before: 4 (+25.0 %)" in text
    assert "Average 1:30 before: 1:00 (+50.0 %)" in text
    assert "99 % 1:30 before: 1:00 (+50.0 %)" in text
    assert "Talk 33.33 % before: 50.00 % (-16.67 points)" in text
    assert "Hold 10.00 % before: 5.00 % (+5.00 points)" in text
    assert "Efficiency 95.00 before: 97.50 (-2.50)" in text
    # In the table, small.
    assert "voice 9e000000…0001 5 4 1:30 1:00 33.33 % 50.00 % 10.00 % 5.00 %" in text


def test_a_group_that_is_new_has_nothing_beside_its_figures():
    page = a_page(a_row(queue_id=OTHER_QUEUE), before=[a_row()])

    body = re.findall(r"<tbody>(.*?)</tbody>", page)[0]
    assert "<small>" not in body
    assert "<small>" in page.partition("<tfoot>")[2]


def test_figures_of_zero_before_have_no_change():
    assert change(5, 0) == ""


def test_a_report_without_a_period_before_says_so():
    assert "No figures of the period before are known." in a_page(a_row())
    assert "before are known" not in a_page(a_row(), before=[a_row()])


def test_each_figure_is_defined_on_the_page():
    assert set(DEFINITIONS) == set(METRICS)
    assert all(text in text_of(a_page(a_row())) for text in DEFINITIONS.values())


@pytest.mark.parametrize(
    ("as_of", "note"),
    [
        (DAY + timedelta(days=1, hours=2), "change until 4 March 2026, 00:00 UTC."),
        (DAY + timedelta(days=3), None),
        (DAY + timedelta(days=300), None),
    ],
)
def test_figures_that_are_final_are_not_said_to_change(as_of, note):
    page = a_page(a_row(), as_of=as_of)

    assert note in page if note else "may still change" not in page


def test_only_percentiles_that_are_not_exact_are_said_to_be_so():
    many = [a_row()] * (EXACT_VALUES + 1)

    assert "within 1 %" not in a_page(*many[:-1])
    assert "Percentiles of more than 5\u202f000 conversations are within 1 %" in a_page(*many)


def test_times_are_those_of_the_time_zone():
    rows = [a_row(start_ms=round(BERLIN_DAY.timestamp() * 1000))]
    end = BERLIN_DAY + timedelta(days=1)
    page = a_page(*rows, timezone="Europe/Berlin", start=BERLIN_DAY, end=end)

    assert "time zone <b>Europe/Berlin</b>" in page
    assert '<p class="period">2 March 2026</p>' in page
    assert "by start, Europe/Berlin" in page
    assert "<title>Mon 02 Mar, 00:00: 1</title>" in page
    assert "as of <b>20 March 2026, 10:00</b>" in page


@pytest.mark.parametrize(
    ("start", "end", "text"),
    [
        ("2026-03-01T00:00Z", "2026-03-02T00:00Z", "1 March 2026"),
        ("2026-03-01T00:00Z", "2026-04-01T00:00Z", "1 March 2026 \u2013 31 March 2026"),
        (
            "2026-03-01T08:00Z",
            "2026-03-01T09:00Z",
            "1 March 2026, 08:00 \u2013 1 March 2026, 09:00",
        ),
    ],
)
def test_a_period_reads_as_people_say_it(start, end, text):
    assert period(datetime.fromisoformat(start), datetime.fromisoformat(end), UTC) == text


def test_a_day_of_23_hours_has_a_point_for_each():
    zone = ZoneInfo("Europe/Berlin")
    start = datetime(2026, 3, 29, tzinfo=zone).astimezone(UTC)
    one = round(start.timestamp() * 1000) + 2 * 3_600_000

    series, _ = points({one: 7}, Slice(start, start + timedelta(hours=23)), zone)

    assert len(series) == 23
    assert {point.start.hour: point.count for point in series if point.count} == {3: 7}


def test_a_day_of_a_month_is_one_of_the_time_zone():
    zone = ZoneInfo("America/New_York")
    start = datetime(2026, 3, 1, tzinfo=zone).astimezone(UTC)
    late = datetime(2026, 3, 1, 23, 45, tzinfo=zone)  # Monday in UTC

    end = datetime(2026, 4, 1, tzinfo=zone).astimezone(UTC)
    series, daily = points({round(late.timestamp() * 1000): 3}, Slice(start, end), zone)

    assert (len(series), daily) == (31, True)
    assert series[0].count == 3


def test_a_group_without_dimensions_is_all_conversations():
    assert group_label((), {}) == "all conversations"

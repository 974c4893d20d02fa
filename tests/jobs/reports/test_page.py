"""The page: what it shows, and that nothing in it can break out or reach the network."""

import re
from base64 import b64encode
from datetime import timedelta
from hashlib import sha256
from html.parser import HTMLParser

import pytest

from tests.support.genesys import DAY, NOW, OTHER_QUEUE, QUEUE, a_day, a_row
from worker.clients.genesys.details_query import Slice
from worker.clients.genesys.filters import Condition
from worker.jobs.reports.charts import clock, group_label, percent, points, ticks, time_ticks
from worker.jobs.reports.figures import Aggregate
from worker.jobs.reports.page import html_page
from worker.jobs.reports.report import report_of

AGENT = "05000000-0000-4000-8000-000000000001"
DIVISION = "dd000000-0000-4000-8000-000000000001"
CODE = "3a000000-0000-4000-8000-000000000001"
VOID = {"meta", "link"}


def a_page(*rows, names=None, **due):
    due = a_day(**due)
    aggregate = Aggregate(due.group_by)
    for row in rows:
        aggregate.add(row)
    return html_page(report_of(due, aggregate, NOW), names)


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

    assert f'title="{QUEUE}" data-value="Billing">Billing</td>' in page
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
    assert percent(0.0567) == "5.7\u202f%"


def test_a_group_without_dimensions_is_all_conversations():
    assert group_label((), {}) == "all conversations"

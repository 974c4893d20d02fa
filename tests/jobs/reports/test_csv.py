"""CSV that reads back to what was written, and that no spreadsheet runs."""

import csv
import io

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.genesys import NOW, QUEUE, a_day, a_row
from worker.jobs.reports.figures import Aggregate
from worker.jobs.reports.files import csv_text, lines_of, neutral, original
from worker.jobs.reports.report import report_of

AGENT = "05000000-0000-4000-8000-000000000001"
DIVISION = "dd000000-0000-4000-8000-000000000001"
CODE = "3a000000-0000-4000-8000-000000000001"

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)

FORMULAS = [
    "=cmd|' /C calc'!A0",
    "+1",
    "-2",
    "@SUM(1)",
    "\t=1",
    "\rx",
    "\nx",
    "\uff1d1+1",
    "\uff0b1",
    "\uff0d1",
    "\uff20x",
    "\ufe661",
    "\u22121",
    " =1",
    "\ufeff=1",
    "\u200b@x",
    "'=1",
]


def read(text):
    return list(csv.reader(io.StringIO(text, newline="")))


def a_report(*rows, **due):
    due = a_day(**due)
    aggregate = Aggregate(due.group_by)
    for row in rows:
        aggregate.add(row)
    return report_of(due, aggregate, NOW)


@pytest.mark.parametrize("text", FORMULAS)
def test_a_text_that_would_run_gets_an_apostrophe_in_front(text):
    assert neutral(text) == f"'{text}"


@pytest.mark.parametrize("text", ["", "voice", "a=b", "it's", "'quoted'", "Käufer", "3a-1", "#1"])
def test_a_text_that_would_not_run_is_left_alone(text):
    assert neutral(text) == text


@given(texts)
@example("'=1")
@example("'\t")
@example("''=")
def test_neutral_texts_can_be_turned_back(text):
    assert original(neutral(text)) == text


@given(texts)
def test_what_is_neutral_stays_as_it_is_when_it_is_checked_again(text):
    assert neutral(neutral(text)).lstrip("'") == text.lstrip("'")


@given(st.lists(st.lists(texts, min_size=2, max_size=4), max_size=5))
def test_lines_read_back_to_the_same_rows(rows):
    assert [[original(cell) for cell in line] for line in read(lines_of(rows))] == rows


def test_lines_end_as_rfc_4180_says():
    text = lines_of([["a", "b"], ['say "x", y', 1]])

    assert text == '"a","b"\r\n"say ""x"", y",1\r\n'


def test_numbers_are_untouched_also_negative_ones():
    assert lines_of([[-1, -0.5]]) == "-1,-0.5\r\n"


def test_a_report_has_a_column_per_dimension_and_per_metric():
    header, line = read(csv_text(a_report(a_row(queue_id="q"))))

    assert header == [
        "mediaType",
        "queueId",
        "queueName",
        "conversation_count",
        "avg_duration_seconds",
        "talk_ratio",
        "hold_ratio",
        "efficiency_score",
        "unique_wrapup_codes",
        "wrapup_names",
        "p50_duration_seconds",
        "p90_duration_seconds",
        "p99_duration_seconds",
    ]
    assert line == [
        "voice", "q", "", "1", "120.00", "0.5000", "0.1000", "95.00", "resolved", "resolved",
        "120.00", "120.00", "120.00",
    ]  # fmt: skip


def test_a_dimension_without_a_value_is_an_empty_cell():
    assert read(csv_text(a_report(a_row(queue_id=None))))[1][:2] == ["voice", ""]


def test_a_wrapup_code_that_is_a_formula_does_not_run():
    (_, line) = read(csv_text(a_report(a_row(wrapup_codes=("=cmd|x",)))))

    assert line[8] == "'=cmd/x"


def test_names_stand_right_of_their_ids():
    due = {"group_by": ("queueId", "userId", "divisionId")}
    row = a_row(user_id=AGENT, division_id=DIVISION, wrapup_codes=("ININ-WRAP-UP-TIMEOUT", CODE))
    names = {QUEUE: "Billing", AGENT: "Ann", DIVISION: "Home", CODE: "Resolved"}

    header, line = read(csv_text(a_report(row, **due), names))

    cells = dict(zip(header, line, strict=True))
    assert header[:6] == [
        "queueId",
        "queueName",
        "userId",
        "userName",
        "divisionId",
        "divisionName",
    ]
    assert line[:6] == [QUEUE, "Billing", AGENT, "Ann", DIVISION, "Home"]
    assert cells["unique_wrapup_codes"] == f"{CODE}|ININ-WRAP-UP-TIMEOUT"
    assert cells["wrapup_names"] == "Resolved|ININ-WRAP-UP-TIMEOUT"


def test_where_no_name_is_known_the_ids_stay_and_the_column_too():
    header, line = read(csv_text(a_report(a_row(wrapup_codes=(CODE,)))))

    cells = dict(zip(header, line, strict=True))
    assert (cells["queueId"], cells["queueName"]) == (QUEUE, "")
    assert (cells["unique_wrapup_codes"], cells["wrapup_names"]) == (CODE, CODE)


@pytest.mark.parametrize("text", FORMULAS)
def test_a_name_that_is_a_formula_does_not_run(text):
    names = {QUEUE: text, CODE: text}

    header, line = read(csv_text(a_report(a_row(wrapup_codes=(CODE,))), names))

    cells = dict(zip(header, line, strict=True))
    assert cells["queueName"] == f"'{text}"
    assert cells["wrapup_names"] == "'" + text.replace("|", "/")


def test_a_name_with_a_semicolon_begins_no_cell():
    text = csv_text(a_report(a_row()), {QUEUE: "Billing;=1+1"})

    assert '"Billing;=1+1"' in text


def test_a_name_with_a_bar_is_one_of_the_list():
    row = a_row(wrapup_codes=(CODE, "other"))
    header, line = read(csv_text(a_report(row), {CODE: "Yes|No"}))

    assert dict(zip(header, line, strict=True))["wrapup_names"] == "Yes/No|other"


def test_a_report_of_nothing_is_a_header():
    assert len(read(csv_text(a_report()))) == 1


def test_a_code_begins_no_cell_where_cells_are_separated_by_semicolons():
    text = csv_text(a_report(a_row(wrapup_codes=("#1", "=1+1"))))

    cells = [cell for line in text.splitlines() for cell in line.split(";")]
    assert not any(cell.startswith("=") for cell in cells)

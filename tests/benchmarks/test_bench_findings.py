"""What figures are made of: medians, spreads, claims."""

from io import StringIO

import orjson
import pytest
from rich.console import Console

from tests.benchmarks import report
from tests.benchmarks.__main__ import _report
from tests.benchmarks.findings import Claim, Findings, Spread, Table, ratio
from tests.benchmarks.size import Size

MISSED = Claim("cost, of the bare loop's", Spread([0.5]), 0.25)


def findings(*rows, claims=(), notes=(), missing=()):
    table = Table("costs", "What it costs", ("contestant", "CPU µs"), rows, notes, missing)
    return Findings([table], claims=list(claims))


def shown(found):
    text = StringIO()
    report.show(found, Console(width=100, file=text))
    return text.getvalue()


def test_one_disturbed_round_does_not_move_the_figure():
    assert Spread([70.0, 71.0, 500.0]).middle == 71.0


def test_the_spread_is_half_the_distance_between_the_extremes():
    assert str(Spread([90.0, 100.0, 110.0])) == "100 ±10%"


def test_a_single_round_has_no_spread():
    assert str(Spread([1234.5])) == "1,234"


@pytest.mark.parametrize(("measured", "met"), [(0.2, True), (0.25, True), (0.3, False)])
def test_a_claim_is_met_up_to_its_bound(measured, met):
    assert Claim("", Spread([measured]), 0.25).met is met


@pytest.mark.parametrize(("measured", "met"), [(0.9, False), (1.0, True), (1.1, True)])
def test_a_claim_of_at_least_is_met_from_its_bound_on(measured, met):
    assert Claim("", Spread([measured]), 1.0, at_least=True).met is met


@pytest.mark.parametrize("at_least", [False, True])
def test_what_was_not_measured_meets_no_claim(at_least):
    assert not Claim("", Spread([]), 1.0, at_least=at_least).met
    assert not Claim("", Spread([]), 1.0, at_least=at_least, worst=True).met


@pytest.mark.parametrize(("at_least", "measured"), [(False, 3.0), (True, 1.0)])
def test_a_claim_on_the_worst_round_is_held_to_it(at_least, measured):
    assert Claim("", Spread([1.0, 3.0, 2.0]), 2.0, at_least=at_least, worst=True).met is False
    assert Claim("", Spread([1.0, 3.0, 2.0]), 2.0, at_least, worst=True).measured == measured


def test_ratios_are_taken_round_by_round():
    assert ratio([10, 40], [100, 100]).rounds == [0.1, 0.4]
    assert ratio([10, 40], [100]).rounds == [0.1]


def test_a_contestant_without_a_figure_keeps_its_row_and_its_reason():
    text = shown(findings(("celery", None), notes=["celery: not measured: no pycurl"]))

    assert "celery" in text
    assert "not measured: no pycurl" in text


def test_a_claim_that_is_missed_is_reported_with_its_figure_and_its_bound():
    text = "NOT MET: cost, of the bare loop's: 0.5 of one round (claimed: ≤ 0.25)"
    assert report.reported(MISSED) == text


def test_a_claim_is_reported_with_its_spread_its_rounds_and_its_unit():
    claim = Claim("memory", Spread([60.0, 62.0, 61.0]), 64, unit="MiB")

    assert report.reported(claim) == "met: memory: 61 ±2% MiB of 3 rounds (claimed: ≤ 64 MiB)"


def test_the_markdown_has_the_claims_first_and_each_table_with_its_notes():
    rows = [("ours", Spread([1.0, 3.0, 2.0])), ("celery", None)]
    found = findings(*rows, claims=[MISSED], notes=["a note"], missing=["celery: not measured: no"])

    text = report.as_markdown({"costs": found})

    assert text.index("| cost, of the bare loop's | ≤ 0.25 | 0.5 of one round | **not met** |") > 0
    assert "### What it costs\n\n| contestant | CPU µs |\n| --- | ---: |\n" in text
    assert "| ours | 2 ±50% |\n| celery | - |\n\n- a note\n- celery: not measured: no\n" in text


def test_the_json_holds_every_round():
    found = {"costs": findings(("ours", Spread([1.0, 3.0, 2.0])))}

    cell = orjson.loads(report.as_json(found))["costs"]["tables"][0]["rows"][0][1]

    assert cell == {"median": 2.0, "width": 1.0, "rounds": [1.0, 3.0, 2.0]}


def test_the_json_says_which_claims_are_met():
    found = {"costs": findings(claims=[MISSED])}

    claim = orjson.loads(report.as_json(found))["costs"]["claims"][0]

    assert claim["met"] is False


@pytest.fixture
def size(tmp_path):
    return Size(rounds=1, messages=1, quick=True, work=tmp_path)


def test_a_missed_claim_is_an_exit_code_of_1_after_the_report_is_written(size, tmp_path):
    code = _report({"costs": findings(claims=[MISSED])}, [], tmp_path / "out", size)

    assert code == 1
    assert (tmp_path / "out" / report.JSON).exists()


def test_a_benchmark_that_broke_off_is_an_exit_code_of_1(size, tmp_path):
    assert _report({}, ["intake"], tmp_path / "out", size) == 1


def test_claims_that_are_met_are_an_exit_code_of_0(size, tmp_path):
    met = Claim("cost", Spread([0.1]), 0.25)

    assert _report({"costs": findings(claims=[met])}, [], tmp_path / "out", size) == 0
    assert (tmp_path / "out" / report.MARKDOWN).exists()


def test_who_was_not_measured_is_named_at_the_end_of_the_run(size, tmp_path, capsys):
    _report({"costs": findings(missing=["celery: no pycurl"])}, [], tmp_path / "out", size)

    assert "costs: celery: no pycurl" in capsys.readouterr().err

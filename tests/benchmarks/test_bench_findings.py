"""What figures are made of: medians, spreads, claims."""

from io import StringIO
from math import nan

import orjson
import pytest
from rich.console import Console

from tests.benchmarks import report
from tests.benchmarks.__main__ import _report
from tests.benchmarks.findings import Claim, Findings, Spread, Table
from tests.benchmarks.size import Size

MISSED = Claim("cost, of the bare loop's", 0.5, 0.25)


def findings(*rows, claims=(), notes=()):
    table = Table("costs", "What it costs", ("contestant", "CPU µs"), rows, notes)
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
    assert Claim("", measured, 0.25).met is met


@pytest.mark.parametrize(("measured", "met"), [(0.9, False), (1.0, True), (1.1, True)])
def test_a_claim_of_at_least_is_met_from_its_bound_on(measured, met):
    assert Claim("", measured, 1.0, at_least=True).met is met


@pytest.mark.parametrize("at_least", [False, True])
def test_what_was_not_measured_meets_no_claim(at_least):
    assert not Claim("", nan, 1.0, at_least=at_least).met


def test_a_contestant_without_a_figure_keeps_its_row_and_its_reason():
    text = shown(findings(("celery", None), notes=["celery: not measured: no pycurl"]))

    assert "celery" in text
    assert "not measured: no pycurl" in text


def test_a_claim_that_is_missed_is_reported_with_its_figure_and_its_bound():
    assert report.reported(MISSED) == "NOT MET: cost, of the bare loop's: 0.5 (claimed: ≤ 0.25)"


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
    met = Claim("cost", 0.1, 0.25)

    assert _report({"costs": findings(claims=[met])}, [], tmp_path / "out", size) == 0

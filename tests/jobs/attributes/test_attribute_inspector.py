"""The report on a customer's record, and what the rules make of it."""

import pytest

from worker.clients.genesys.participants import Kind
from worker.errors import Permanent
from worker.jobs.attributes.inspector import Rules, inspect, sendable

SCHEMA = {"tier": Kind.STRING, "ltv": Kind.NUMBER, "vip": Kind.BOOLEAN, "renewal": Kind.DATE}
RECORD = {"tier": "gold", "ltv": "12.50", "vip": "maybe", "shoeSize": 44}


def test_a_mismatch_is_reported_with_what_was_expected_and_what_was_there():
    assert inspect(SCHEMA, RECORD, Rules()).as_json() == {
        "attributes": {"tier": "gold", "ltv": "12.5"},
        "missing": ["renewal"],
        "extra": ["shoeSize"],
        "mismatched": [{"name": "vip", "expected": "boolean", "actual": "string"}],
        "tooLong": [],
    }


def test_the_masked_report_names_attributes_without_their_values():
    masked = inspect(SCHEMA, RECORD, Rules()).masked()

    assert masked["attributes"] == {"tier": "***", "ltv": "***"}
    assert masked["missing"] == ["renewal"]


def test_no_value_is_in_the_repr_of_a_report():
    assert "gold" not in repr(inspect(SCHEMA, RECORD, Rules()))


def test_null_is_a_missing_value_and_no_mismatch():
    report = inspect({"ltv": Kind.NUMBER}, {"ltv": None}, Rules())

    assert report.missing == ("ltv",)
    assert report.mismatched == ()


def test_the_prefix_stands_before_each_name_that_is_sent():
    report = inspect({"tier": Kind.STRING}, {"tier": "gold"}, Rules(prefix="crm."))

    assert sendable(report, Rules()) == {"crm.tier": "gold"}


@pytest.mark.parametrize(("length", "sent"), [(1024, {"note": "x" * 1024}), (1025, {})])
def test_a_value_over_the_length_is_left_out_and_not_cut(length, sent):
    report = inspect({"note": Kind.STRING}, {"note": "x" * length}, Rules())

    assert report.attributes == sent
    assert report.too_long == (() if sent else ("note",))


def test_a_name_over_the_length_with_its_prefix_is_left_out():
    rules = Rules(max_length=6, prefix="crm.")

    report = inspect({"abc": Kind.STRING, "ab": Kind.STRING}, {"abc": "1", "ab": "1"}, rules)

    assert report.attributes == {"crm.ab": "1"}


def test_more_attributes_than_allowed_fail_the_event():
    names = [f"a{number}" for number in range(3)]
    report = inspect(dict.fromkeys(names, Kind.STRING), dict.fromkeys(names, "x"), Rules())

    with pytest.raises(Permanent, match="3 attributes, allowed are 2"):
        sendable(report, Rules(max_count=2))


def test_a_mismatch_fails_the_event_by_its_name_alone_when_rules_are_strict():
    report = inspect(SCHEMA, RECORD, Rules())

    with pytest.raises(Permanent) as caught:
        sendable(report, Rules(strict=True))

    assert caught.value.reason == "attributes do not fit the flow: vip"


def test_missing_and_extra_ones_are_no_offence_when_rules_are_strict():
    report = inspect(SCHEMA, {"tier": "gold", "shoeSize": 44}, Rules())

    assert sendable(report, Rules(strict=True)) == {"tier": "gold"}


TYPED = Rules(typed=True)


def test_where_attributes_are_typed_they_go_out_as_declared():
    record = {"tier": 7, "ltv": "12.50", "vip": "yes", "renewal": "2026-04-01"}

    report = inspect(SCHEMA, record, TYPED)

    assert report.as_json()["attributes"] == {
        "tier": "7",
        "ltv": 12.5,
        "vip": True,
        "renewal": "2026-04-01",
    }
    assert report.attributes["vip"] is True


def test_a_typed_value_over_the_length_is_left_out_by_its_text():
    report = inspect({"n": Kind.INTEGER}, {"n": 10**9}, Rules(typed=True, max_length=9))

    assert (report.attributes, report.too_long) == ({}, ("n",))


def test_an_integer_that_no_json_writer_takes_is_none_where_attributes_are_typed():
    report = inspect({"n": Kind.INTEGER}, {"n": 10**30}, TYPED)

    assert report.unfit == ("n",)
    assert inspect({"n": Kind.INTEGER}, {"n": 10**30}, Rules()).attributes == {"n": str(10**30)}

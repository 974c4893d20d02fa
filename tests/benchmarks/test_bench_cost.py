"""deploy/COST.md is what the script makes of counts and prices; its arithmetic, by hand."""

import json
from datetime import date
from math import isinf

import pytest

from tests.benchmarks.cost import (
    COUNTS_FILE,
    MILLION,
    PAGE,
    PRICES_FILE,
    Comparison,
    Prices,
    current_page,
    dollars_of,
    transitions,
)
from tests.benchmarks.cost_counting import billed
from worker.app.jobs import BOX, catalogue

PRICES = Prices(json.loads(PRICES_FILE.read_text()))
COUNTED = json.loads(COUNTS_FILE.read_text())
RATES = {0.0: 0.2, 1.0: 2.2, 20.0: 22.2}


def a_task(name):
    return {"Type": "Task", "Next": name} if name else {"Type": "Task", "End": True}


def test_the_page_is_what_the_script_prints():
    assert PAGE.read_text() == current_page(), "python -m tests.benchmarks.cost --write"


def test_every_job_of_the_box_was_counted():
    assert set(COUNTED["jobs"]) == {
        entry["name"] for entry in catalogue() if entry["distribution"] == BOX
    }


def test_every_price_has_a_source_and_says_what_it_was_checked_against():
    date.fromisoformat(PRICES.date)
    for entry in PRICES.entries.values():
        assert entry["source"].startswith("https://aws.amazon.com/")
        assert entry["seen"]


def test_a_record_and_a_look_up_cost_a_write_and_half_a_read():
    counts = {"dynamodb:write_units": 1, "dynamodb:read_units": 0.5, "log:bytes": 0}

    assert dollars_of(counts, PRICES, 9)["DynamoDB"] == pytest.approx(0.625 + 0.0625)


def test_a_standard_execution_costs_its_transitions():
    counts = {"states:StartExecution": 1, "log:bytes": 0}

    assert dollars_of(counts, PRICES, 9)["Step Functions"] == pytest.approx(9 * 25)


def test_transitions_are_the_states_that_an_execution_passes():
    branch = {"StartAt": "a", "States": {"a": a_task("b"), "b": a_task(None)}}
    choice = {"Type": "Choice", "Choices": [{"Next": "yes"}], "Default": "no"}
    machine = {
        "StartAt": "both",
        "States": {
            "both": {"Type": "Parallel", "Branches": [branch, branch], "Next": "asked"},
            "asked": choice,
            "yes": {"Type": "Succeed"},
            "no": {"Type": "Fail"},
        },
    }

    assert transitions(machine) == 1 + 2 * 2 + 2


@pytest.mark.parametrize(
    ("operation", "body", "units"),
    [
        ("dynamodb:PutItem", b"x" * 1024, {"dynamodb:write_units": 1}),
        ("dynamodb:PutItem", b"x" * 1025, {"dynamodb:write_units": 2}),
        ("dynamodb:Query", b"{}", {"dynamodb:read_units": 0.5}),
        ("dynamodb:Query", b'{"ConsistentRead": true}', {"dynamodb:read_units": 1}),
        ("events:PutEvents", b'{"Entries": [{}, {}]}', {"events:entries": 2}),
        ("s3:PUT", b"", {}),
    ],
)
def test_calls_are_billed_by_their_units(operation, body, units):
    assert billed(operation, body) == {operation: 1, **units}


def test_what_is_billed_in_a_way_that_is_not_known_is_refused():
    with pytest.raises(ValueError, match="TransactWriteItems"):
        billed("dynamodb:TransactWriteItems", b"{}")


def test_tasks_are_cheaper_from_the_break_even_on_and_not_before():
    one = Comparison({"genesys:data_action": 1, "dynamodb:PutItem": 1}, PRICES, RATES)
    even = one.break_even(0.1)

    assert one.task(even) <= one.function(even, 0.1)
    assert one.task(even * 0.99) > one.function(even * 0.99, 0.1)
    assert one.break_even(0.1, tasks=2) > even
    assert one.break_even(0.3) < even


def test_a_function_that_never_waits_may_be_cheaper_for_ever():
    chatty = Comparison({}, PRICES, {0.0: 1.0, 1.0: 100.0})

    assert isinf(chatty.break_even(0.1))


def test_lookups_for_many_events_at_once_are_one_each_for_a_function():
    one = Comparison({"genesys:details_by_id": 0.01, "genesys:token": 0.01}, PRICES, RATES)

    assert one.calls_outside() == 1


def test_sqs_between_two_rates_is_counted_on_a_straight_line():
    one = Comparison({}, PRICES, RATES)
    half = one.task(MILLION * 1.314) - one.fixed()  # half an event a second

    assert half == pytest.approx(PRICES.of("sqs", 1.2 * 2_628_000), rel=0.001)

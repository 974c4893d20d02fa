from decimal import Decimal

import pytest

from worker.errors import Permanent
from worker.jobs.voice.customers import Customer, customer_of


def read(output):
    return customer_of(output, tier_field="tier", ltv_field="ltv")


@pytest.mark.parametrize(
    ("ltv", "exact"),
    [
        ("", None),
        (12500.0, "12500.0"),
        (0.1, "0.1"),
        (7, "7"),
        ("12500.00", "12500.00"),
        (-3.5, "-3.5"),
        (1e16, "1e16"),
        (None, None),
    ],
)
def test_the_lifetime_value_is_exact(ltv, exact):
    expected = None if exact is None else Decimal(exact)

    assert read({"tier": "gold", "ltv": ltv}) == Customer("gold", expected)


@pytest.mark.parametrize("output", [None, {}, {"tier": None}, {"tier": ""}, {"ltv": 5}])
def test_an_output_without_a_tier_is_no_customer(output):
    assert read(output) is None


@pytest.mark.parametrize(
    "ltv", [True, float("nan"), float("inf"), " ", "NaN", "1,000", "a lot", [], 10**40, "1" * 31]
)
def test_a_lifetime_value_that_is_none_is_refused_by_name(ltv):
    with pytest.raises(Permanent, match=r"^data action output ltv: not a number$"):
        read({"tier": "gold", "ltv": ltv})


@pytest.mark.parametrize("tier", [True, [], {"name": "gold"}])
def test_a_tier_that_is_no_text_is_refused_by_name(tier):
    with pytest.raises(Permanent, match=r"^data action output tier: not text$"):
        read({"tier": tier})


@pytest.mark.parametrize(("tier", "text"), [(3, "3"), (2.5, "2.5")])
def test_a_tier_that_is_a_number_is_its_text(tier, text):
    assert read({"tier": tier}) == Customer(text, None)


def test_fields_are_found_whatever_the_case_of_their_names():
    assert read({"Tier": "gold", "LTV": 5}) == Customer("gold", Decimal(5))


def test_the_exact_name_comes_before_one_in_another_case():
    assert read({"TIER": "lead", "tier": "gold"}) == Customer("gold", None)


def test_of_two_names_in_other_cases_none_is_chosen():
    assert read({"TIER": "lead", "Tier": "gold"}) is None


def test_other_names_of_the_fields_are_used():
    output = {"segment": "gold", "value": 5}

    assert customer_of(output, tier_field="segment", ltv_field="value") == Customer(
        "gold", Decimal(5)
    )

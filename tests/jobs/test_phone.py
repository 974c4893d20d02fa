import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.events.origin import e164, number_as_written


@pytest.mark.parametrize(
    "address",
    [
        *("+15550100001", "tel:+15550100001", "+1 (555) 010-0001", "tel:+1-555-010-0001"),
        *("tel:+15550100001;ext=12", " +1.555.010.0001 "),
        *("sip:+15550100001@example.com", "SIPS:+1-555-010-0001;ext=1@h:5061", "TEL:+15550100001"),
    ],
)
def test_a_number_is_found_whatever_its_dress(address):
    assert e164(address) == "+15550100001"


@pytest.mark.parametrize(
    "address",
    [
        *(None, "", "tel:", "anonymous", "sip:bob@example.com", "5550100001"),
        *("0015550100001", "+05550100001", "+1555010000123456", "+12", "+1555O100001"),
        *("+" + "\N{ARABIC-INDIC DIGIT ONE}" * 11, "+1555010\x000001", "++15550100001"),
    ],
    ids=ascii,
)
def test_what_is_not_certainly_a_number_is_none(address):
    assert e164(address) is None


@pytest.mark.parametrize(
    ("address", "number"),
    [
        ("tel:0049 30 1234567", "0049 30 1234567"),
        ("sip:1001@example.com", "1001"),
        ("(555) 010-0001", "(555) 010-0001"),
        (PLUS := "+15550100001", PLUS),
        *((other, None) for other in (None, "", "anonymous", "sip:bob@example.com", "a1001")),
    ],
)
def test_a_number_is_kept_as_it_was_written(address, number):
    assert number_as_written(address) == number


@given(st.text())
def test_a_found_number_is_found_again(address):
    number = e164(address)

    assert e164(number) == number

"""Each kind and each value: what goes on the wire, or that it is refused."""

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from worker.clients.genesys.participants import Kind
from worker.jobs.attributes.inspector import Unfit, coerce, json_type, wire_text

NO = None
"""In the table below: unfit."""

VALUES = (
    "gold",
    "42",
    "4.50",
    "YES",
    True,
    False,
    1,
    2.0,
    "2026-03-02",
    None,
    [1],
    {"b": 1, "a": 2},
)
TABLE = {
    Kind.STRING: (
        *("gold", "42", "4.50", "YES", "true", "false", "1", "2.0", "2026-03-02", NO),
        *("[1]", '{"a":2,"b":1}'),
    ),
    Kind.NUMBER: (NO, "42", "4.5", NO, NO, NO, "1", "2", NO, NO, NO, NO),
    Kind.INTEGER: (NO, "42", NO, NO, NO, NO, "1", "2", NO, NO, NO, NO),
    Kind.BOOLEAN: (NO, NO, NO, "true", "true", "false", "true", NO, NO, NO, NO, NO),
    Kind.DATE: (NO, NO, NO, NO, NO, NO, NO, NO, "2026-03-02", NO, NO, NO),
    Kind.ANY: (
        *("gold", "42", "4.50", "YES", "true", "false", "1", "2", "2026-03-02", NO),
        *("[1]", '{"a":2,"b":1}'),
    ),
}
CELLS = [
    pytest.param(kind, value, text, id=f"{kind}-{value!r}")
    for kind, texts in TABLE.items()
    for value, text in zip(VALUES, texts, strict=True)
]

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text()
    | st.dates().map(str)
    | st.datetimes(timezones=st.none() | st.timezones()).map(lambda moment: moment.isoformat())
    | st.integers().map(str)
    | st.floats().map(str),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


def text_of(kind, value):
    try:
        return wire_text(coerce(kind, value))
    except Unfit:
        return NO


@pytest.mark.parametrize(("kind", "value", "text"), CELLS)
def test_a_value_has_this_text_or_none_for_its_kind(kind, value, text):
    assert text_of(kind, value) == text


@pytest.mark.parametrize("text", ["true", "True", "TRUE", "1", "yes", "Yes"])
def test_these_words_are_true(text):
    assert coerce(Kind.BOOLEAN, text) is True


@pytest.mark.parametrize("text", ["false", "False", "FALSE", "0", "no", "NO"])
def test_these_words_are_false(text):
    assert coerce(Kind.BOOLEAN, text) is False


@pytest.mark.parametrize("value", ["", "on", "y", " true", "2", 2, -1, 0.5])
def test_other_words_are_no_boolean(value):
    assert text_of(Kind.BOOLEAN, value) is NO


@pytest.mark.parametrize(
    "value", ["", "nan", "inf", "1e999", "1_000", "0x10", " 1", "٣", "1.", math.inf, math.nan]
)
def test_what_is_no_finite_number_is_unfit(value):
    assert text_of(Kind.NUMBER, value) is NO


@pytest.mark.parametrize("value", [2**53 + 1, str(2**53 + 1), "1234567890123456789012"])
def test_a_number_that_a_float_would_change_is_unfit(value):
    assert text_of(Kind.NUMBER, value) is NO


def test_an_integer_keeps_all_its_digits():
    assert text_of(Kind.INTEGER, 2**63 - 1) == "9223372036854775807"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("20260302", "2026-03-02"),
        ("2026-03-02T10:00:00Z", "2026-03-02T10:00:00Z"),
        ("2026-03-02T10:00:00+00:00", "2026-03-02T10:00:00Z"),
        ("2026-03-02T10:00:00+01:00", "2026-03-02T10:00:00+01:00"),
        ("2026-03-02T10:00:00+00:00:30", "2026-03-02T10:00:00+00:00:30"),
        ("2026-03-02 10:00", "2026-03-02T10:00:00"),
        ("2026-W10-1", "2026-03-02"),
    ],
)
def test_a_date_is_written_in_extended_iso_8601(value, text):
    assert text_of(Kind.DATE, value) == text


@pytest.mark.parametrize(
    "value",
    [
        "",
        "02.03.2026",
        "2026-02-30",
        "2026-13-01",
        "2026-03-02x10:00",
        "tomorrow",
        "٢٠٢٦-٠٣-٠٢",
        1772446346000,
    ],
)
def test_what_is_no_date_is_unfit(value):
    assert text_of(Kind.DATE, value) is NO


def test_a_value_nested_too_deep_is_unfit():
    value: list = []
    for _ in range(500):
        value = [value]

    assert text_of(Kind.ANY, value) is NO


@pytest.mark.parametrize(
    ("value", "word"),
    [(None, "null"), (True, "boolean"), (1, "integer"), (1.5, "number"), ("", "string")],
)
def test_a_type_has_the_name_json_gives_it(value, word):
    assert json_type(value) == word


@given(st.sampled_from(Kind), json_values)
@example(Kind.DATE, "2026-03-02T10:00:00+00:00:30")
@example(Kind.NUMBER, -0.0)
def test_coercion_is_idempotent(kind, value):
    try:
        coerced = coerce(kind, value)
    except Unfit:
        return

    assert coerce(kind, coerced) == coerced


@given(st.sampled_from(Kind), json_values)
def test_what_was_on_the_wire_has_the_same_text_again(kind, value):
    text = text_of(kind, value)

    assert text is NO or text_of(kind, text) == text

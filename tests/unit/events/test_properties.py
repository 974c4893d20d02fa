"""Any bytes whatever: typed events, UnknownType, or Permanent with a field, quoting nothing."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import orjson
from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.factories import (
    a_platform_body,
    a_reference_body,
    a_report_due,
    a_voice_scored,
    an_attributes_wanted,
    an_origin,
    without_origin,
)
from tests.support.reading import Events, open_events
from worker.errors import Permanent
from worker.events.fields import UUID, is_uuid
from worker.events.reading import UnknownType
from worker.jobs.reports.events import EMPTY_SCHEDULE

SAMPLES = sorted((Path(__file__).parents[2] / "samples" / "events").glob("*/*.json"))
TYPES = Events()
REASON = re.compile(
    r"(body|Data|Metadata|SystemMetadata|time|id|detail-type|detail(\.[A-Za-z0-9]+)*)"
    r": ([A-Za-z0-9/, ]+|not within -1\.\.1)"
)

REMEDIES = {"", EMPTY_SCHEDULE.partition("; ")[2]}

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
)
garbage = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs"]), max_size=8), inner, max_size=4
        )
    ),
    max_leaves=12,
)
moments = st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001  hypothesis wants naive bounds
scores = st.floats(-1, 1).map(lambda score: Decimal(repr(score)))


def outcome(body):
    try:
        events = open_events(body, TYPES)
    except Permanent as error:
        refusal = error
    else:
        assert isinstance(events, UnknownType) or events
        return events
    fault, _, remedy = refusal.reason.partition("; ")
    assert REASON.fullmatch(fault)
    assert remedy in REMEDIES
    return refusal.reason


def paths(value, at=()):
    yield at
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for name, inner in items:
        yield from paths(inner, (*at, name))


@st.composite
def mutated(draw):
    """A sample with some fields gone and some replaced by anything."""
    event = orjson.loads(draw(st.sampled_from(SAMPLES)).read_bytes())
    for _ in range(draw(st.integers(1, 3))):
        *way, last = draw(st.sampled_from([path for path in paths(event) if path]))
        place = event
        for step in way:
            place = place[step]
        if draw(st.booleans()):
            place[last] = draw(garbage)
        else:
            del place[last]
    return event


@given(st.binary(max_size=200))
def test_any_bytes_have_one_of_the_three_outcomes(body):
    outcome(body)


@given(st.text(max_size=200))
def test_any_text_has_one_of_the_three_outcomes(body):
    outcome(body)


@given(garbage)
def test_any_json_has_one_of_the_three_outcomes(value):
    outcome(orjson.dumps(value))


@given(mutated())
def test_any_damage_to_a_real_event_has_one_of_the_three_outcomes(event):
    outcome(orjson.dumps(event))


@given(mutated(), garbage, st.booleans())
def test_any_damage_inside_the_custom_bus_has_one_of_the_three_outcomes(event, metadata, as_text):
    data = orjson.dumps(event).decode() if as_text else event
    parts = {"Data": data, "Metadata": metadata, "SystemMetadata": {"aws:EventId": "e"}}
    outcome(orjson.dumps(parts))


@given(st.sampled_from(SAMPLES), garbage)
def test_unknown_fields_change_nothing(sample, value):
    event = orjson.loads(sample.read_bytes())
    plain = outcome(orjson.dumps(event))

    event["novelty"] = event["detail"]["novelty"] = value
    event["detail"].get("eventBody", {})["novelty"] = value

    assert outcome(orjson.dumps(event)) == plain


@given(moments, scores | st.none())
def test_a_voice_score_survives_its_flat_form(occurred_at, overall):
    event = a_voice_scored(origin=an_origin(occurred_at=occurred_at), overall=overall)

    (read,) = outcome(a_reference_body(event))

    assert without_origin(read) == without_origin(event)
    assert read.origin.occurred_at == occurred_at


@given(moments.map(lambda at: at.replace(microsecond=at.microsecond // 1000 * 1000)))
def test_both_forms_of_a_start_give_the_same_time(occurred_at):
    event = an_attributes_wanted(origin=an_origin(occurred_at=occurred_at))

    (platform,) = outcome(a_platform_body(event))
    (reference,) = outcome(a_reference_body(event))

    assert without_origin(platform) == without_origin(reference)
    assert platform.origin.occurred_at == reference.origin.occurred_at == occurred_at


@given(st.lists(moments, min_size=2, max_size=2, unique=True).map(sorted))
def test_a_reports_interval_survives(span):
    report = a_report_due(start=span[0], end=span[1])

    (read,) = outcome(a_reference_body(report))

    assert (read.start, read.end) == tuple(span)


ids = st.uuids().map(str)
bent = st.tuples(
    ids,
    st.integers(0, 36),
    st.text("-0afgzAFGZ_+\n\0 \u0660\ud800", min_size=1, max_size=1),
    st.integers(0, 2),
).map(lambda it: it[0][: it[1]] + it[2] + it[0][it[1] + it[3] :])  # in place of one, as a rule


@example("0c1f2e3d-1111-2222-3333-44445555666g")
@given(ids | ids.map(str.upper) | bent | scalars)
def test_an_id_is_what_the_pattern_of_ids_matches(value):
    assert is_uuid(value) == (isinstance(value, str) and UUID.fullmatch(value) is not None)

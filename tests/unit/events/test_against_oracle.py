"""One reader for another: whatever the body, the same events or the same refusal as before.

The differences that are meant are in `test_reader_differences.py`.
"""

import json
import re
from decimal import Decimal
from operator import itemgetter
from pathlib import Path

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.oracle.fields import instant as instant_as_before
from tests.oracle.normaliser import Unrouted as OldUnrouted
from tests.oracle.normaliser import open_events as open_as_before
from tests.support.factories import a_body, a_leg_body, an_id
from tests.support.reading import Events, open_events
from worker.errors import Permanent
from worker.events import Origin
from worker.events.fields import instant
from worker.events.reading import UnknownType

SAMPLES = sorted((Path(__file__).parents[2] / "samples" / "events").glob("*/*.json"))
TYPES = Events()
GREEDY = Events(
    # But for ends of calls, which bring no score and are read as such only since.
    voice_types=("*[!dw]",),
    ended_types=("*",),
    attributes_types=("*",),
    chat_types=(),
    report_types=(),
)
REPORTS = Events(
    voice_types=(), ended_types=(), attributes_types=(), chat_types=("*",), report_types=("*",)
)
VOICE = "v2.speechandtextanalytics.conversation.{id}.sentiment"
START = "v2.detail.events.conversation.{id}.customer.start"

characters = st.characters(exclude_categories=["Cs"])
TIMES = [
    *("2026-03-02T12:00:00Z", "2026-03-02T12:00:00.250Z", "2026-03-02 12:00:00.123456789Z"),
    *("2026-03-02T12:00:00,5Z", "2026-03-02T12:00Z", "2026-03-02T12:00:00"),
    *("2026-03-02T12:00:00+0200", "2026-03-02T12:00:00+02", "2026-03-02T12:00:00-02:00"),
    *("2026-W10-1T12:00:00Z", "2026-W10-1T12:00:00.250Z", "20260302T120000Z"),
    *("2026-03-02T120000.00000Z", "2026-03-02T12:00:60Z", "2026-03-02t12:00:00z"),
    *("2026-03-02T24:00:00Z", "0000-01-01T00:00:00Z", "1969-12-31T23:59:59.999Z"),
    "2026-03-02T12:00:00.Z",
]


@st.composite
def written(draw):
    """A time, with some characters replaced, put in or taken out."""
    text = draw(st.sampled_from(TIMES))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(text)))
        end = at + draw(st.integers(0, 2))
        text = text[:at] + draw(st.text("0159TWZtz:-+., _é٢", max_size=2)) + text[end:]
    return text


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(characters, max_size=20)
    | st.sampled_from(
        [
            *("", " ", "CHAT", "day", "INBOUND", "tel:", "tel:+1"),
            *("x" * 256, "x" * 257, "\x7f", "é" * 256),
        ]
    )
    | st.sampled_from(["2026-03-01T00:00:00Z/2026-03-02T00:00:00Z", "2026-03-01T00:00:00Z/", "a/b"])
    | written()
    | st.uuids().map(str)
)
junk = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["id", "score", "overall", "speaker", "dimension", "type", "value", "CorrelationId"]
            )
            | st.text(characters, max_size=8),
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
)
TOKENS = [
    *(b"NaN", b"Infinity", b"-Infinity", b"nan", b"1e5", b"1E+2"),
    *(b"-0", b"-0.0", b"01", b"1.", b".5", b"1e-320", b"5e-400", b"1e-" + b"9" * 30),
    *(b"9" * 19, b"9" * 20, b"-" + b"9" * 25, b"0.1234567890123456789"),
    *(b"true", b"nule", b"null", b"[]", b"{}", b'""', b"[" * 200 + b"]" * 200),
    *(b'"\\ud800"', b'"\\udc00\\ud800"', b'"\\ud83d\\ude00"', b'"\\u0000"'),
    *(
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b'"\\u00e9"',
        b'"a\x01"',
        b'"\\x"',
        b"/**/1",
        b"\xef\xbb\xbf",
        b",",
        b":",
        b"}",
        b"]",
    ),
]


NEW = {"organization_id", "identity", "is_call", "is_scored", "backfilled_at"}
"""Fields that the old reader did not know."""


OPTIONAL = re.compile(
    r"(id|time|detail\.(timestamp|phoneNumber|participantId|mediaType)"
    r"|detail\.sentiment\.speaker\.\d+\.id"
    r"|detail\.eventBody\.(eventTime|sessionId|participantId|mediaType|direction|ani|dnis"
    r"|addressFrom|addressTo|messageType|callbackNumbers(\.\d+)?)): (?!missing)"
)
"""The old reader refused these where they were odd; the new one reads on."""


def outcome(read, body, types):
    try:
        events = read(body, types)
    except Permanent as error:
        # An empty schedule is answered with what to send, by now.
        return error.reason.partition(";")[0].replace("missing, or not a time", "missing")
    if isinstance(events, UnknownType | OldUnrouted):
        return events.detail_type
    # The order of the readers is that of the jobs now: events of one message run side by side.
    return sorted((plain(event) for event in events), key=itemgetter(0))


def plain(event):
    """An event of either reader as its fields, its numbers as the floats the old one read."""
    if isinstance(event, tuple):
        return tuple(plain(one) for one in event)
    if isinstance(event, Decimal):
        return float(event)
    names = getattr(type(event), "__struct_fields__", None) or getattr(
        type(event), "__dataclass_fields__", None
    )
    if names is None:
        return event
    names = [name for name in names if name not in NEW]
    if isinstance(event, Origin):
        names.append("dedupe_key")  # a field before
    seen = {name: plain(getattr(event, name)) for name in names}
    if seen.get("conversation_id", "") is None:  # of a report, which is about none
        del seen["conversation_id"]
    return type(event).__name__, seen


def agree(body, types=TYPES):
    before = outcome(open_as_before, body, types)
    if isinstance(before, str) and OPTIONAL.match(before):
        outcome(open_events, body, types)
        return
    assert outcome(open_events, body, types) == before


def paths(value, at=()):
    yield at
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for name, inner in items:
            yield from paths(inner, (*at, name))


def dumped(event):
    """Not by orjson, which writes no integer of more than 64 bits."""
    return json.dumps(event, ensure_ascii=False).encode()


def sample(path):
    """Without its organization, which is part of the new reader's keys."""
    return orjson.loads(path.read_bytes()) | {"source": "test"}


@st.composite
def changed(draw):
    """A sample with fields gone, replaced by anything, or added where a reader looks for them."""
    event = sample(draw(st.sampled_from(SAMPLES)))
    for _ in range(draw(st.integers(1, 3))):
        *way, last = draw(st.sampled_from([path for path in paths(event) if path]))
        place = event
        for step in way:
            place = place[step]
        if draw(st.booleans()):
            place[last] = draw(junk)
        else:
            del place[last]
    return event


def flipped(body, at, end, draw):
    body[at] ^= 1 << draw(st.integers(0, 7))


def cut(body, at, end, draw):
    del body[at:end]


def repeated(body, at, end, draw):
    body[at:at] = body[at:end]


def put(body, at, end, draw):
    body[at:end] = draw(st.sampled_from(TOKENS))


def valued(body, at, end, draw):
    """Another token for the value of some key."""
    colon = body.find(b":", at)
    ends = [place for place in (body.find(b",", colon), body.find(b"}", colon)) if place > 0]
    if colon >= 0 and ends:
        body[colon + 1 : min(ends)] = draw(st.sampled_from(TOKENS))


@st.composite
def torn(draw):
    """A sample's bytes: bits flipped, parts cut out or repeated, tokens put in."""
    body = bytearray(dumped(draw(changed() | st.sampled_from(SAMPLES).map(sample))))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, max(0, len(body) - 1)))
        end = min(len(body), at + draw(st.integers(0, 12)))
        if body:
            draw(st.sampled_from([flipped, cut, repeated, put, valued, valued]))(
                body, at, end, draw
            )
    return bytes(body)


@st.composite
def doubled(draw):
    """A sample in which a key is there twice, and the other value may be anything."""
    text = orjson.dumps(sample(draw(st.sampled_from(SAMPLES)))).decode()
    objects = [place for place, char in enumerate(text) if char == "{"]
    keys = [
        *("id", "time", "detail", "detail-type", "conversationId", "eventBody", "timestamp"),
        *("metadata", "topicName", "sentiment", "speaker", "mediaType", "participantId", "ani"),
        *("SystemMetadata", "Data", "replay-name", "source", "eventTime", "phoneNumber"),
    ]
    for _ in range(draw(st.integers(1, 3))):
        key, value = draw(st.sampled_from(keys)), json.dumps(draw(junk), ensure_ascii=False)
        if draw(st.booleans()):
            at = draw(st.sampled_from(objects)) + 1
            text = f'{text[:at]}"{key}":{value},{text[at:]}'
        else:
            at = text.rindex("}", 0, draw(st.integers(text.index("}") + 1, len(text))))
            text = f'{text[:at]},"{key}":{value}{text[at:]}'
        objects = [place for place, char in enumerate(text) if char == "{"]
    return text


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
@pytest.mark.parametrize("types", [TYPES, GREEDY, REPORTS], ids=["usual", "greedy", "reports"])
def test_every_sample_is_read_as_before(path, types):
    agree(orjson.dumps(sample(path)), types)


@given(written() | st.integers())
@example("2026-W10-1T12:00:00Z")
@example("2026-W10-1T12:00:00.250Z")
def test_a_time_is_read_or_refused_as_before(value):
    def read(instant):
        try:
            return instant(value)
        except ValueError as error:
            return str(error)

    assert read(instant) == read(instant_as_before)


@settings(max_examples=3 * settings.default.max_examples)
@given(changed(), st.sampled_from([TYPES, GREEDY, REPORTS]))
def test_a_changed_event_is_read_or_refused_as_before(event, types):
    agree(dumped(event), types)


@settings(max_examples=3 * settings.default.max_examples)
@given(torn(), st.sampled_from([TYPES, GREEDY, REPORTS]))
@example(b'{"a":"\xff"}', TYPES)
@example(b"[1", TYPES)
@example(b"null", TYPES)
@example(b'"x', TYPES)
@example(b"7", TYPES)
@example(b"{}{}", TYPES)
def test_torn_bytes_are_read_or_refused_as_before(body, types):
    agree(body, types)
    if not any(token in body for token in (b"\xff", b"\xed\xa0\x80")):
        text = body.decode(errors="surrogateescape")
        agree(text, types)


@given(doubled(), st.sampled_from([TYPES, GREEDY, REPORTS]))
def test_of_a_key_that_is_there_twice_the_last_counts_as_before(text, types):
    agree(text, types)


@given(changed(), junk, junk, st.booleans(), st.sampled_from([TYPES, GREEDY]))
def test_the_custom_bus_is_read_or_refused_as_before(event, metadata, system, as_text, types):
    whole = [event, event.get("detail"), metadata]
    for inner in whole:
        data = json.dumps(inner) if as_text else inner
        for own in (system, {"aws:EventId": "e", "aws:IngestionTime": "2026-03-02T12:00:00Z"}):
            agree(json.dumps({"Data": data, "Metadata": metadata, "SystemMetadata": own}), types)


@given(changed(), st.sampled_from([TYPES, GREEDY, REPORTS]))
def test_a_bare_detail_is_read_or_refused_as_before(event, types):
    agree(json.dumps(event.get("detail")), types)


@given(
    st.lists(st.fixed_dictionaries({}, optional={"id": scalars, "score": scalars}) | scalars),
    st.integers(995, 1005),
    st.integers(0, 1005),
)
def test_a_long_list_is_refused_at_the_same_place_as_before(odd, count, place):
    speakers = [{"id": "a", "score": 0.5}] * count
    speakers[place:place] = odd
    voice = {"conversationId": an_id(), "sentiment": {"speaker": speakers}}
    queues = [an_id()] * count
    queues[place:place] = odd
    report = {"name": "x", "period": "day", "queueIds": queues, "groupBy": odd}
    for detail_type, detail in (("voice.analytics", voice), ("report.due", report)):
        envelope = {"detail-type": detail_type, "detail": detail, "time": "2026-03-02T12:00:00Z"}
        agree(dumped(envelope))


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 60_000,
        b"[" * 60_000 + b"\xff",
        b"[" + b"[]," * 60_000 + b"[]]",
        b'{"x":[' + b"{}," * 49_000 + b"{}]}",
        b'"' + b"x" * 2**20 + b'"',
        '"' + "é" * 2**19 + '"',
        "\ud800" * 400_000,
        '{"a":"\ud800"}',
        "",
        " ",
        a_leg_body(START, x="y" * (2**20 - 2000)),
        a_leg_body(START, x="é" * 200_000).decode(),
        a_leg_body(START, x=[{"a": [1.5, None, "x"]}] * 20_000),
        a_body("voice.analytics", {"sentiment": {"speaker": [[]] * 50_000}}),
    ],
    ids=range(14),
)
def test_a_large_or_hostile_body_is_read_or_refused_as_before(body):
    agree(body)


# How deep a reader goes differs from Python to Python: 1,000 levels in 3.11, all of them in 3.14.
@pytest.mark.parametrize("depth", [1100, 5000, 49_000])
@pytest.mark.parametrize(("begin", "end"), [(b"", b""), (b'{"detail":', b"}")])
def test_a_body_nested_too_deep_for_an_event_is_refused(depth, begin, end):
    body = begin + b"[" * depth + b"]" * depth + end

    with pytest.raises(Permanent):
        open_events(body, TYPES)

"""Whatever SQS can carry is dead-lettered with its record, and comes back as it was."""

import gzip
import random
from base64 import b64encode
from contextlib import suppress
from functools import cache

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from worker.intake.dead_letters import (
    BODY_ATTRIBUTE,
    FOLDED_ATTRIBUTE,
    GZIP_ATTRIBUTE,
    GZIP_TEXT,
    MAX_ATTRIBUTES,
    MAX_BYTES,
    RECORD_ATTRIBUTE,
    RECORD_BYTES,
    bytes_of,
    decode_body,
    encode_body,
)

# What SQS allows: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
ALLOWED = [(0x9, 0xA), (0xD, 0xD), (0x20, 0xD7FF), (0xE000, 0xFFFD), (0x10000, 0x10FFFF)]
CHARACTERS = st.one_of(
    [st.characters(min_codepoint=low, max_codepoint=high) for low, high in ALLOWED]
)
NAMES = st.text("abcdefgh._-", min_size=1, max_size=20)
VALUES = st.one_of(
    st.builds(
        lambda words: {"DataType": "String", "StringValue": words}, st.text(CHARACTERS, min_size=1)
    ),
    st.builds(lambda data: {"DataType": "Binary.raw", "BinaryValue": data}, st.binary(min_size=1)),
)


def text(value):
    return {"DataType": "String", "StringValue": value}


def raw(value):
    return {"DataType": "Binary", "BinaryValue": value}


@cache
def hardest(count, seed=1):
    """Text of so many bytes that hardly compresses: the most different bytes UTF-8 has."""
    chance = random.Random(seed)
    ranges = [(0x20, 0x7E), (0x80, 0x7FF), (0x800, 0xD7FF), (0x10000, 0x10FFFF)]
    weights = [0.66, 0.2, 0.105, 0.035]
    found = "".join(chr(chance.randint(*span)) for span in chance.choices(ranges, weights, k=count))
    return found.encode()[:count].decode(errors="ignore").ljust(1)


def fits(encoded):
    """With the longest record there may be."""
    assert len(encoded.attributes) < MAX_ATTRIBUTES
    assert encoded.text
    return bytes_of(encoded.text, encoded.attributes) + RECORD_BYTES <= MAX_BYTES


def restored(encoded):
    return decode_body(encoded.text, encoded.attributes, encoded.record)


@given(st.text(CHARACTERS), st.dictionaries(NAMES, VALUES, max_size=MAX_ATTRIBUTES))
def test_a_message_that_fits_is_left_as_it_is_but_for_attributes_too_many(body, attributes):
    encoded = encode_body(body, attributes)

    assert encoded.text == body
    assert ("attributesFolded" in encoded.record) == (len(attributes) == MAX_ATTRIBUTES)
    assert restored(encoded) == (body, attributes)


@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.text(CHARACTERS, min_size=1, max_size=50),
    st.integers(0, 2**32),
    st.sampled_from([MAX_BYTES, MAX_BYTES - 10_000, MAX_BYTES * 3 // 4]),
    st.dictionaries(NAMES, VALUES, max_size=MAX_ATTRIBUTES),
)
def test_any_body_up_to_the_limit_of_sqs_comes_back(part, seed, size, attributes):
    size -= bytes_of("", attributes)
    # Longer than the 32 KiB in which gzip looks for repetitions.
    body = (part + hardest(40_000, seed)) * 30
    body = body.encode()[:size].decode(errors="ignore")

    encoded = encode_body(body, attributes)

    assert fits(encoded)
    assert "attributesDropped" not in encoded.record
    assert restored(encoded) == (body, attributes)


def test_the_hardest_body_of_one_mebibyte_leaves_room_for_its_record():
    body = hardest(MAX_BYTES)
    assert len(gzip.compress(body.encode())) > 0.95 * MAX_BYTES

    encoded = encode_body(body, {})

    assert encoded.record == {"bodyEncoding": GZIP_ATTRIBUTE}
    assert set(encoded.attributes) == {BODY_ATTRIBUTE}
    assert fits(encoded)
    assert restored(encoded).body == body


def test_a_body_that_compresses_well_stays_a_text():
    body = "x" * MAX_BYTES

    encoded = encode_body(body, {"tenant": text("t")})

    assert encoded.record == {"bodyEncoding": GZIP_TEXT}
    assert encoded.text.isascii()
    assert encoded.attributes == {"tenant": text("t")}
    assert restored(encoded).body == body


@pytest.mark.parametrize("size", [MAX_BYTES - RECORD_BYTES, MAX_BYTES - RECORD_BYTES + 1])
def test_a_body_is_encoded_from_the_first_byte_that_is_too_many(size):
    encoded = encode_body("x" * size, {})

    assert ("bodyEncoding" in encoded.record) == (size > MAX_BYTES - RECORD_BYTES)


def test_ten_attributes_beside_a_body_of_its_own_come_back():
    attributes = {f"a{number}": text(str(number)) for number in range(9)} | {"raw": raw(b"\0\xff")}
    body = hardest(MAX_BYTES - 500)

    encoded = encode_body(body, attributes)

    assert fits(encoded)
    assert encoded.record["attributesFolded"] == ["a7", "a8", "raw"]
    assert restored(encoded) == (body, attributes)


def test_attributes_that_compress_are_folded_rather_than_dropped():
    attributes = {"long": text("y" * 600_000), "short": text("z")}
    body = hardest(MAX_BYTES - 600_100)

    encoded = encode_body(body, attributes)

    assert fits(encoded)
    assert encoded.record["attributesFolded"] == ["long", "short"]
    assert restored(encoded) == (body, attributes)


def test_what_cannot_fit_is_dropped_the_longest_first_and_named():
    noise = random.Random(1).randbytes(MAX_BYTES)
    attributes = {"small": text("s"), "most": raw(noise[:900_000]), "some": raw(noise[:100_000])}
    body = hardest(MAX_BYTES - bytes_of("", attributes))

    encoded = encode_body(body, attributes)

    assert fits(encoded)
    assert encoded.record["attributesDropped"] == ["most"]
    del attributes["most"]
    assert restored(encoded) == (body, attributes)


def test_attributes_of_an_earlier_dead_letter_are_left_behind():
    own = {RECORD_ATTRIBUTE: text("{}"), BODY_ATTRIBUTE: raw(b"x"), FOLDED_ATTRIBUTE: raw(b"x")}
    kept = {f"a{number}": text("v") for number in range(7)}

    assert encode_body("{}", own | kept).attributes == kept


def test_the_same_message_is_encoded_the_same_at_any_time(monkeypatch):
    body = hardest(MAX_BYTES)
    first = encode_body(body, {})

    monkeypatch.setattr("time.time", lambda: 1.0)
    assert encode_body(body, {}) == first


DAMAGED = "H4sIAByICGsC//7IADf/AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd"
BOMB = gzip.compress(bytes(64 * MAX_BYTES))


@pytest.mark.parametrize(
    ("body", "attributes", "record"),
    [
        ("plain", {}, {"bodyEncoding": GZIP_TEXT}),
        ("H4sIAAAA", {}, {"bodyEncoding": GZIP_TEXT}),
        (DAMAGED, {}, {"bodyEncoding": GZIP_TEXT}),
        (b64encode(gzip.compress(b"\xff", mtime=0)).decode(), {}, {"bodyEncoding": GZIP_TEXT}),
        (b64encode(gzip.compress(b"a", mtime=0) + b"b").decode(), {}, {"bodyEncoding": GZIP_TEXT}),
        ("é", {}, {"bodyEncoding": GZIP_TEXT}),
        ("", {}, {"bodyEncoding": GZIP_ATTRIBUTE}),
        ("", {BODY_ATTRIBUTE: text("a")}, {"bodyEncoding": GZIP_ATTRIBUTE}),
        ("", {BODY_ATTRIBUTE: raw(b"a")}, {"bodyEncoding": GZIP_ATTRIBUTE}),
        ("", {BODY_ATTRIBUTE: raw(BOMB)}, {"bodyEncoding": GZIP_ATTRIBUTE}),
        ("", {}, {"bodyEncoding": "rot13"}),
        ("", {}, {"bodyEncoding": ["x"]}),
        ("", {}, {"attributesFolded": ["a"]}),
        ("", {FOLDED_ATTRIBUTE: raw(gzip.compress(b"[", mtime=0))}, {"attributesFolded": ["a"]}),
        ("", {FOLDED_ATTRIBUTE: raw(gzip.compress(b"[]", mtime=0))}, {"attributesFolded": ["a"]}),
        (
            "",
            {FOLDED_ATTRIBUTE: raw(gzip.compress(b'{"a":1}', mtime=0))},
            {"attributesFolded": ["a"]},
        ),
    ],
)
def test_what_is_not_encoded_as_its_record_says_is_a_value_error(body, attributes, record):
    with pytest.raises(ValueError, match=r"\w"):
        decode_body(body, attributes, record)


@given(
    st.text(),
    st.dictionaries(st.sampled_from([BODY_ATTRIBUTE, FOLDED_ATTRIBUTE, "a"]), VALUES),
    st.fixed_dictionaries(
        {},
        optional={
            "bodyEncoding": st.text() | st.sampled_from([GZIP_TEXT, GZIP_ATTRIBUTE]),
            "attributesFolded": st.booleans(),
        },
    ),
)
def test_no_letter_raises_anything_else(body, attributes, record):
    with suppress(ValueError):
        decode_body(body, attributes, record)

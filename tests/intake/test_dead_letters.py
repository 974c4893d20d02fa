"""What a dead letter takes along, up to the limits of SQS."""

import json
import random

import pytest

from tests.support.dead_letters import ABC, LIMITS, NOW
from tests.support.factories import an_id
from worker.clients.aws.session import AwsSession
from worker.clients.aws.sqs import Message, Queue
from worker.intake.dead_letters import RECORD_ATTRIBUTE, DeadLetters, decode_body
from worker.intake.outcome import Attempt

MOST_BYTES = 1_048_576


@pytest.fixture
def send(dead_letters):
    """Return a function that dead-letters a message of that body and these attributes."""

    async def send(body, attributes):
        message = Message(id=an_id(), receipt="", body=body, received_at=0, attributes=attributes)
        async with AwsSession().client("sqs", LIMITS) as client:
            letters = DeadLetters(Queue("the-queue", polls=client, acks=client), dead_letters)
            return await letters.send(message, ABC, Attempt(1, 1, NOW, NOW))

    return send


def text(value):
    return {"DataType": "String", "StringValue": value}


def as_received(letter):
    return {
        name: {"DataType": one.data_type, "BinaryValue": one.value}
        if one.data_type == "Binary"
        else {"DataType": one.data_type, "StringValue": one.value}
        for name, one in letter.sent.attributes.items()
    }


def decoded(letter):
    record = json.loads(letter.sent.attributes[RECORD_ATTRIBUTE].value)
    return decode_body(letter.sent.body, as_received(letter), record)


async def test_the_record_of_an_earlier_death_displaces_no_attribute(sqs, dead_letters, send):
    own = {f"a{number}": text(str(number)) for number in range(9)}

    assert await send("{}", {RECORD_ATTRIBUTE: text("{}"), **own})

    [letter] = sqs.messages(dead_letters)
    assert set(letter.sent.attributes) == {RECORD_ATTRIBUTE, *own}


async def test_the_record_names_the_queue_and_the_job(sqs, dead_letters, send):
    assert await send("{}", {})

    [letter] = sqs.messages(dead_letters)
    record = json.loads(letter.sent.attributes[RECORD_ATTRIBUTE].value)
    assert (record["queue"], record["job"], record["attempts"]) == ("the-queue", "voice", 1)


async def test_attributes_count_for_what_is_too_long_for_its_record(sqs, dead_letters, send):
    value = "v" * 20_000
    body = '"' + "x" * (MOST_BYTES - 20_020) + '"'

    assert await send(body, {"name": text(value)})

    [letter] = sqs.messages(dead_letters)
    assert decoded(letter).body == body
    assert letter.sent.attributes["name"].value == value


async def test_a_body_that_does_not_compress_can_be_dead_lettered(sqs, dead_letters, send):
    letters = random.Random(3).choices([chr(code) for code in range(32, 127)], k=MOST_BYTES)
    body = "".join(letters)

    assert await send(body, {})

    [letter] = sqs.messages(dead_letters)
    assert decoded(letter).body == body

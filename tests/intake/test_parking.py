"""What a parked message takes along, up to the limits of SQS."""

import pytest
from worker.intake.history import Attempts
from worker.intake.message import Message
from worker.intake.parking import ATTRIBUTE, Parking
from worker.intake.queue import Queue

from tests.deadletters import ABC, LIMITS, NOW
from tests.factories import an_id
from worker.clients.aws.session import AwsSession
from worker.intake.packing import unpacked
from worker.settings import Aws

MOST_BYTES = 1_048_576


@pytest.fixture
def park(dead_letters):
    """Return a function that parks a message of that body and these attributes."""

    async def park(body, attributes):
        message = Message(id=an_id(), receipt="", body=body, received_at=0, attributes=attributes)
        async with AwsSession(Aws()).client("sqs", LIMITS) as client:
            parking = Parking(Queue("", polls=client, acks=client), dead_letters)
            return await parking.park(message, ABC, Attempts(1, NOW, NOW))

    return park


def text(value):
    return {"DataType": "String", "StringValue": value}


async def test_the_note_of_an_earlier_parking_displaces_no_attribute(sqs, dead_letters, park):
    own = {f"a{number}": text(str(number)) for number in range(9)}

    assert await park("{}", {ATTRIBUTE: text("{}"), **own})

    [parked] = sqs.messages(dead_letters)
    assert set(parked.sent.attributes) == {ATTRIBUTE, *own}


async def test_attributes_count_for_what_is_too_long_for_its_note(sqs, dead_letters, park):
    value = "v" * 20_000
    body = '"' + "x" * (MOST_BYTES - 20_020) + '"'

    assert await park(body, {"name": text(value)})

    [parked] = sqs.messages(dead_letters)
    assert unpacked(parked.sent.body) == body
    assert parked.sent.attributes["name"].value == value

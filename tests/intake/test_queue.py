"""What the answers of SQS mean, where the emulated one would never give them."""

import pytest
from worker.intake.queue import Queue, QueueError


class Unsure:
    """A client whose batch calls succeed and name some of their entries only."""

    async def delete_message_batch(self, **_):
        return {"Successful": [{"Id": "1"}]}


async def test_an_entry_that_the_answer_does_not_name_was_not_deleted():
    queue = Queue("", polls=None, acks=Unsure())

    first, second = await queue.delete(["r0", "r1"])

    assert second is None
    assert (first.sender_fault, first.lease_lost) == (False, False)


class Gateway:
    """Answers 200 in the place of SQS, with nothing in it."""

    async def get_queue_attributes(self, **_):
        return {}


async def test_an_answer_without_attributes_is_a_failed_call():
    queue = Queue("", polls=None, acks=Gateway())

    with pytest.raises(QueueError, match="Unanswered"):
        await queue.attributes()

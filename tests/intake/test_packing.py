import pytest
from hypothesis import given
from hypothesis import strategies as st
from worker.intake.message import Message

from worker.cli.dlq_letters import DeadLetter
from worker.cli.dlq_moving import copy_of
from worker.intake.packing import ENCODING, packed, unpacked


@given(st.text())
def test_what_was_packed_is_the_same_again(body):
    assert unpacked(packed(body)) == body
    assert packed(body) == packed(body)


DAMAGED = "H4sIAByICGsC//7IADf/AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwd"


@pytest.mark.parametrize("text", ["plain", "H4sIAAAA", "cGxhaW4=", DAMAGED])
def test_what_was_not_packed_is_refused(text):
    with pytest.raises(ValueError, match="not a packed body"):
        unpacked(text)


def test_a_packed_letter_goes_back_as_it_was():
    message = Message(id="m", receipt="r", body=packed("the body"), received_at=0)
    letter = DeadLetter(
        message=message, reason="why", fingerprint="0" * 12, note={"bodyEncoding": ENCODING}
    )

    assert copy_of(letter, fifo=False) == {"MessageBody": "the body"}

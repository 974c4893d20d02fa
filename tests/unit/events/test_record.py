import pytest
from msgspec.structs import replace

from tests.support.factories import PHONE, a_voice_scored, an_attributes_wanted, an_origin
from worker.events.origin import Record


class Call(Record, frozen=True, kw_only=True):
    unshown = frozenset({"number"})

    id: str
    number: str = ""


def test_records_are_equal_and_hashed_by_their_fields():
    assert {Call(id="a"), Call(id="a"), Call(id="b")} == {Call(id="b"), Call(id="a")}


def test_records_keep_to_themselves_what_is_not_to_be_shown():
    assert repr(replace(Call(id="a"), number="+49")) == "Call(id='a')"


def test_records_do_not_change():
    with pytest.raises(AttributeError):
        Call(id="a").id = "b"


@pytest.mark.parametrize("event", [a_voice_scored(), an_attributes_wanted()])
def test_an_event_shows_all_but_the_phone_number(event):
    assert PHONE not in repr(event)
    assert event.conversation_id in repr(event)
    assert event.origin.event_id in repr(event)
    assert event.origin.identity not in repr(event)


def test_events_are_equal_and_hashed_by_their_fields():
    origin = an_origin()

    assert len({a_voice_scored(origin=origin, conversation_id="c") for _ in range(2)}) == 1

from dataclasses import field, replace

from worker.events.record import record


@record
class Call:
    id: str
    number: str = field(default="", repr=False)


def test_records_are_equal_and_hashed_by_their_fields():
    assert {Call(id="a"), Call(id="a"), Call(id="b")} == {Call(id="b"), Call(id="a")}


def test_records_keep_to_themselves_what_is_not_to_be_shown():
    assert "+49" not in repr(replace(Call(id="a"), number="+49"))

"""The messages of one receive are opened together, and whatever is odd about one is its own."""

import pytest
from msgspec.structs import replace

from tests.intake.doubles import a_lease, a_message, a_source
from tests.support.factories import a_reference_body, a_voice_scored
from worker.events import ForJob, UnknownType
from worker.events.origin import Result
from worker.intake.outcome import DONE
from worker.intake.router import Opener, Reading, Route, Unrouted
from worker.telemetry import metrics

pytestmark = pytest.mark.looptime

ODD = "odd"


async def handle(_event):
    return Result.OK


ROUTES = {"voice": Route(job="voice", run=handle)}


class Steps:
    """A reading whose steps note for what they were called; "odd" is a fault of ours."""

    def __init__(self):
        self.notes = []
        self.unknown = set()

    def parse(self, body):
        self.notes.append(("parse", body))
        return body

    def events(self, body):
        self.notes.append(("events", body))
        if body == ODD:
            raise RuntimeError("a fault of ours")
        if body in self.unknown:
            return UnknownType("v2.unknown")
        return (ForJob("voice", a_voice_scored()),)

    @property
    def reading(self):
        unrouted = Unrouted(
            dead_letter=False,
            jobs_of_type=lambda _: frozenset(),
            half_configured={},
            clock=lambda: 0.0,
        )
        return Reading(self.parse, self.events, unrouted)


@pytest.fixture
def steps():
    return Steps()


@pytest.fixture
def opener(steps):
    return Opener(ROUTES, steps.reading)


def wanted(opened):
    return [None if one is None else [each.job for each in one.wanted] for one in opened]


def test_each_step_is_done_for_all_before_the_next(opener, steps):
    opened = opener.ahead(["a", "b"], a_source())

    assert wanted(opened) == [["voice"], ["voice"]]
    assert steps.notes == [("parse", "a"), ("parse", "b"), ("events", "a"), ("events", "b")]


def test_beside_one_that_cannot_be_opened_each_is_left_to_be_opened_alone(opener):
    assert wanted(opener.ahead(["a", ODD, "c"], a_source())) == [None, None, None]


def test_a_fault_is_raised_where_the_message_is_opened_alone(opener):
    with pytest.raises(RuntimeError, match="a fault of ours"):
        opener(ODD, a_source())


def test_what_no_job_wants_is_counted_once_where_it_is_opened_alone(opener, steps):
    steps.unknown = {"a"}
    before = metrics.messages_unrouted._value.get()

    assert opener.ahead(["a"], a_source()) == [None]
    assert metrics.messages_unrouted._value.get() == before

    assert opener("a", a_source()) is DONE
    assert metrics.messages_unrouted._value.get() == before + 1


def observe(delivery, notes):
    """Have the steps of a running delivery noted."""
    opener = delivery._opener
    parse, events = opener._reading.parse, opener._reading.events
    opener._reading = replace(
        opener._reading,
        parse=lambda body: notes.append("parse") or parse(body),
        events=lambda envelope: notes.append("events") or events(envelope),
    )


def send(sqs, queue, count):
    for _ in range(count):
        sqs.send(queue, a_reference_body(a_voice_scored()).decode())


async def test_messages_of_one_receive_are_opened_before_the_first_is_handled(
    sqs, queue, start_intake
):
    notes = []

    async def note(_event):
        notes.append("handle")
        return Result.OK

    send(sqs, queue, 3)

    async with start_intake(note) as intake:
        observe(intake.consumer.delivery, notes)
        await sqs.wait_until(lambda: sum(sqs.depth(queue)) == 0, 60)

    assert notes == ["parse"] * 3 + ["events"] * 3 + ["handle"] * 3


async def test_what_came_before_or_is_beside_a_quarantined_message_is_not_opened_ahead(
    start_intake, recorder
):
    """A body that ends the process would: it is opened when that is its own evidence."""
    async with start_intake(recorder()) as intake:
        delivery, notes = intake.consumer.delivery, []
        observe(delivery, notes)
        body = a_reference_body(a_voice_scored()).decode()

        delivery.open_ahead([a_lease(a_message(receives=2, body=body))])
        delivery.quarantine.exclusive = True
        delivery.open_ahead([a_lease(a_message(body=body))])
        delivery.quarantine.exclusive = False
        assert notes == []

        delivery.open_ahead([fresh := a_lease(a_message(body=body))])
        assert notes == ["parse", "events"]
        assert [one.job for one in fresh.ahead.wanted] == ["voice"]

        assert await delivery.run(fresh) is DONE
        assert fresh.ahead is None


async def test_a_message_of_which_a_copy_came_before_it_ran_is_run_as_one_that_came_before(
    start_intake, recorder
):
    """It waits at the gate, say, and another worker died of it meanwhile."""
    async with start_intake(recorder()) as intake:
        delivery, leases, judged = intake.consumer.delivery, intake.consumer.leases, []
        deliver = delivery.quarantine.deliver
        delivery.quarantine.deliver = lambda *call: judged.append(call[0]) or deliver(*call)
        body = a_reference_body(a_voice_scored()).decode()
        [lease] = leases.hold([a_message("m", receives=1, body=body)])
        delivery.open_ahead([lease])

        assert leases.hold([a_message("m", receives=2, body=body)]) == [None]

        assert await delivery.run(lease) is DONE
        leases.forget(lease)
    assert judged == [lease]


async def test_the_log_names_the_event_of_a_message_that_no_job_of_its_queue_wants(
    start_intake, recorder
):
    event = a_voice_scored()
    body = a_reference_body(event).decode()

    async with start_intake(recorder()) as intake:
        lease = a_lease(a_message(body=body), source=a_source(jobs=["workflow"], bound=True))
        outcome = await intake.consumer.delivery.run(lease)

    assert outcome.failure.error_class == "WrongQueue"
    assert lease.log_fields()["conversation_id"] == event.conversation_id
    assert "event_id" in lease.log_fields()


async def test_a_fault_of_ours_with_one_body_is_reported_and_the_others_are_handled(
    sqs, queue, start_intake, recorder, capsys
):
    handler, met = recorder(), []
    send(sqs, queue, 3)

    async with start_intake(handler) as intake:
        opener = intake.consumer.delivery._opener
        events = opener._reading.events

        def fails_for_the_first(envelope):
            if not met or envelope.whole in met:
                met.append(envelope.whole)
                raise RuntimeError("a fault of ours")
            return events(envelope)

        opener._reading = replace(opener._reading, events=fails_for_the_first)
        await sqs.wait_until(lambda: sum(sqs.depth(queue)) == 1, 60)

    assert len(handler.seen) == 2
    assert "message_task_failed" in capsys.readouterr().out

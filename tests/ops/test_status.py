"""Status: a sentence for each queue that says why it moves, or does not."""

import socket

import orjson
import pytest
from msgspec.structs import replace

from worker import __version__
from worker.ops.health import Health
from worker.ops.page import document as document_of
from worker.ops.status import Status, counted, queue_state, why
from worker.telemetry.statuses import (
    Cause,
    InFlight,
    JobStatus,
    LastFailure,
    QueueStatus,
    Snapshot,
    UpstreamStatus,
)


def a_queue(**over):
    moving = {
        "name": "events",
        "jobs": ("voice",),
        "upstreams": ("conversations", "crm", "dynamodb"),
        "in_flight": 3,
        "pollers": 2,
        "last_receive_seconds_ago": 0.2,
        "last_message_seconds_ago": 0.2,
    }
    return QueueStatus(**{**moving, **over})


def a_snapshot(*queues, **over):
    queues = queues or (a_queue(),)
    moving = {
        "queues": queues,
        "concurrency": 64,
        "permits_used": 3,
        "in_flight": sum(queue.in_flight for queue in queues),
        "uptime_seconds": 65.5,
        "last_success_seconds_ago": 0.1,
        "budget_upstreams": ("conversations", "analytics"),
    }
    return Snapshot(**{**moving, **over})


CRM_DOWN = (UpstreamStatus(name="crm", breaker="open", reason="breaker open"),)
NONE_YET = {"in_flight": 0, "last_receive_seconds_ago": None, "last_message_seconds_ago": None}
IDLE = {"in_flight": 0, "visible": 0, "invisible": 0}

SENTENCES = [
    ({}, {}, "moving", "Moving: 3 in flight."),
    ({"visible": 7}, {}, "moving", "Moving: 3 in flight, 7 visible."),
    (
        {"receive_error": "AccessDenied", "gate": "closed"},
        {"draining": True},
        "draining",
        "Draining: 3 in flight.",
    ),
    (
        {"receive_error": "AccessDenied", "gate": "closed", "failing": {"DeleteMessage": "Busy"}},
        {"upstreams": CRM_DOWN},
        "error",
        "Not moving: ReceiveMessage fails with AccessDenied.",
    ),
    (
        {"failing": {"DeleteMessage": "AccessDenied"}, "visible": 115},
        {"permits_used": 64},
        "error",
        "Not moving: DeleteMessage fails with AccessDenied; 3 in flight, 115 visible.",
    ),
    (
        {"gate": "closed", "gate_reason": "voice: breaker open", "visible": 9},
        {"permits_used": 64, "upstreams": CRM_DOWN},
        "closed",
        "Gate closed: voice: breaker open; 3 in flight, 9 visible.",
    ),
    (
        {"gate": "half_open", "gate_reason": "voice: breaker half-open"},
        {"permits_used": 64},
        "half_open",
        "Gate half-open, one message probes: voice: breaker half-open.",
    ),
    (
        {"last_receive_seconds_ago": 90.0},
        {"quarantine": True},
        "quarantine",
        "Quarantine: a message that killed the process twice runs alone.",
    ),
    ({}, {"permits_used": 64}, "full", "Full: all 64 permits in use; 3 in flight."),
    (
        {"visible": 5},
        {"permits_used": 64, "budget_exhausted_seconds": 12.4, "upstreams": CRM_DOWN},
        "full",
        (
            "Full: all 64 permits in use, the request budget is exhausted for 12 s, "
            "crm: breaker open; 3 in flight, 5 visible."
        ),
    ),
    (
        {},
        {"permits_used": 64, "last_success_seconds_ago": 400.0},
        "full",
        "Full: all 64 permits in use, no message was done for 400 s; 3 in flight.",
    ),
    (
        {**IDLE, "last_receive_seconds_ago": 90.0},
        {},
        "stalled",
        "Stalled: 2 pollers, no receive ended for 90 s.",
    ),
    (
        {},
        {"budget_exhausted_seconds": 5.0},
        "slow",
        "Moving slowly, the request budget is exhausted for 5 s; 3 in flight.",
    ),
    (
        {"upstreams": ("crm", "dynamodb")},  # no job of the queue waits for it
        {"budget_exhausted_seconds": 5.0},
        "moving",
        "Moving: 3 in flight.",
    ),
    (
        {"in_flight": 0, "visible": 0, "invisible": 98},
        {"upstreams": CRM_DOWN},
        "slow",
        (
            "Moving slowly, crm: breaker open; 0 in flight, "
            "98 invisible (scheduled retries or other consumers)."
        ),
    ),
    (
        {},
        {
            "upstreams": (
                UpstreamStatus(name="crm", breaker="closed", pause_seconds=40, asked_seconds=3000),
            )
        },
        "slow",
        "Moving slowly, crm asked for a pause of 3000 s, 40 s left; 3 in flight.",
    ),
    (
        {"blocked_groups": {"g1": "m1"}},
        {},
        "blocked",
        "Moving, but FIFO groups wait for their heads: g1 by m1.",
    ),
    (
        {**IDLE, "last_message_seconds_ago": 40.0},
        {"last_success_seconds_ago": 4000.0},
        "empty",
        "Idle: no message is visible; the last message came 40 s ago.",
    ),
    (
        {**IDLE, "last_message_seconds_ago": 40.0},
        {"upstreams": CRM_DOWN, "budget_exhausted_seconds": 5.0},
        "empty",
        "Idle: no message is visible; the last message came 40 s ago.",
    ),
    (
        {**IDLE, "invisible": 7, "last_message_seconds_ago": 40.0},
        {},
        "waiting",
        (
            "Waiting: 0 in flight, 7 invisible (scheduled retries or other consumers); the last "
            "message came 40 s ago."
        ),
    ),
    (
        {**IDLE, "last_message_seconds_ago": None},
        {},
        "empty",
        "Idle: no message has come since the start.",
    ),
    (
        NONE_YET,
        {"uptime_seconds": 12.0},
        "starting",
        "Starting: no receive has ended in the 12 s so far.",
    ),
    (
        NONE_YET,
        {"uptime_seconds": 90.0},
        "stalled",
        "Stalled: 2 pollers, no receive ended for 90 s.",
    ),
]


@pytest.mark.parametrize(
    ("queue", "over", "state", "sentence"),
    SENTENCES,
    ids=[f"{n}-{s[2]}" for n, s in enumerate(SENTENCES)],
)
def test_the_sentence_names_the_worst_cause_that_holds(queue, over, state, sentence):
    snapshot = a_snapshot(a_queue(**queue), **over)

    assert queue_state(snapshot.queues[0], snapshot) == (state, sentence)


@pytest.mark.parametrize(("queue", "over", "_state", "_sentence"), SENTENCES)
def test_it_is_never_idle_over_visible_messages(queue, over, _state, _sentence):
    snapshot = a_snapshot(a_queue(**{**queue, "visible": 115}), **over)

    state, sentence = queue_state(snapshot.queues[0], snapshot)

    assert state not in ("empty", "waiting")
    assert "idle" not in sentence.lower()


@pytest.mark.parametrize(
    "over",
    [
        {"receive_error": "AccessDenied"},
        {"failing": {"ChangeMessageVisibility of the heartbeat": "AccessDenied"}},
        {"gate": "closed", "gate_reason": "voice: there is no such action; correct it"},
    ],
)
def test_no_better_news_hides_what_stops_a_queue(over):
    """Whatever else is true of it: full, slow, blocked groups, a message that runs alone."""
    others = {"blocked_groups": {"g": "m"}, "visible": 9, **over}
    snapshot = a_snapshot(
        a_queue(**others),
        permits_used=64,
        quarantine=True,
        upstreams=CRM_DOWN,
        last_success_seconds_ago=4000.0,
    )

    _, sentence = queue_state(snapshot.queues[0], snapshot)

    assert any(str(value) in sentence for value in [*over.values(), *_inner(over)])


def _inner(over):
    return [code for value in over.values() if isinstance(value, dict) for code in value.values()]


def test_an_upstream_that_no_job_of_the_queue_asks_is_not_blamed():
    reports = a_queue(name="reports", jobs=("reports",), upstreams=("analytics", "s3_reports"))
    snapshot = a_snapshot(a_queue(), reports, upstreams=CRM_DOWN)

    assert queue_state(snapshot.queues[0], snapshot)[0] == "slow"
    assert queue_state(reports, snapshot) == ("moving", "Moving: 3 in flight.")


def test_a_job_that_cannot_run_is_named_while_others_of_its_queue_can():
    jobs = (
        JobStatus(name="voice", state="closed", reason="genesys refuses client credentials"),
        JobStatus(name="workflow", state="open"),
    )
    queue = QueueStatus(
        name="events",
        jobs=("voice", "workflow"),
        last_receive_seconds_ago=1.0,
        last_message_seconds_ago=1.0,
        **IDLE,
    )

    _, sentence = queue_state(queue, Snapshot(queues=(queue,), jobs=jobs))

    assert sentence == (
        "Idle: no message is visible; the last message came 1 s ago; "
        "job voice waits: genesys refuses client credentials."
    )


def test_each_of_several_queues_has_a_sentence_with_its_name():
    voice = a_queue(name="voice", gate="closed", gate_reason="voice: breaker open")
    workflow = a_queue(name="workflow", **IDLE, last_message_seconds_ago=4.0)

    assert why(a_snapshot(voice, workflow)) == (
        "voice: Gate closed: voice: breaker open; 3 in flight. "
        "workflow: Idle: no message is visible; the last message came 4 s ago."
    )


def test_messages_of_two_jobs_do_not_make_the_worker_full():
    """Runs are not permits: a message that interests two jobs runs twice, on one permit."""
    snapshot = a_snapshot(a_queue(in_flight=40), permits_used=40)

    assert queue_state(snapshot.queues[0], snapshot)[0] == "moving"


def test_a_start_says_what_it_waits_for():
    assert why(Snapshot(starting="waiting for SQS to answer for events")) == (
        "Starting: waiting for SQS to answer for events."
    )


def test_a_drain_counts_what_is_in_flight_on_all_queues():
    snapshot = a_snapshot(a_queue(), a_queue(name="more"), draining=True)

    assert why(snapshot) == "Draining: nothing is received; 6 messages in flight to finish."


def a_status(snapshot, **checks):
    health = Health(clock=lambda: 7.0, stall_seconds=30, checks=checks)
    health.beat()
    status = Status(lambda: snapshot, health)
    return lambda: document_of(status())


def test_the_document_is_json_with_all_that_is_known():
    queue = a_queue(
        oldest=(InFlight(message_id="m1", jobs=("voice",), phase="gate", seconds=1.26),),
        failing={"DeleteMessage": "AccessDenied"},
        visible=115,
        invisible=4,
        dead_letters=2,
    )
    job = JobStatus(
        name="voice",
        state="closed",
        reason="breaker open",
        outcomes={"ok": 3, "retry": 1},
        last_failure=LastFailure(reason="down", fingerprint="abc", seconds_ago=2.04),
    )
    cause = Cause(reason="bad", job=None, fingerprint="f1", dead_letters=50, held_back=400)
    snapshot = a_snapshot(
        queue, jobs=(job,), upstreams=CRM_DOWN, dead_letter_causes=(cause,), warnings=("no DLQ",)
    )

    document = orjson.loads(orjson.dumps(a_status(snapshot, acks=lambda: "events: denied")()))

    for moment in ("started", "taken"):
        assert document.pop(moment).endswith("+00:00")
    assert document.pop("instance")
    assert document.pop("host") == socket.gethostname()
    assert document.pop("version") == __version__
    [shown] = document.pop("queues")
    assert [problem["cause"] for problem in document.pop("problems")] == [
        "dead-letter limit reached for: bad; 50 dead-lettered, 400 held back",
        "DeleteMessage fails with AccessDenied",
        "breaker open",
    ]
    assert document == {
        "live": True,
        "ready": False,
        "not_ready_because": ["acks: events: denied"],
        "why": (
            "Not moving: DeleteMessage fails with AccessDenied; 3 in flight, 115 visible, "
            "4 invisible (scheduled retries or other consumers)."
        ),
        "starting": "",
        "draining": False,
        "quarantine": False,
        "uptime_seconds": 65.5,
        "concurrency": 64,
        "permits_used": 3,
        "in_flight": 3,
        "jobs": [
            {
                "name": "voice",
                "state": "closed",
                "reason": "breaker open",
                "problems": [],
                "outcomes": {"ok": 3, "retry": 1},
                "last_failure": {"reason": "down", "fingerprint": "abc", "seconds_ago": 2.0},
            }
        ],
        "upstreams": [
            {
                "name": "crm",
                "breaker": "open",
                "reason": "breaker open",
                "pause_seconds": 0.0,
                "asked_seconds": 0.0,
            }
        ],
        "dead_letter_causes": [
            {
                "reason": "bad",
                "job": None,
                "fingerprint": "f1",
                "dead_letters": 50,
                "held_back": 400,
            }
        ],
        "budget_exhausted_seconds": 0.0,
        "budget_upstreams": ["conversations", "analytics"],
        "last_success_seconds_ago": 0.1,
        "warnings": ["no DLQ"],
    }
    assert shown["state"] == "error"
    assert shown["why"] == document["why"]
    assert shown["oldest"] == [
        {"message_id": "m1", "jobs": ["voice"], "phase": "gate", "seconds": 1.3}
    ]
    assert (shown["dead_letters"], shown["failing"]) == (2, {"DeleteMessage": "AccessDenied"})


def test_texts_of_a_class_of_their_own_are_texts_in_the_document():
    class Name(str):
        __slots__ = ()

    job = JobStatus(name=Name("theirs"), state="open", reason=Name("none"))

    document = document_of(Snapshot(host=Name("pod-a"), jobs=(job,)))

    assert (document["host"], document["jobs"][0]["name"]) == ("pod-a", "theirs")
    assert orjson.dumps(document)


def test_a_worker_that_starts_has_a_document_too():
    document = orjson.loads(orjson.dumps(a_status(Snapshot(starting="waiting"))()))

    assert (document["why"], document["queues"], document["ready"]) == (
        "Starting: waiting.",
        [],
        True,
    )


def test_a_snapshot_cannot_be_changed():
    with pytest.raises(AttributeError):
        a_snapshot().draining = True
    assert replace(a_snapshot(), draining=True).draining


@pytest.mark.parametrize(
    ("number", "words", "text"),
    [
        (0, ("message",), "0 messages"),
        (1, ("message",), "1 message"),
        (1_200, ("message",), "1,200 messages"),
        (1, ("other stays", "others stay"), "1 other stays"),
        (2, ("other stays", "others stay"), "2 others stay"),
    ],
)
def test_one_of_something_is_no_plural(number, words, text):
    assert counted(number, *words) == text


def test_a_worker_of_one_permit_and_one_poller_says_so():
    one = QueueStatus(name="q", jobs=(), in_flight=1, pollers=1, last_receive_seconds_ago=90.0)
    draining = Snapshot(draining=True, in_flight=1)

    full = queue_state(one, Snapshot(queues=(one,), concurrency=1, permits_used=1))
    stalled = queue_state(one, Snapshot(queues=(one,), concurrency=2))

    assert full[1] == "Full: its one permit in use; 1 in flight."
    assert stalled[1] == "Stalled: 1 poller, no receive ended for 90 s."
    assert why(draining) == "Draining: nothing is received; 1 message in flight to finish."

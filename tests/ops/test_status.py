"""Status: one sentence that says why the queue moves, or does not."""

import orjson
import pytest

from worker import __version__
from worker.ops.health import Health
from worker.ops.status import Snapshot, Status, queue_state, why


def a_snapshot(**over):
    moving = {
        "in_flight": 3,
        "concurrency": 64,
        "pollers": 2,
        "uptime_seconds": 65.5,
        "last_receive_seconds_ago": 0.2,
        "last_message_seconds_ago": 0.2,
        "last_success_seconds_ago": 0.1,
    }
    return Snapshot(**{**moving, **over})


BREAKER = {"open_breakers": ("genesys",)}
NONE_YET = {"in_flight": 0, "last_receive_seconds_ago": None, "last_message_seconds_ago": None}

SENTENCES = [
    ({}, "moving", "Moving: 3 of 64 messages in hand."),
    (
        {"draining": True, "receive_error": "AccessDenied"},
        "draining",
        "Draining: nothing is received, 3 of 64 messages in hand to be finished.",
    ),
    (
        {"receive_error": "AccessDenied", "pollers": 0, **BREAKER},
        "error",
        "Not moving: receiving fails with AccessDenied.",
    ),
    (
        {"token_problem": "invalid_client"},
        "token",
        "Not moving: no Genesys token (invalid_client).",
    ),
    (
        {"paused": "breaker open: genesys", **BREAKER},
        "paused",
        "Paused: breaker open: genesys; 3 of 64 messages in hand.",
    ),
    ({"in_flight": 64}, "full", "Full: 64 of 64 messages in hand."),
    (
        {"in_flight": 64, "rate_limited_seconds": 12.4, **BREAKER},
        "full",
        (
            "Full: 64 of 64 messages in hand, the request budget is spent for 12 s, "
            "the breaker is open for genesys."
        ),
    ),
    (
        {"in_flight": 64, "last_success_seconds_ago": 400.0},
        "full",
        "Full: 64 of 64 messages in hand, none was done for 400 s.",
    ),
    (
        {"suspect_alone": True, "last_receive_seconds_ago": 90.0},
        "suspect",
        "Careful: a message that may have killed a process runs alone.",
    ),
    (
        {"in_flight": 0, "last_receive_seconds_ago": 90.0},
        "stalled",
        "Stalled: 2 pollers run, but no receive has ended for 90 s.",
    ),
    (
        {"rate_limited_seconds": 5.0},
        "limited",
        "Slow: 3 of 64 messages in hand, the request budget is spent for 5 s.",
    ),
    (
        BREAKER,
        "degraded",
        "Partly moving: the breaker is open for genesys; 3 of 64 messages in hand.",
    ),
    (
        {**BREAKER, "hidden": {"voice": 98}},
        "degraded",
        (
            "Partly moving: the breaker is open for genesys; 3 of 64 messages in hand, "
            "98 of voice hidden until then."
        ),
    ),
    (
        {"asked_pauses": {"crm": 40.4, "alert_webhook": 7.0}},
        "degraded",
        (
            "Partly moving: crm asked for a pause, 40 s left, alert_webhook asked for a pause, "
            "7 s left; 3 of 64 messages in hand."
        ),
    ),
    (
        {"in_flight": 64, "asked_pauses": {"crm": 40.4}, **BREAKER},
        "full",
        (
            "Full: 64 of 64 messages in hand, the breaker is open for genesys, crm asked for a "
            "pause, 40 s left."
        ),
    ),
    (
        {"in_flight": 0, "last_message_seconds_ago": 40.0},
        "empty",
        "Idle: the queue shows no message; the last message came 40 s ago.",
    ),
    (
        {"in_flight": 0, "last_message_seconds_ago": 40.0, "hidden_on_queue": 7},
        "waiting",
        (
            "Waiting: nothing in hand, 7 messages of the queue are hidden: for their retry, or in "
            "other hands; the last message came 40 s ago."
        ),
    ),
    (
        {"in_flight": 0, "last_message_seconds_ago": None, "hidden_on_queue": 7},
        "waiting",
        (
            "Waiting: nothing in hand, 7 messages of the queue are hidden: for their retry, or in "
            "other hands."
        ),
    ),
    (
        {"in_flight": 0, "last_message_seconds_ago": None},
        "empty",
        "Idle: the queue has brought no message since the start.",
    ),
    (
        {**NONE_YET, "uptime_seconds": 12.0},
        "starting",
        "Starting: no receive has ended in the 12 s since the start.",
    ),
    (
        {**NONE_YET, "uptime_seconds": 90.0},
        "stalled",
        "Stalled: 2 pollers run, but no receive has ended for 90 s.",
    ),
    (
        {**NONE_YET, "uptime_seconds": 90.0, "receive_error": "AccessDenied"},
        "error",
        "Not moving: receiving fails with AccessDenied.",
    ),
]


@pytest.mark.parametrize(("over", "state", "sentence"), SENTENCES, ids=[s[1] for s in SENTENCES])
def test_the_sentence_names_the_worst_cause_that_holds(over, state, sentence):
    snapshot = a_snapshot(**over)

    assert (queue_state(snapshot), why(snapshot)) == (state, sentence)


def test_the_document_is_json_with_all_that_is_known():
    health = Health(clock=lambda: 7.0, stall_seconds=30, checks={"queue": lambda: "AccessDenied"})
    health.beat()
    status = Status(lambda: a_snapshot(asked_pauses={"crm": 40.44}), health)

    document = orjson.loads(orjson.dumps(status()))

    assert document.pop("started").endswith("+00:00")
    assert document == {
        "version": __version__,
        "uptime_seconds": 65.5,
        "live": True,
        "ready": False,
        "not_ready_because": ["queue: AccessDenied"],
        "why": ("Partly moving: crm asked for a pause, 40 s left; 3 of 64 messages in hand."),
        "queue": "degraded",
        "draining": False,
        "in_flight": 3,
        "concurrency": 64,
        "paused": "",
        "suspect_alone": False,
        "hidden": {},
        "hidden_on_queue": 0,
        "blocked_groups": {},
        "pollers": 2,
        "last_receive_seconds_ago": 0.2,
        "last_message_seconds_ago": 0.2,
        "receive_error": None,
        "open_breakers": [],
        "asked_pauses": {"crm": 40.4},
        "rate_limited_seconds": 0.0,
        "token_problem": None,
        "last_success_seconds_ago": 0.1,
    }

"""What the demo shows while it runs, and what it says of each fault."""

from worker.demo.progress import reactions, why


def a_queue(name, state, sentence):
    return {"name": f"genesys-{name}", "state": state, "why": sentence}


def a_line(second, event, **fields):
    return {"timestamp": f"2026-03-02T09:00:{second:02d}.500+00:00", "event": event, **fields}


NINE = 1772442000
"""2026-03-02T09:00:00Z."""


def test_a_queue_in_trouble_is_shown_first_and_an_idle_one_not_at_all():
    queues = [
        a_queue("voice", "moving", "Moving: 2 in flight."),
        a_queue("reports", "empty", "Idle: no message is visible."),
        a_queue("attributes", "closed", "Gate closed: the CRM."),
    ]

    assert why(queues) == "attributes: Gate closed: the CRM. voice: Moving: 2 in flight."


def test_queues_with_nothing_to_do_are_idle():
    assert why([a_queue("voice", "empty", "Idle: no message has come.")]) == "Idle."


def test_a_fault_is_described_by_what_the_worker_logged_while_it_lasted():
    log = [
        a_line(1, "event_failed", job="voice"),
        a_line(5, "breaker_opened", upstream="crm"),
        a_line(6, "breaker_opened", upstream="crm"),
        a_line(6, "gate_changed", queue="genesys-attributes", state="closed"),
        a_line(7, "gate_changed", queue="genesys-voice", state="half_open"),
        a_line(7, "event_failed", job="attributes"),
        a_line(8, "genesys_call_failed", endpoint="GET /x"),
        a_line(20, "event_failed", job="voice"),
        {"printed": "by a job"},
    ]

    assert list(reactions(log, NINE + 4, NINE + 10)) == [
        "breaker of crm opened",
        "queue attributes held",
        "failed Genesys calls: 1",
        "runs tried again: 1",
    ]


def test_a_fault_that_no_run_met_is_described_as_such():
    assert list(reactions([], NINE, NINE + 1)) == ["no run failed"]

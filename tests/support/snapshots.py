"""Snapshots of workers, as their pages show them."""

from worker.telemetry import (
    DeadLetterCause,
    InFlight,
    JobStatus,
    LastFailure,
    Problem,
    QueueStatus,
    Snapshot,
    UpstreamStatus,
)

HOSTILE = (
    "<script>window.done=1</script>",
    '"><img src=x onerror="window.done=1">',
    "'); window.done=1; //",
    "</style></script></main><iframe src=https://example.com></iframe>",
    "`<b onmouseover=done=1>` &lt;script&gt; \u202egnp.exe \x1b[31m",
    "x" * 2000,
)
"""Names of queues, and texts of senders that come back in a reason."""

OUTCOMES = {"ok": 128_400, "skipped": 311, "duplicate": 42, "retry": 17}


def in_flight(number: int, job: str, phase: str, seconds: float) -> InFlight:
    """Return a message."""
    message_id = f"0c5a7c1e-9d7b-4a5e-8f10-00000000000{number}"
    return InFlight(message_id=message_id, jobs=(job,), phase=phase, seconds=seconds)


def a_worker_at_work() -> Snapshot:
    """Return two queues that move."""
    voice = QueueStatus(
        name="genesys-voice",
        jobs=("voice",),
        upstreams=("conversations", "data_action", "dynamodb"),
        in_flight=3,
        oldest=(in_flight(1, "voice", "working", 0.4), in_flight(2, "voice", "settling", 0.05)),
        visible=12,
        invisible=2,
        pollers=2,
        last_receive_seconds_ago=0.1,
        last_message_seconds_ago=0.1,
        dead_letters=0,
    )
    workflow = QueueStatus(
        name="genesys-workflow",
        jobs=("workflow",),
        upstreams=("analytics", "states"),
        visible=0,
        invisible=40,
        pollers=1,
        last_receive_seconds_ago=4.0,
        last_message_seconds_ago=31.0,
        dead_letters=0,
    )
    return Snapshot(
        uptime_seconds=187_000.0,
        concurrency=64,
        permits_used=3,
        in_flight=3,
        queues=(voice, workflow),
        jobs=(
            JobStatus(name="voice", state="open", outcomes=OUTCOMES),
            JobStatus(name="workflow", state="open", outcomes={"ok": 9_120}),
            JobStatus(name="reports", state="off", reason="not set: REPORT_BUCKET"),
        ),
        last_success_seconds_ago=0.2,
        warnings=("queue genesys-voice: maxReceiveCount: 3: an outage would dead-letter messages",),
    )


def a_worker_in_trouble() -> Snapshot:
    """Return a worker that has every kind of problem at once."""
    denied = QueueStatus(
        name="genesys-voice",
        jobs=("voice",),
        gate="closed",
        gate_reason="voice: dynamodb: ResourceNotFoundException",
        upstreams=("data_action", "dynamodb"),
        in_flight=2,
        oldest=(
            in_flight(1, "voice", "gate", 4_210.0),
            in_flight(2, "voice", "working, waits for budget", 88.0),
        ),
        visible=18_204,
        invisible=411,
        receive_error="AccessDenied",
        failing={"DeleteMessage": "AccessDenied"},
        last_receive_seconds_ago=300.0,
        last_message_seconds_ago=300.0,
        dead_letters=63,
        dead_letter_error="AccessDenied",
    )
    table = JobStatus(
        name="voice",
        state="closed",
        reason="dynamodb: ResourceNotFoundException; check DYNAMODB_TABLE",
        problems=(
            Problem(
                where="job voice",
                cause="dynamodb: ResourceNotFoundException (DYNAMODB_TABLE)",
                remedy="check DYNAMODB_TABLE, the account and the region",
            ),
        ),
        outcomes={"ok": 4_000, "blocked": 310},
        last_failure=LastFailure(
            reason="dynamodb: ResourceNotFoundException", fingerprint="9f3c1a2b", seconds_ago=2.0
        ),
    )
    workflow = JobStatus(
        name="workflow",
        state="half_open",
        reason="dead-letter limit reached for: KeyError in handler.py",
        outcomes={"ok": 90, "permanent": 59, "retry": 730},
        last_failure=LastFailure(
            reason="KeyError in handler.py", fingerprint="51d0aa7e", seconds_ago=11.0
        ),
    )
    cause = DeadLetterCause(
        reason="KeyError in handler.py",
        job="workflow",
        fingerprint="51d0aa7e",
        dead_letters=59,
        held_back=730,
    )
    upstream = UpstreamStatus(
        name="data_action", breaker="open", reason="breaker open: it is tried again in 12 s"
    )
    return Snapshot(
        uptime_seconds=5_400.0,
        concurrency=64,
        permits_used=64,
        in_flight=2,
        queues=(denied,),
        jobs=(table, workflow),
        upstreams=(upstream,),
        dead_letter_causes=(cause,),
        budget_exhausted_seconds=14.0,
        last_success_seconds_ago=410.0,
    )


def hostile_worker(text: str) -> Snapshot:
    """Return a worker that says this text wherever it says anything from outside."""
    queue = QueueStatus(
        name=text,
        jobs=(text,),
        gate="closed",
        gate_reason=text,
        upstreams=(text,),
        in_flight=1,
        oldest=(InFlight(message_id=text, jobs=(text,), phase=text, seconds=1.0),),
        receive_error=text,
        failing={text: text},
        blocked_groups={text: text},
        dead_letter_error=text,
    )
    failure = LastFailure(reason=text, fingerprint=text, seconds_ago=1.0)
    job = JobStatus(
        name=text,
        state="closed",
        reason=text,
        problems=(Problem(where=text, cause=text, remedy=text),),
        outcomes={text: 1},
        last_failure=failure,
    )
    return Snapshot(
        queues=(queue,),
        jobs=(job,),
        upstreams=(UpstreamStatus(name=text, breaker=text, reason=f"so: {text}"),),
        dead_letter_causes=(
            DeadLetterCause(reason=text, job=text, fingerprint=text, dead_letters=1, held_back=1),
        ),
        warnings=(text,),
    )

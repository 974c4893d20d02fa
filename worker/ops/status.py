"""/status: why is each queue moving, or not? No personal data: ids of messages, names, numbers."""

from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from worker import __version__
from worker.ops.health import Health
from worker.telemetry import QueueStatus, Snapshot, UpstreamStatus

STALLED_SECONDS = 60.0
"""Silence of all receives from which polling counts as stalled: three of the longest polls."""

STUCK_SECONDS = 300.0
"""Time without a success, with all permits in use, from which that is worth saying."""


class Status:
    """Makes the /status document; called from the server's thread."""

    def __init__(self, snapshot: Callable[[], Snapshot], health: Health) -> None:
        """`snapshot` only reads."""
        self._snapshot = snapshot
        self._health = health
        self._started_at = datetime.now(UTC).isoformat(timespec="seconds")

    def __call__(self) -> dict[str, Any]:
        """Return the document."""
        snapshot = self._snapshot()
        reasons = self._health.ready()
        document: dict[str, Any] = _rounded(asdict(snapshot))
        for queue, shown in zip(snapshot.queues, document["queues"], strict=True):
            shown["state"], shown["why"] = queue_state(queue, snapshot)
        return {
            "version": __version__,
            "started": self._started_at,
            "live": self._health.live(),
            "ready": not reasons,
            "not_ready_because": reasons,
            "why": why(snapshot),
            **document,
        }


def why(now: Snapshot) -> str:
    """Return one sentence a queue that says why it moves, or does not."""
    if now.draining:
        return f"Draining: nothing is received; {now.in_flight} messages in flight to finish."
    if now.starting:
        return f"Starting: {now.starting}."
    sentences = [(queue.name, queue_state(queue, now)[1]) for queue in now.queues]
    if len(sentences) == 1:
        return sentences[0][1]
    return " ".join(f"{name}: {sentence}" for name, sentence in sentences)


def queue_state(queue: QueueStatus, now: Snapshot) -> tuple[str, str]:
    """Return the state of a queue, and why, worst cause first."""
    for causes in (_refused, _held_back, _working):
        for state_and_why in causes(queue, now):
            return state_and_why
    return "starting", f"Starting: no receive has ended in the {now.uptime_seconds:.0f} s so far."


def _refused(queue: QueueStatus, now: Snapshot) -> Iterator[tuple[str, str]]:
    if now.draining:
        yield "draining", f"Draining: {queue.in_flight} in flight."
    if queue.receive_error:
        yield "error", f"Not moving: ReceiveMessage fails with {queue.receive_error}."
    for action, code in queue.failing.items():
        yield "error", f"Not moving: {action} fails with {code}; {_counts(queue)}."


def _held_back(queue: QueueStatus, now: Snapshot) -> Iterator[tuple[str, str]]:
    if queue.gate == "closed":
        yield "closed", f"Gate closed: {queue.gate_reason}; {_counts(queue)}."
    if queue.gate == "half_open":
        yield "half_open", f"Gate half-open, one message probes: {queue.gate_reason}."
    if now.quarantine:
        yield "quarantine", "Quarantine: a message that killed the process twice runs alone."
    if now.permits_used >= now.concurrency:
        causes = [*_slowed(queue, now), *_stuck(now)]
        shown = "".join(f", {cause}" for cause in causes)
        yield "full", f"Full: all {now.concurrency} permits in use{shown}; {_counts(queue)}."
    if (silence := _silence(queue, now)) > STALLED_SECONDS:
        yield "stalled", f"Stalled: {queue.pollers} pollers, no receive ended for {silence:.0f} s."
    if (causes := _slowed(queue, now)) and (queue.in_flight or queue.visible or queue.invisible):
        yield "slow", f"Moving slowly, {', '.join(causes)}; {_counts(queue)}."


def _working(queue: QueueStatus, now: Snapshot) -> Iterator[tuple[str, str]]:
    blocked = "".join(_blocked_jobs(queue, now))
    for state, sentence in _moving(queue):
        yield state, f"{sentence}{blocked}."


def _blocked_jobs(queue: QueueStatus, now: Snapshot) -> Iterator[str]:
    """Yield what is to be said of jobs that cannot run while others of the queue can."""
    for job in now.jobs:
        if job.state == "closed" and job.name in queue.jobs:
            yield f"; job {job.name} waits: {job.reason}"


def _moving(queue: QueueStatus) -> Iterator[tuple[str, str]]:
    if queue.blocked_groups:
        groups = ", ".join(f"{group} by {head}" for group, head in queue.blocked_groups.items())
        yield "blocked", f"Moving, but FIFO groups wait for their heads: {groups}"
    if queue.in_flight or queue.visible:
        yield "moving", f"Moving: {_counts(queue)}"
    if queue.last_receive_seconds_ago is None:
        return
    last = queue.last_message_seconds_ago
    came = "" if last is None else f"; the last message came {last:.0f} s ago"
    if queue.invisible:
        yield "waiting", f"Waiting: {_counts(queue)}{came}"
    if last is None:
        yield "empty", "Idle: no message has come since the start"
    yield "empty", f"Idle: no message is visible{came}"


def _counts(queue: QueueStatus) -> str:
    parts = [f"{queue.in_flight} in flight"]
    if queue.visible:
        parts.append(f"{queue.visible} visible")
    if queue.invisible:
        parts.append(f"{queue.invisible} invisible (scheduled retries or other consumers)")
    return ", ".join(parts)


def _slowed(queue: QueueStatus, now: Snapshot) -> list[str]:
    parts = []
    asks = not {*now.budget_upstreams}.isdisjoint(queue.upstreams)
    if asks and now.budget_exhausted_seconds > 0:
        parts.append(f"the request budget is exhausted for {now.budget_exhausted_seconds:.0f} s")
    return parts + [_of(one) for one in now.upstreams if one.name in queue.upstreams]


def _stuck(now: Snapshot) -> Iterator[str]:
    if (silence := now.last_success_seconds_ago or 0.0) > STUCK_SECONDS:
        yield f"no message was done for {silence:.0f} s"


def _of(upstream: UpstreamStatus) -> str:
    if upstream.pause_seconds:
        asked, left = upstream.asked_seconds, upstream.pause_seconds
        return f"{upstream.name} asked for a pause of {asked:.0f} s, {left:.0f} s left"
    return f"{upstream.name}: {upstream.reason or f'breaker {upstream.breaker}'}"


def _silence(queue: QueueStatus, now: Snapshot) -> float:
    """Return the seconds without an answer to a receive; before the first one, since the start."""
    last = queue.last_receive_seconds_ago
    return now.uptime_seconds if last is None else last


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(entry) for entry in value]
    return round(value, 1) if isinstance(value, float) else value

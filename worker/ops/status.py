"""/status: why is each queue moving, or not? No personal data: ids of messages, names, numbers."""

import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Literal
from uuid import uuid4

from msgspec.structs import replace

from worker import __version__
from worker.clients.aws import fault_called, is_unreachable
from worker.ops.health import Health
from worker.telemetry import DeadLetterCause, Problem, QueueStatus, Snapshot, UpstreamStatus

STALLED_SECONDS = 60.0
"""Silence of all receives from which polling counts as stalled: three of the longest polls."""

STUCK_SECONDS = 300.0
"""Time without a success, with all permits in use, from which that is worth saying."""


class Status:
    """Takes the snapshot that operators see; called from the server's thread."""

    def __init__(self, snapshot: Callable[[], Snapshot], health: Health) -> None:
        """`snapshot` only reads."""
        self._snapshot = snapshot
        self._health = health
        self._started = _now()
        # Not host and pid: a pod's process is number 1, and pods may share their node's name.
        self._instance = uuid4().hex[:12]
        self._host = socket.gethostname()

    def __call__(self) -> Snapshot:
        """Return what is known now, and what it means."""
        snapshot, reasons = self._snapshot(), tuple(self._health.ready())
        queues = [(queue, *queue_state(queue, snapshot)) for queue in snapshot.queues]
        known = replace(
            snapshot,
            version=__version__,
            instance=self._instance,
            host=self._host,
            started=self._started,
            taken=_now(),
            live=self._health.live(),
            ready=not reasons,
            not_ready_because=reasons,
            why=why(snapshot),
            queues=tuple(replace(one, state=state, why=text) for one, state, text in queues),
        )
        return replace(known, problems=tuple(problems(known)))


def state_of(now: Snapshot) -> tuple[Literal["good", "warn", "bad"], str]:
    """Return what a worker is, all in all: how good that is, and a word."""
    if not now.live:
        return "bad", "Not alive"
    if now.starting or now.draining:
        return "warn", "Starting" if now.starting else "Draining"
    if not now.ready:
        return "bad", "Not ready"
    if any(not one.heals for one in now.problems):
        return "bad", "Ready, with problems"
    return ("warn", "Ready, but slowed") if now.problems else ("good", "Ready")


def duration(seconds: float) -> str:
    """Return a length of time in words, two units at most."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = int(seconds // 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min"
    return f"{hours // 24} d {hours % 24} h"


def counted(number: int, one: str, many: str = "") -> str:
    """Return how many of something there are: `1 message`. `many`: where `s` makes no plural."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def why(now: Snapshot) -> str:
    """Return one sentence a queue that says why it moves, or does not."""
    if now.draining:
        messages = counted(now.in_flight, "message")
        return f"Draining: nothing is received; {messages} in flight to finish."
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
        permits = f"all {now.concurrency} permits" if now.concurrency > 1 else "its one permit"
        yield "full", f"Full: {permits} in use{shown}; {_counts(queue)}."
    if (silence := _silence(queue, now)) > STALLED_SECONDS:
        pollers = counted(queue.pollers, "poller")
        yield "stalled", f"Stalled: {pollers}, no receive ended for {silence:.0f} s."
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


REMEDIES = {
    "process": "/livez fails until it is restarted, which its platform does; its log has the cause",
    "start": "check the network to SQS and the role's permissions: `worker check` tries them",
    "genesys": "check GENESYS_CLIENT_ID, GENESYS_CLIENT_SECRET, GENESYS_ENVIRONMENT and the "
    "network to the login host",
}
"""What to do about a reason not to be ready, by the name of its check."""

ON_PURPOSE = {"process: starting", "process: draining"}

LIMIT_REMEDY = (
    "check the latest deployment and roll it back; the messages held back stay on the queue and "
    "are tried again, one at a time. Then `worker dlq redrive --fingerprint {fingerprint}`"
)
BUDGET_REMEDY = (
    "nothing is lost: messages wait for their turn. Raise GENESYS_REQUESTS_PER_MINUTE if the "
    "organization allows more; more replicas do not help"
)
UPSTREAM_REMEDY = (
    "nothing is lost: messages wait, and it is tried again by itself. See why it does not answer"
)
QUARANTINE_REMEDY = (
    "nothing: should the process die of it again, it is dead-lettered unopened; "
    "`worker dlq list` names it then"
)


DENIED = {
    "ReceiveMessage": "SQS05",
    "DeleteMessage": "SQS06",
    "ChangeMessageVisibility": "SQS07",
    "SendMessage": "DLQ04",
}
"""Codes of `worker check` for calls that are not allowed."""


def advice(problem: Problem) -> str:
    """Return what to do, and where more is said of it."""
    more = f" (`worker explain {problem.code}`)" if problem.code else ""
    return f"{problem.remedy}{more}"


def problems(now: Snapshot) -> Iterator[Problem]:
    """Yield what is wrong, each with what to do; what stops the worker comes first."""
    found = [*_job_problems(now), *_limits_reached(now), *_budget(now)]
    found += [one for queue in now.queues for one in _queue_problems(queue)]
    known = "; ".join(one.cause for one in found)
    found += _upstream_problems(now, known)
    found += _other_reasons(now, known)
    if now.quarantine:
        cause = "a message that killed the process twice runs alone; nothing else begins"
        found.append(Problem(where="process", cause=cause, remedy=QUARANTINE_REMEDY, heals=True))
    yield from sorted(found, key=lambda one: (one.heals, one.where != "process"))


def _queue_problems(queue: QueueStatus) -> Iterator[Problem]:
    refused = {"ReceiveMessage": queue.receive_error} if queue.receive_error else {}
    for action, code in {**refused, **queue.failing}.items():
        yield Problem(
            where=f"queue {queue.name}",
            cause=f"{action} fails with {code}",
            remedy=_sqs_remedy(action, code, "the queue", "SQS_QUEUE_URL"),
            code=_sqs_code(action, code),
        )
    if error := queue.dead_letter_error:
        remedy = _sqs_remedy(
            "SendMessage", error, "the dead-letter queue", "SQS_DEAD_LETTER_QUEUE_URL"
        )
        cause = f"dead letters cannot be sent, and stay on the queue: {error}"
        code = _sqs_code("SendMessage", error)
        yield Problem(where=f"queue {queue.name}", cause=cause, remedy=remedy, code=code)
    if queue.state == "stalled":
        remedy = "check the network to SQS; if receives do not end again, restart the worker"
        yield Problem(where=f"queue {queue.name}", cause=queue.why.rstrip("."), remedy=remedy)


def _sqs_code(action: str, code: str) -> str:
    """Return by what `worker check` knows a call that is refused."""
    fault = fault_called(code)
    if fault.is_denied:
        return DENIED.get(action.partition(" ")[0].removesuffix("Batch"), "SQS01")
    if fault.is_missing or "not set" in code:
        return "DLQ01" if action == "SendMessage" else "SQS01"
    return "AWS01" if fault.is_about_credentials else ""


def _sqs_remedy(action: str, code: str, queue: str, setting: str) -> str:
    fault = fault_called(code)
    if fault.is_denied and "kms" in code.lower():
        return f"allow the role kms:Decrypt and kms:GenerateDataKey with the key of {queue}"
    if fault.is_denied:
        name = action.partition(" ")[0]
        return f"allow the role sqs:{name} on {queue}, and check the queue's own policy"
    if fault.is_missing or "not set" in code:
        return f"check {setting}, the account and the region"
    if is_unreachable(code):
        return "check AWS_ENDPOINT_URL, the network and the VPC endpoints"
    return fault.remedy


def _job_problems(now: Snapshot) -> Iterator[Problem]:
    """Yield what a person must change, once for all jobs that need it."""
    jobs: dict[Problem, list[str]] = {}
    for job in now.jobs:
        for one in job.problems:
            jobs.setdefault(replace(one, where=""), []).append(job.name)
    for problem, names in jobs.items():
        yield replace(problem, where=f"job{'s' if names[1:] else ''} {', '.join(names)}")


def _limits_reached(now: Snapshot) -> Iterator[Problem]:
    for one in now.dead_letter_causes:
        if one.held_back:
            yield Problem(
                where=f"job {one.job}" if one.job else "unreadable messages",
                cause=f"dead-letter limit reached for: {one.reason}; {_held(one)}",
                remedy=LIMIT_REMEDY.format(fingerprint=one.fingerprint),
            )


def _held(cause: DeadLetterCause) -> str:
    return f"{cause.dead_letters} dead-lettered, {cause.held_back} held back"


def _budget(now: Snapshot) -> Iterator[Problem]:
    if (seconds := now.budget_exhausted_seconds) > 0:
        wait = "in less than a second" if seconds < 1 else f"in {seconds:.0f} s"
        cause = f"the request budget is exhausted: the next request is granted {wait}"
        yield Problem(where="Genesys", cause=cause, remedy=BUDGET_REMEDY, code="GEN05", heals=True)


def _upstream_problems(now: Snapshot, known: str) -> Iterator[Problem]:
    remedies = {problem.remedy for job in now.jobs for problem in job.problems}
    for one in now.upstreams:
        # An upstream whose credentials are refused gives that as its reason, with the remedy.
        if any(remedy in one.reason for remedy in remedies):
            continue
        cause = one.reason or f"breaker {one.breaker}"
        if cause not in known:
            where = f"upstream {one.name}"
            yield Problem(where=where, cause=cause, remedy=UPSTREAM_REMEDY, heals=True)


def _other_reasons(now: Snapshot, known: str) -> Iterator[Problem]:
    """Yield the reasons not to be ready that no part of the snapshot explains."""
    for reason in now.not_ready_because:
        check, _, text = reason.partition(": ")
        if reason in ON_PURPOSE or text in known:
            continue
        if check in REMEDIES:
            code = "GEN01" if check == "genesys" else ""
            yield Problem(where=check, cause=text, remedy=REMEDIES[check], code=code)
        elif not known and not now.upstreams:
            yield Problem(where=check, cause=text, remedy="see the log")

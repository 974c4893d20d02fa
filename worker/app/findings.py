"""What settings and queues show by themselves: findings of `worker check`, warnings of the start.

No call is made here: `worker run` has read the attributes of its queues, and makes no calls that
must be refused, at each start of each replica.
"""

from collections.abc import Iterable, Iterator
from urllib.parse import urlsplit

from worker.app.jobs import installed, known_jobs, required_settings, title, unknown_settings
from worker.clients.aws import QueueAttributes
from worker.findings import Finding, fail, ok, warn
from worker.intake import LAST_HORIZON
from worker.ops import counted
from worker.settings import Settings, heartbeat_capacity

LEAST_RECEIVES = 10
WANTED_RECEIVES = 50
"""Outages and drains count as receives too; the worker's own limit is the message's age."""

LEAST_VISIBILITY_SECONDS = 10


JOB_OFF = "job off"
"""Name of a finding: /status has each job that is off, with what it lacks."""


def queue_findings(
    name: str,
    attributes: QueueAttributes,
    dead_letters: QueueAttributes | None,
    settings: Settings,
) -> list[str]:
    """Return the problems of a queue and its dead-letter queue (None: there is none)."""
    found = [*check_queue(attributes, settings), *check_dead_letters(attributes, dead_letters)]
    return list(sentences(found, f"queue {name}: "))


def start_warnings(settings: Settings) -> list[str]:
    """Return the problems of the settings, as the start and /status have them."""
    found = [*settings_findings(settings), *check_region(settings)]
    return list(sentences(one for one in found if one.name != JOB_OFF))


def sentences(findings: Iterable[Finding], where: str = "") -> Iterator[str]:
    """Yield a sentence for each finding that is not ok, with its code. `where`: begins it."""
    for one in findings:
        if one.state != "ok":
            yield f"{where}{one.name}: {one.found}; {one.remedy} ({one.code})"


def check_queue(attributes: QueueAttributes, settings: Settings) -> Iterator[Finding]:
    """Compare a queue with the settings; attributes it does not have are not checked."""
    yield _visibility(attributes, settings)
    if attributes.retention_seconds is not None:
        yield _retention(attributes.retention_seconds, settings.retry.horizon_seconds)
    yield _receives(attributes.max_receive_count)


def check_dead_letters(
    source: QueueAttributes, dead_letters: QueueAttributes | None
) -> Iterator[Finding]:
    """Compare a dead-letter queue with the queue it serves. None: there is none."""
    name = "dead-letter queue"
    if dead_letters is None:
        found = "not set: a message that can never succeed stays on the queue"
        yield Finding(name, "warn", found, "set SQS_DEAD_LETTER_QUEUE_URL")
        return
    yield _fitness(name, source, dead_letters)
    target = source.dead_letter_arn
    if target is not None and dead_letters.arn is not None and target != dead_letters.arn:
        yield Finding(
            "redrive policy",
            "fail",
            f"SQS moves messages to {target.rpartition(':')[2]}, which is not in "
            "SQS_DEAD_LETTER_QUEUE_URL",
            "use one queue for both: worker dlq and the alert on dead letters see no other",
        )


def unread_dead_letters(error: Exception) -> Finding:
    """Return the finding of a dead-letter queue whose attributes cannot be read."""
    remedy = "check SQS_DEAD_LETTER_QUEUE_URL, and the permission sqs:GetQueueAttributes on it"
    return warn("dead-letter queue", f"cannot be read: {error}", remedy)


def _fitness(name: str, source: QueueAttributes, dead_letters: QueueAttributes) -> Finding:
    if dead_letters.arn is not None and dead_letters.arn == source.arn:
        remedy = "name another in SQS_DEAD_LETTER_QUEUE_URL"
        return Finding(name, "fail", "is the queue itself: dead letters come back", remedy)
    if dead_letters.fifo != source.fifo:
        found = "one queue is FIFO, the other is not"
        return Finding(name, "fail", found, "make both of the same kind")
    waiting = counted(dead_letters.visible, "message")
    kept, source_kept = dead_letters.retention_seconds, source.retention_seconds
    if kept is None or source_kept is None:
        return Finding(name, "ok", f"reachable; {waiting}")
    if kept <= source_kept:
        return Finding(
            "dead-letter retention",
            "warn",
            f"keeps messages {_days(kept)}, the queue {_days(source_kept)}",
            "keep them longer: what SQS moves there brings its age along",
        )
    found = f"reachable; {waiting}, kept {_days(kept)}"
    return Finding(name, "ok", found)


def _visibility(attributes: QueueAttributes, settings: Settings) -> Finding:
    name = "visibility timeout"
    own = settings.sqs.visibility_seconds
    seconds = own or attributes.visibility_seconds
    found = f"{seconds} s, from {'SQS_VISIBILITY_SECONDS' if own else 'the queue'}"
    remedy = "raise the queue's VisibilityTimeout, or set SQS_VISIBILITY_SECONDS"
    if seconds < LEAST_VISIBILITY_SECONDS:
        return Finding(name, "fail", f"{found}: too short for a heartbeat", remedy)
    if settings.sqs.concurrency > (capacity := heartbeat_capacity(seconds)):
        found += f": the heartbeat can keep {counted(capacity, 'message')}"
        return Finding(name, "fail", found, remedy)
    if seconds < settings.handler.deadline_seconds:
        found += f"; the heartbeat bridges to {settings.handler.deadline_seconds:g} s"
    return Finding(name, "ok", found)


def _retention(kept: int, horizon: float) -> Finding:
    name = "retention"
    if kept <= horizon:
        return Finding(
            name,
            "fail",
            f"{_days(kept)}, but retries go on for {_days(horizon)}",
            "raise MessageRetentionPeriod or lower RETRY_HORIZON_SECONDS: SQS drops messages that "
            "are not yet dead-lettered",
        )
    if kept <= LAST_HORIZON * horizon:
        found = f"{_days(kept)}, but in an outage retries go on for {_days(LAST_HORIZON * horizon)}"
        return Finding(name, "warn", found, "raise MessageRetentionPeriod: SQS drops what is older")
    return Finding(name, "ok", f"{_days(kept)}; retries end after {_days(horizon)}")


def _receives(count: int | None) -> Finding:
    name = "maxReceiveCount"
    remedy = f"set it to {WANTED_RECEIVES}: outages and drains count as receives too"
    if count is None:
        found = "no redrive policy: a message that crashes us never leaves"
        return Finding(name, "warn", found, remedy)
    if count < LEAST_RECEIVES:
        found = f"{count}: an outage would dead-letter healthy messages"
        return Finding(name, "fail", found, remedy)
    if count < WANTED_RECEIVES:
        found = f"{count}: a long outage would dead-letter healthy messages"
        return Finding(name, "warn", found, remedy)
    return Finding(name, "ok", str(count))


def _days(seconds: float) -> str:
    return f"{seconds / 86400:.1f} days" if seconds >= 86400 else f"{seconds / 3600:.1f} h"


def settings_of_jobs(settings: Settings) -> Iterator[Finding]:
    """Yield a finding per installed job that is on: what it requires is set."""
    for job in installed(settings):
        yield ok(title(job), f"set: {', '.join(required_settings(job)) or 'it requires nothing'}")


def settings_findings(settings: Settings) -> list[Finding]:
    """Return what the settings alone show."""
    found = [ok("settings", f"complete; jobs on: {', '.join(settings.enabled_jobs())}")]
    half = settings.half_configured()
    # Handlers left out of HANDLERS are off on purpose: no finding.
    for handler, lacking in settings.disabled_jobs().items():
        remedy = f"to turn it on, set {', '.join(lacking)}"
        if handler in half:
            remedy += "; to leave it off, name the others in HANDLERS: its events are dead-lettered"
            found.append(fail("half-configured job", half[handler], remedy))
        elif not settings.handlers.handlers:
            found.append(warn(JOB_OFF, f"job {handler} is off", remedy))
    unknown = [_unknown(*parts_of_problem(line)) for line in unknown_settings()]
    return [*found, *settings_of_jobs(settings), *long_waits(settings), *unknown]


def _unknown(variable: str, text: str) -> Finding:
    hint = text.removeprefix("unknown; ")
    return warn("unknown setting", f"{variable} is read by nothing", hint)


def parts_of_problem(problem: str) -> tuple[str, str]:
    """Return the name of a setting, and what is wrong with it."""
    name, _, text = problem.partition(": ")
    return name, text


def long_waits(settings: Settings) -> Iterator[Finding]:
    """Yield a finding for each wait of a job that is on and is longer than retries go on for.

    No error at the start: what does not have to wait that long is handled.
    """
    horizon = settings.retry.horizon_seconds
    waits = [(job, field) for job in settings.enabled_jobs() for field in known_jobs()[job].waits]
    for job, field in waits:
        seconds = getattr(settings.jobs[job], field)
        if seconds is not None and seconds >= horizon:
            found = f"{field.upper()} is {seconds:g} s, but retries end after {horizon:g} s"
            remedy = "lower it, or raise RETRY_HORIZON_SECONDS: the message is dead-lettered first"
            yield warn("longest wait", found, remedy)


def check_region(settings: Settings) -> list[Finding]:
    """Compare the queue's region with ours; a signature for the wrong one is refused."""
    region = settings.aws.region
    theirs = dict.fromkeys(filter(None, map(_region_of, settings.sqs.queue_urls)))
    return [
        fail("AWS region", f"AWS_REGION is {region}, the queue's {one}", "use the queue's region")
        for one in theirs
        if region not in (None, one)
    ]


def _region_of(queue_url: str) -> str | None:
    parts = (urlsplit(queue_url).hostname or "").split(".")
    return parts[1] if parts[0] == "sqs" and "amazonaws" in parts else None

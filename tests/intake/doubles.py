"""Parts of the intake to test by themselves, without a queue."""

import asyncio
from collections import Counter
from itertools import count
from random import Random

from tests.support.factories import a_voice_scored, an_id
from worker.clients.aws.sqs import Message
from worker.errors import Misconfigured
from worker.intake.dead_letter_limit import DeadLetterLimit
from worker.intake.job_state import JobState
from worker.intake.leases import Lease
from worker.intake.outcome import Blocked, Retry, failure_of
from worker.intake.router import About, Source

DOWN = Retry(failure_of("down", error_class="Unavailable", cause="down"), own=False, outage=True)
BLOCKED = Blocked(failure_of("blocked", error_class="Blocked", cause="blocked"))
_numbers = count(1)


class Clock:
    """Time that passes when it is asked to."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class FakeUpstreams:
    """Upstreams in the states that a test sets; closed is ok."""

    def __init__(self, **states):
        self.states = states
        self.problems = {}

    def state(self, name):
        return self.states.get(name, "closed")

    def reason(self, name):
        return f"{name} is {self.state(name)}"

    def problem(self, name):
        return self.problems.get(name)

    def names(self):
        return frozenset(self.states)


class NoLimit:
    """A dead-letter limit that holds nothing, unless set to."""

    def __init__(self):
        self.held = {}

    def gate(self, job):
        return self.held.get(job)


def a_job(name="voice", *, needs=(), may_miss=(), upstreams=None, limit=None, clock=None):
    return JobState(
        name,
        needs=needs,
        may_miss=may_miss,
        upstreams=upstreams or FakeUpstreams(),
        limit=limit or NoLimit(),
        clock=clock or Clock(),
    )


def do_one(job):
    """Let the job have done a message, as the delivery reports it."""
    job.done += 1
    job.done_at = job._clock()
    if job.problem is not None:
        job.recovered()


def a_problem(setting="GENESYS_ACTION_ID"):
    return Misconfigured("there is no such action", setting=setting, remedy=f"correct {setting}")


def a_source(name="events", jobs=("voice",), *, bound=False, age=0.0):
    return Source(name, f"https://sqs/{name}", frozenset(jobs), bound, lambda _sent_at: age)


def a_message(message_id=None, *, receives=1, at=0.0, body="", sent_at=None, group=None):
    return Message(
        id=message_id or an_id(),
        receipt=f"receipt {next(_numbers)}",
        body=body,
        received_at=at,
        receive_count=receives,
        sent_at=sent_at,
        group_id=group,
    )


def a_lease(message=None, *, jobs=(), source=None, visibility=30.0, clock=None):
    """A lease that runs from now on; must be made in a loop, unless it has a clock."""
    clock = clock or asyncio.get_running_loop().time
    message = message or a_message(at=clock())
    lease = Lease(
        message,
        source or a_source(),
        message.received_at + visibility,
        clock,
        message.received_at,
        message.received_at,
    )
    if jobs:
        lease.about = about(*jobs)
    return lease


def about(*jobs):
    """What is known of a message that these jobs want."""
    event = a_voice_scored()
    return About(event.origin, event.conversation_id, jobs)


class Limit:
    """A dead-letter limit with a clock, and jobs that do something when a test says so."""

    def __init__(self, most=50):
        self.clock = Clock()
        self.counts = Counter()
        self.times = {}
        self.limit = DeadLetterLimit(most, self._done, self.clock, Random(1))

    def _done(self, job):
        if job is None:
            return self.counts.total(), max(self.times.values(), default=float("-inf"))
        return self.counts[job], self.times.get(job, float("-inf"))

    def done(self, job, times=1, *, message_id="another"):
        """Let a job have done messages, as settlement and delivery report it."""
        self.counts[job] += times
        self.times[job] = self.clock()
        self.limit.succeeded(message_id)

    def fail(self, message_id, failure):
        """Return for how long the message is hidden; None: it is dead-lettered."""
        return self.limit.hold(message_id, failure)


def a_failure(cause="bad", job="voice"):
    return failure_of(cause, error_class="Permanent", cause=cause, job=job)

"""What readiness and /status say of a running intake: never the contrary of the queue."""

import asyncio
from contextlib import asynccontextmanager

import orjson
import pytest

from tests.intake.doubles import a_failure, a_problem
from tests.support.aws import sdk_client
from tests.support.factories import a_reference_body, a_voice_scored
from worker.app.jobs import load_settings
from worker.app.snapshot import SAMPLE_SECONDS, Sampler
from worker.emulators.sqs.control import ACCESS_DENIED, Refuse
from worker.errors import Misconfigured, Permanent
from worker.events.origin import Result
from worker.intake.assembly import FAILING_SECONDS
from worker.ops.health import Health
from worker.ops.page import document
from worker.ops.status import Status
from worker.resilience.work import Work, waiting_for
from worker.telemetry import metrics


def send(sqs, queue, count=1):
    for _ in range(count):
        sqs.send(queue, a_reference_body(a_voice_scored()).decode())


async def set_visibility(queue, seconds):
    """Change the queue while the worker runs, as an operator does."""
    async with sdk_client("sqs") as sqs:
        await sqs.set_queue_attributes(
            QueueUrl=queue, Attributes={"VisibilityTimeout": str(seconds)}
        )


class Watched:
    """A running intake, and what is said of it."""

    def __init__(self, intake, sampler, upstreams):
        self.intake = intake
        self.sampler = sampler
        self.upstreams = upstreams
        self.health = Health(stall_seconds=3600, checks=sampler.checks())
        self.health.beat()
        self.status = Status(sampler.snapshot, self.health)

    @property
    def reasons(self):
        return self.health.ready()

    def shown(self):
        return orjson.loads(orjson.dumps(document(self.status())))

    async def sample(self):
        await self.intake.parts.queues[0].sample()


@pytest.fixture
def start_watched(start_intake, genesys):
    @asynccontextmanager
    async def start(handler, **overrides):
        found = {}

        async def make(context):
            found["genesys"] = await context.genesys()
            found["context"] = context
            return handler

        urls = {"GENESYS_API_URL": genesys.url, "GENESYS_LOGIN_URL": genesys.url}
        async with start_intake(None, make=make, **urls, **overrides) as intake:
            context = found["context"]
            sampler = Sampler(context.settings)
            sampler.attach(intake.parts, context.upstreams, [found["genesys"]])
            yield Watched(intake, sampler, context.upstreams)

    return start


def of(reasons, check):
    return [reason for reason in reasons if reason.startswith(f"{check}: ")]


@pytest.mark.looptime
async def test_a_healthy_worker_is_ready_and_idle(start_watched, recorder):
    async with start_watched(recorder()) as watched:
        await asyncio.sleep(5)
        await watched.sample()

        assert of(watched.reasons, "queue") == []
        assert watched.shown()["why"] == "Idle: no message has come since the start."
        assert "conversations" in watched.shown()["budget_upstreams"]


@pytest.mark.looptime
async def test_denied_deletes_make_it_not_ready_after_five_seconds_and_name_the_action(
    sqs, queue, start_watched, recorder
):
    sqs.faults.add("DeleteMessageBatch", ACCESS_DENIED)
    send(sqs, queue, 3)

    async with start_watched(recorder()) as watched:
        await asyncio.sleep(FAILING_SECONDS - 1)
        assert of(watched.reasons, "acks") == []
        await asyncio.sleep(20)

        [reason] = of(watched.reasons, "acks")
        assert reason.startswith("acks: events: DeleteMessage fails: AccessDenied")
        assert watched.shown()["why"].startswith(
            "Not moving: DeleteMessage fails with AccessDenied"
        )
        sqs.faults.clear()
        await sqs.wait_until(lambda: sum(sqs.depth(queue)) == 0, 60)
        await asyncio.sleep(1)
        assert of(watched.reasons, "acks") == []


@pytest.mark.looptime
async def test_a_heartbeat_that_is_denied_is_named(sqs, queue, start_watched, recorder):
    sqs.faults.add("ChangeMessageVisibilityBatch", ACCESS_DENIED)
    send(sqs, queue, 1)

    async with start_watched(recorder(lambda: asyncio.sleep(60))) as watched:
        await asyncio.sleep(20)

        [reason] = of(watched.reasons, "acks")
        assert reason.startswith("acks: events: ChangeMessageVisibility")
        sqs.faults.clear()


@pytest.mark.looptime
async def test_receives_that_fail_make_it_not_ready(sqs, start_watched, recorder):
    async with start_watched(recorder()) as watched:
        sqs.faults.add("ReceiveMessage", ACCESS_DENIED)
        await asyncio.sleep(5)

        [reason] = of(watched.reasons, "queue")
        assert reason.startswith("queue: events: ReceiveMessage fails: AccessDenied")
        sqs.faults.clear()
        await asyncio.sleep(30)
        assert of(watched.reasons, "queue") == []


@pytest.mark.looptime
async def test_a_setting_that_is_wrong_is_named_with_its_remedy_until_a_message_succeeds(
    sqs, queue, start_watched
):
    wrong = True

    async def handle(_event):
        if wrong:
            raise Misconfigured("no such action", setting="GENESYS_ACTION_ID", remedy="correct it")
        return Result.OK

    send(sqs, queue, 2)
    async with start_watched(handle) as watched:
        await asyncio.sleep(2)
        assert of(watched.reasons, "jobs") == [
            "jobs: voice: no such action (GENESYS_ACTION_ID): correct it"
        ]
        assert watched.shown()["why"].startswith("Gate closed: voice: no such action; correct it")
        await asyncio.sleep(600)
        wrong = False
        await sqs.wait_until(lambda: sum(sqs.depth(queue)) == 0, 1000)
        await asyncio.sleep(1)

        assert of(watched.reasons, "jobs") == []
        assert sqs.messages(queue) == ()


@pytest.mark.looptime
async def test_a_dead_letter_limit_is_named_with_its_cause(sqs, queue, dead_letters, start_watched):
    async def refuse(_event):
        raise Permanent("detail.score: out of range")

    send(sqs, queue, 8)
    async with start_watched(refuse, SQS_PARK_LIMIT=5) as watched:
        await sqs.wait_until(lambda: sqs.depth(dead_letters).visible == 5, 30)
        await asyncio.sleep(5)

        assert of(watched.reasons, "dead letters") == [
            "dead letters: limit reached for voice: detail.score: out of range; 3 held back"
        ]
        [cause] = watched.shown()["dead_letter_causes"]
        problem = watched.shown()["problems"][0]
        assert f"redrive --fingerprint {cause.pop('fingerprint')}" in problem["remedy"]
        assert [cause] == [
            {
                "reason": "detail.score: out of range",
                "job": "voice",
                "dead_letters": 5,
                "held_back": 3,
            }
        ]


@pytest.mark.looptime
async def test_a_dead_letter_queue_that_refuses_is_named(sqs, queue, start_watched):
    async def refuse(_event):
        raise Permanent("bad")

    sqs.faults.add("SendMessage", ACCESS_DENIED)
    send(sqs, queue, 1)
    async with start_watched(refuse) as watched:
        await asyncio.sleep(5)

        [reason] = of(watched.reasons, "dead letters")
        assert reason.startswith("dead letters: events: cannot be sent: ")
        assert "AccessDenied" in reason


@pytest.mark.looptime
async def test_a_limit_of_bodies_that_cannot_be_read_is_named(start_watched, recorder):
    async with start_watched(recorder()) as watched:
        for number in range(60):
            watched.intake.parts.jobs.limit.hold(f"m{number}", a_failure("not JSON", job=None))

        [reason] = of(watched.reasons, "dead letters")
        assert reason == (
            "dead letters: limit reached for unreadable messages: not JSON; 10 held back"
        )


@pytest.mark.looptime
@pytest.mark.parametrize(("seconds", "ready"), [(299, True), (301, False)])
async def test_a_pause_of_more_than_five_minutes_makes_it_not_ready(
    seconds, ready, start_watched, recorder
):
    async with start_watched(recorder()) as watched:
        watched.upstreams.asked_pauses = lambda: {"crm": (float(seconds), 3000.0)}

        assert (of(watched.reasons, "pause") == []) is ready
        if not ready:
            assert of(watched.reasons, "pause") == ["pause: crm asked for 3000 s, 301 s of it left"]


def test_a_start_that_waits_is_not_ready_and_says_for_what():
    settings = load_settings(
        {
            "SQS_QUEUE_URL": "https://sqs.eu-west-1.amazonaws.com/1/events",
            "STEP_FUNCTIONS_ARN": "arn:aws:states:eu-west-1:1:stateMachine:m",
            "GENESYS_CLIENT_ID": "id",
            "GENESYS_CLIENT_SECRET": "secret",
        }
    )

    async def look():
        sampler = Sampler(settings)
        return sampler.checks()["start"](), sampler.snapshot()

    reason, snapshot = asyncio.run(look())

    assert reason == snapshot.starting == "waiting for SQS to answer for events"


@pytest.mark.looptime
async def test_a_changed_visibility_timeout_of_the_queue_is_taken_over(
    sqs, queue, start_watched, recorder
):
    async with start_watched(recorder()) as watched:
        assert watched.intake.leases.visibility_seconds == 3
        await set_visibility(queue, 120)
        await watched.sample()
        assert watched.intake.leases.visibility_seconds == 120

        await set_visibility(queue, 0)
        await watched.sample()
        assert watched.intake.leases.visibility_seconds == 120  # a lease of nothing is none


@pytest.mark.looptime
async def test_the_operators_own_visibility_timeout_is_kept(sqs, queue, start_watched, recorder):
    async with start_watched(recorder(), SQS_VISIBILITY_SECONDS=60) as watched:
        await set_visibility(queue, 120)
        await watched.sample()

        assert watched.intake.leases.visibility_seconds == 60


@pytest.mark.looptime
async def test_a_queue_with_as_many_in_flight_as_sqs_allows_is_received_from_no_more(
    sqs, queue, start_watched, recorder, monkeypatch
):
    monkeypatch.setattr("worker.intake.assembly.MAX_IN_FLIGHT", 2)
    go = asyncio.Event()
    send(sqs, queue, 2)

    async with start_watched(recorder(go.wait, go.wait)) as watched:
        await sqs.wait_until(lambda: sqs.depth(queue).in_flight == 2, 10)
        await watched.sample()
        await asyncio.sleep(3)
        send(sqs, queue, 5)
        await asyncio.sleep(10)
        assert sqs.depth(queue).visible == 5
        go.set()
        await asyncio.sleep(1)
        await watched.sample()
        await sqs.wait_until(lambda: sum(sqs.depth(queue)) == 0, 30)


@pytest.mark.looptime
async def test_messages_in_flight_are_shown_with_their_stage_and_what_they_wait_for(
    sqs, queue, start_watched, recorder
):
    async def wait():
        with waiting_for("budget", asyncio.get_running_loop().time):
            await asyncio.sleep(30)

    send(sqs, queue, 1)
    async with start_watched(recorder(wait)) as watched:
        await asyncio.sleep(10)
        [shown] = watched.shown()["queues"][0]["oldest"]

        assert (shown["jobs"], shown["phase"]) == (["voice"], "working, waits for budget")
        assert 8 < shown["seconds"] <= 10


@pytest.mark.looptime
async def test_a_message_at_the_gate_is_shown_with_the_seconds_it_is_there(
    sqs, queue, start_watched, recorder
):
    go = asyncio.Event()
    send(sqs, queue, 1)

    async with start_watched(recorder(go.wait)) as watched:
        await sqs.wait_until(lambda: sqs.depth(queue).in_flight == 1, 10)
        await asyncio.sleep(1.3)  # into a poll
        job = watched.intake.parts.delivery.jobs["voice"]
        job._probe_at, job.problem = asyncio.get_running_loop().time() + 3600, a_problem()
        job._problem_pause = 3600
        await asyncio.sleep(0.26)  # the ticker sees it, and the poll under way brings the next
        send(sqs, queue, 1)
        await asyncio.sleep(20)
        phases = {one["phase"]: one["seconds"] for one in watched.shown()["queues"][0]["oldest"]}
        job.problem = None
        go.set()
        await sqs.wait_until(lambda: sum(sqs.depth(queue)) == 0, 30)

    assert 18 <= phases["gate"] <= 20
    assert phases["working"] > 20


@pytest.mark.looptime
async def test_a_message_that_runs_alone_is_what_every_queue_waits_for(start_watched, recorder):
    async with start_watched(recorder()) as watched:
        watched.intake.parts.delivery.quarantine.exclusive = True
        shown = watched.shown()
        watched.intake.parts.delivery.quarantine.exclusive = False

    assert shown["why"] == "Quarantine: a message that killed the process twice runs alone."


@pytest.mark.looptime
async def test_a_sample_that_fails_costs_nothing_but_itself(sqs, start_watched, recorder):
    async with start_watched(recorder()) as watched:
        sqs.faults.add("GetQueueAttributes", Refuse(status=503, shape="ServiceUnavailable"))
        running = asyncio.create_task(watched.sampler.run())
        await asyncio.sleep(5 * SAMPLE_SECONDS)
        assert not running.done()
        sqs.faults.clear()
        await asyncio.sleep(2 * SAMPLE_SECONDS)
        assert watched.shown()["queues"][0]["visible"] == 0
        running.cancel()
        await asyncio.wait([running])


@pytest.mark.looptime
async def test_a_message_that_two_jobs_run_uses_one_permit(sqs, queue, start_watched, recorder):
    go = asyncio.Event()
    send(sqs, queue, 1)

    async with start_watched(recorder(go.wait)) as watched:
        running = watched.intake.parts.delivery.running
        while not running:  # noqa: ASYNC110  virtual time
            await asyncio.sleep(0.05)
        [lease] = running.values()
        watched.intake.consumer.gate.overfull = True  # so that no poll has permits
        await asyncio.sleep(5)
        second = Work(lease.message.id, "workflow")
        running[second] = lease
        shown = watched.sampler.snapshot()
        del running[second]
        watched.intake.consumer.gate.overfull = False
        go.set()
        await sqs.wait_until(lambda: sum(sqs.depth(queue)) == 0, 30)

    assert (shown.in_flight, shown.permits_used) == (1, 1)


def useful():
    [family] = metrics.replicas_useful.collect()
    return family.samples[0].value


@pytest.mark.looptime
async def test_messages_that_wait_for_the_shared_budget_make_no_replica_more_useful(
    sqs, queue, start_watched, recorder
):
    limiter = None

    async def ask():
        with waiting_for("budget", asyncio.get_running_loop().time):
            await limiter.acquire(max_wait=3600)

    send(sqs, queue, 60)
    shared = {"GENESYS_FLEET_REQUESTS_PER_MINUTE": 300, "BUDGET_TABLE": "budget"}
    async with start_watched(recorder(*[ask] * 60), **shared) as watched:
        limiter = watched.sampler._built.genesys[0].limiter
        watching = asyncio.create_task(watched.sampler.run())
        await asyncio.sleep(1)
        assert useful() == 0
        # The table does not answer: a tenth of the budget is used, and the rest waits.
        await asyncio.sleep(100)
        watching.cancel()

        assert sum(sqs.depth(queue)) > 0
        assert useful() == 2

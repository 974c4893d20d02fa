"""The gate of a queue: what may pass, who probes, and that no wake-up is ever lost."""

import asyncio

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.intake.doubles import (
    BLOCKED,
    DOWN,
    Clock,
    FakeUpstreams,
    NoLimit,
    a_job,
    a_lease,
    a_problem,
    a_source,
    about,
    do_one,
)
from tests.support.factories import an_id
from worker.intake.gate import CHECK_SECONDS, FAILED_PROBES, MOST_WAITING_TO_PROBE, Gate
from worker.intake.job_state import RECENT_SUCCESS_SECONDS
from worker.intake.outcome import DONE, Retry, failure_of
from worker.telemetry.metrics import REGISTRY

OWN = Retry(failure_of("own", error_class="Unavailable", cause="own"))


async def turn(times=10):
    """Let all tasks run until they wait."""
    for _ in range(times):
        await asyncio.sleep(0)


def paused(queue):
    return REGISTRY.get_sample_value("worker_paused", {"queue": queue})


def test_the_gauge_of_a_queue_is_there_before_its_gate_changes():
    """An alert or a panel of a series that is not there shows nothing, and not 0."""
    upstreams = FakeUpstreams(up="closed")
    gate = Gate("of-the-gauge", [a_job(needs=["up"], upstreams=upstreams)])
    assert paused("of-the-gauge") == 0

    upstreams.states["up"] = "open"
    gate.check()

    assert paused("of-the-gauge") == 1


# JobState


def test_a_job_is_open_while_what_it_needs_is_ok():
    job = a_job(needs=["crm", "login"], upstreams=FakeUpstreams(speech="open"))

    assert job.check() == "open"


@pytest.mark.parametrize(
    ("states", "state"),
    [
        ({"crm": "open"}, "closed"),
        ({"crm": "half_open"}, "half_open"),
        ({"crm": "half_open", "login": "open"}, "closed"),
        ({"crm": "half_open", "login": "half_open"}, "half_open"),
    ],
)
def test_the_worst_of_what_a_job_needs_decides(states, state):
    job = a_job(needs=["crm", "login"], upstreams=FakeUpstreams(**states))

    assert job.check() == state


def test_a_job_says_which_upstream_it_waits_for():
    job = a_job(needs=["crm"], upstreams=FakeUpstreams(crm="open"))
    job.check()

    assert job.reason == "crm is open"


@pytest.mark.parametrize("state", ["open", "half_open"])
def test_an_upstream_that_may_be_missing_closes_no_job(state):
    job = a_job(
        needs=["dynamodb"], may_miss=["data_action"], upstreams=FakeUpstreams(data_action=state)
    )

    assert job.check() == "open"
    assert job.is_down()


def test_refused_credentials_of_an_upstream_that_may_be_missing_close_no_job():
    """Remembered customers and degraded records go on; what cannot, finds out by itself."""
    upstreams = FakeUpstreams()
    upstreams.problems["login"] = a_problem("GENESYS_CLIENT_SECRET")
    job = a_job(needs=["dynamodb"], may_miss=["login"], upstreams=upstreams)

    assert job.check() == "open"
    assert job.known_problem().setting == "GENESYS_CLIENT_SECRET"


def test_a_problem_that_an_upstream_knows_of_closes_the_job_without_a_message():
    upstreams = FakeUpstreams()
    upstreams.problems["login"] = a_problem("GENESYS_CLIENT_SECRET")
    job = a_job(needs=["login"], upstreams=upstreams)

    assert job.check() == "closed"
    assert job.reason == "there is no such action; correct GENESYS_CLIENT_SECRET"
    upstreams.problems.clear()
    assert job.check() == "open"


def test_a_message_that_meets_what_an_upstream_knows_leaves_nothing_behind():
    upstreams = FakeUpstreams()
    upstreams.problems["login"] = a_problem("GENESYS_CLIENT_SECRET")
    job = a_job(needs=["login"], upstreams=upstreams)
    job.misconfigured(a_problem("GENESYS_CLIENT_SECRET"), an_id())
    upstreams.problems.clear()

    assert (job.check(), job.known_problem()) == ("open", None)


def test_a_configuration_problem_is_probed_after_five_ten_and_at_most_thirty_seconds():
    clock = Clock()
    job = a_job(clock=clock)

    for pause in (5, 10, 20, 30, 30):
        job.misconfigured(a_problem(), an_id())
        assert job.check() == "closed"
        clock.now += pause - 0.1
        assert job.check() == "closed"
        clock.now += 0.2
        assert job.check() == "half_open"


def test_messages_that_met_a_problem_together_lengthen_no_pause():
    clock = Clock()
    job = a_job(clock=clock)
    for _ in range(64):
        job.misconfigured(a_problem(), an_id())

    clock.now += 5.1

    assert job.check() == "half_open"


def test_all_problems_are_named_that_were_met_since_a_message_was_done_last():
    job = a_job()
    for setting in ("GENESYS_ACTION_ID", "GENESYS_FLOW_ID", "GENESYS_ACTION_ID"):
        job.misconfigured(a_problem(setting), an_id())

    named = [one.setting for one in job.known_problems()]
    do_one(job)

    assert named == ["GENESYS_ACTION_ID", "GENESYS_FLOW_ID"]
    assert job.known_problems() == ()


def test_the_problem_is_over_with_the_first_message_that_is_done():
    clock = Clock()
    job = a_job(clock=clock)
    job.misconfigured(a_problem(), an_id())
    job.misconfigured(a_problem(), an_id())
    clock.now += 40

    do_one(job)

    assert (job.check(), job.problem) == ("open", None)
    clock.now += RECENT_SUCCESS_SECONDS + 1
    job.misconfigured(a_problem(), an_id())
    clock.now += 5.1
    assert job.check() == "half_open"  # and the pauses begin anew


def test_one_message_that_meets_a_problem_stops_no_job_that_succeeds():
    clock = Clock()
    job = a_job(clock=clock)
    do_one(job)
    clock.now += RECENT_SUCCESS_SECONDS - 1

    job.misconfigured(a_problem(), an_id())

    assert job.check() == "open"
    clock.now += 2
    job.misconfigured(a_problem(), an_id())
    assert job.check() == "closed"


def test_a_dead_letter_limit_closes_its_job_until_one_message_may_try():
    clock, limit = Clock(), NoLimit()
    job = a_job(limit=limit, clock=clock)
    limit.held["voice"] = (clock.now + 5, "dead-letter limit reached for: bad")

    assert job.check() == "closed"
    clock.now += 5
    assert (job.check(), job.reason) == ("half_open", "dead-letter limit reached for: bad")
    limit.held.clear()
    assert job.check() == "open"


# Gate


class Scene:
    """A gate over one job that needs `crm`, and messages that wait there."""

    def __init__(self, state="open", *, jobs=("voice",)):
        self.upstreams = FakeUpstreams(**{f"{job}_up": "closed" for job in jobs})
        loop = asyncio.get_running_loop()
        self.jobs = {
            job: a_job(job, needs=[f"{job}_up"], upstreams=self.upstreams, clock=loop.time)
            for job in jobs
        }
        self.gate = Gate("events", list(self.jobs.values()))
        self.source = a_source(jobs=jobs)
        self.entered = {}
        self.set(state)

    def set(self, state, *jobs):
        """Let the gate, or only some jobs, be closed, half-open or open."""
        breaker = {"open": "closed", "half_open": "half_open", "closed": "open"}[state]
        for job in jobs or self.jobs:
            self.upstreams.states[f"{job}_up"] = breaker
        self.gate.check()

    async def arrive(self, *, failed=0, jobs=("voice",)):
        """Let a message wait at the gate."""
        lease = a_lease(jobs=jobs, source=self.source)
        lease.failed_probes = failed
        self.entered[lease] = asyncio.create_task(self.gate.enter(lease))
        await turn()
        return lease

    def passed(self, lease):
        return self.entered[lease].done()

    async def end(self):
        for task in self.entered.values():
            task.cancel()
        await asyncio.wait(self.entered.values())


@pytest.fixture
async def scene():
    scene = Scene()
    yield scene
    if scene.entered:
        await scene.end()


@pytest.fixture
async def mixed():
    scene = Scene(jobs=("voice", "workflow"))
    yield scene
    if scene.entered:
        await scene.end()


async def test_all_pass_as_soon_as_the_gate_opens(scene):
    scene.set("closed")
    leases = [await scene.arrive() for _ in range(5)]
    assert not any(map(scene.passed, leases))

    scene.set("open")
    await turn()

    assert all(map(scene.passed, leases))
    assert not any(lease.probe for lease in leases)
    assert scene.gate.waiting == 0


async def test_a_message_that_comes_when_the_gate_has_opened_unnoticed_passes(scene):
    scene.set("closed")
    scene.upstreams.states["voice_up"] = "closed"  # well again, and no one has checked

    assert scene.passed(await scene.arrive())


async def test_half_open_one_passes_the_one_that_failed_least_then_the_first_to_come(scene):
    scene.set("closed")
    weak = await scene.arrive(failed=1)
    first, second = await scene.arrive(), await scene.arrive()

    scene.set("half_open")
    await turn()

    assert [scene.passed(lease) for lease in (weak, first, second)] == [False, True, False]
    assert first.probe


async def test_the_next_probes_when_the_first_has_come_to_its_end(scene):
    scene.set("closed")
    first, second = await scene.arrive(), await scene.arrive()
    scene.set("half_open")
    await turn()

    assert not scene.gate.keeps(first, DONE)
    scene.gate.check()
    await turn()

    assert (first.probe, second.probe) == (False, True)


@pytest.mark.parametrize("ending", ["outcome", "leave", "cancelled while it was woken"])
async def test_the_place_of_the_probe_is_free_however_it_ends(ending, scene):
    scene.set("closed")
    probe, other = await scene.arrive(), await scene.arrive()
    scene.set("half_open")
    if ending == "cancelled while it was woken":
        scene.entered[probe].cancel()  # it was chosen, and has not taken a step since
    await turn()
    if ending == "leave":
        scene.gate.leave(probe)
    elif ending == "outcome":
        scene.gate.keeps(probe, OWN)

    scene.gate.check()
    await turn()

    assert other.probe


async def test_one_that_was_cancelled_while_it_waited_is_not_chosen(scene):
    scene.set("closed")
    gone, other = await scene.arrive(), await scene.arrive()
    scene.entered[gone].cancel()
    await turn()

    scene.set("half_open")
    await turn()

    assert scene.gate.waiting == 0
    assert other.probe


async def test_when_all_in_flight_have_failed_one_more_is_received_first(scene):
    scene.set("closed")
    failed = await scene.arrive(failed=1)
    scene.set("half_open")
    await turn()
    assert not scene.passed(failed)

    assert await scene.gate.until_receiving() == "one"
    scene.gate.received_one(1)
    fresh = await scene.arrive()

    assert fresh.probe
    assert not scene.passed(failed)


async def test_when_there_is_none_to_receive_one_that_failed_goes(scene):
    scene.set("closed")
    failed = await scene.arrive(failed=2)
    scene.set("half_open")
    await scene.gate.until_receiving()

    scene.gate.received_one(0)
    scene.gate.check()
    await turn()

    assert failed.probe


async def test_with_ten_in_flight_none_is_received_and_the_best_of_them_goes(scene):
    scene.set("closed")
    leases = [await scene.arrive(failed=2) for _ in range(MOST_WAITING_TO_PROBE - 1)]
    best = await scene.arrive(failed=1)

    scene.set("half_open")
    await turn()

    assert best.probe
    assert not any(map(scene.passed, leases))


async def test_one_that_never_failed_is_not_held_up_by_a_fresh_receive(scene):
    scene.set("closed")
    lease = await scene.arrive()

    scene.set("half_open")
    await turn()

    assert lease.probe


@pytest.mark.looptime
async def test_closed_nothing_is_received_half_open_one_open_any_number():
    scene = Scene("closed")
    receiving = asyncio.create_task(scene.gate.until_receiving())
    await asyncio.sleep(60)
    assert not receiving.done()

    scene.upstreams.states["voice_up"] = "half_open"
    began = asyncio.get_running_loop().time()
    assert await receiving == "one"
    assert asyncio.get_running_loop().time() - began <= CHECK_SECONDS

    second = asyncio.create_task(scene.gate.until_receiving())
    await asyncio.sleep(60)
    assert not second.done()  # one at a time
    scene.set("open")
    assert await second == "freely"


@pytest.mark.looptime
async def test_an_overfull_queue_is_not_received_from_though_its_gate_is_open():
    scene = Scene()
    scene.gate.overfull = True
    receiving = asyncio.create_task(scene.gate.until_receiving())
    await asyncio.sleep(60)
    assert not receiving.done()

    scene.gate.overfull = False

    assert await asyncio.wait_for(receiving, 1) == "freely"


@pytest.mark.looptime
@pytest.mark.parametrize("state", ["open", "half_open", "closed"])
async def test_a_stopped_gate_lets_nothing_be_received_in_any_state(state):
    scene = Scene(state)
    scene.gate.overfull = True
    receiving = asyncio.create_task(scene.gate.until_receiving())
    await asyncio.sleep(0)

    scene.gate.stop()

    async with asyncio.timeout(CHECK_SECONDS):
        assert await receiving in ("stopped", "one")
    assert await scene.gate.until_receiving() == "stopped"


async def test_a_blocked_message_stays_in_flight_while_its_gate_is_not_open(scene):
    scene.set("closed")

    assert scene.gate.keeps(await scene.arrive(), BLOCKED)


async def test_an_open_gate_keeps_nothing(scene):
    lease = await scene.arrive()

    assert not any(scene.gate.keeps(lease, outcome) for outcome in (BLOCKED, DOWN, OWN, DONE))


async def test_a_failure_of_its_own_goes_back_to_the_queue_from_a_closed_gate(scene):
    scene.set("closed")

    assert not scene.gate.keeps(await scene.arrive(), OWN)


async def test_after_three_failed_probes_a_message_goes_back_if_others_can_take_over(scene):
    scene.set("closed")
    await scene.arrive()
    lease = a_lease(jobs=("voice",), source=scene.source)
    kept = []
    for _ in range(FAILED_PROBES):
        lease.probe = True
        kept.append(scene.gate.keeps(lease, DOWN))

    assert kept == [True] * (FAILED_PROBES - 1) + [False]


async def test_the_only_message_in_flight_goes_on_probing(scene):
    scene.set("closed")
    lease = a_lease(jobs=("voice",), source=scene.source)
    for _ in range(FAILED_PROBES + 5):
        lease.probe = True
        assert scene.gate.keeps(lease, DOWN)


# a queue of several jobs


async def test_the_gate_of_two_jobs_is_open_while_one_of_them_can_succeed(mixed):
    mixed.set("closed", "voice")

    assert mixed.gate.state == "open"


async def test_a_gate_of_two_closed_jobs_says_why_of_each(mixed):
    mixed.set("closed")

    assert mixed.gate.state == "closed"
    assert mixed.gate.reason == "voice: voice_up is open; workflow: workflow_up is open"


async def test_a_message_of_a_job_that_is_shut_does_not_probe_for_the_other(mixed):
    mixed.set("closed")
    shut = await mixed.arrive(jobs=("voice",))
    able = await mixed.arrive(jobs=("workflow",))

    mixed.set("half_open", "workflow")
    await turn()

    assert (mixed.passed(shut), able.probe) == (False, True)


async def test_while_only_the_shut_job_has_messages_in_flight_one_of_the_other_is_received(mixed):
    mixed.set("closed")
    await mixed.arrive(jobs=("voice",))

    mixed.set("half_open", "workflow")

    assert await mixed.gate.until_receiving() == "one"


async def test_a_message_that_was_not_opened_yet_may_probe_for_any(mixed):
    mixed.set("closed")
    unknown = await mixed.arrive(jobs=())

    mixed.set("half_open", "workflow")
    await turn()

    assert unknown.probe


async def test_the_backlog_of_a_shut_job_is_not_piled_up_in_search_of_the_other(mixed):
    """Each receive may bring one more of the shut job: none of them stays, they are hidden."""
    mixed.set("closed")
    mixed.set("half_open", "workflow")
    kept = 0
    for _ in range(100):
        assert await mixed.gate.until_receiving() == "one"
        mixed.gate.received_one(1)
        lease = await mixed.arrive(jobs=())
        assert lease.probe
        lease.about = about("voice")
        if mixed.gate.keeps(lease, BLOCKED):
            kept += 1
            mixed.entered[lease] = asyncio.create_task(mixed.gate.enter(lease))
            await turn()

    assert kept == 0


async def test_at_a_gate_that_is_all_closed_every_message_in_flight_stays(mixed):
    mixed.set("closed")
    for _ in range(MOST_WAITING_TO_PROBE + 5):
        await mixed.arrive(jobs=("voice",))

    assert mixed.gate.keeps(a_lease(jobs=("voice",), source=mixed.source), BLOCKED)


class GateMachine(RuleBasedStateMachine):
    """Upstreams change, messages come, end and are cancelled, polls bring something or nothing."""

    JOBS = ("voice", "workflow")

    def __init__(self):
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.run(self._build())

    def run(self, work):
        return self.loop.run_until_complete(work)

    async def _build(self):
        self.scene = Scene(jobs=self.JOBS)
        self.gate = self.scene.gate
        self.poller = None
        self.receiving = False
        self.working = []
        self._poll()

    def _poll(self):
        self.poller = asyncio.create_task(self.gate.until_receiving())

    async def _step(self):
        for _ in range(3):
            await self._tick()

    async def _tick(self):
        """What the ticker and a poller do, all the time."""
        self.gate.check()
        await turn()
        if self.poller is not None and self.poller.done():
            if self.poller.result() == "one":
                self.receiving, self.poller = True, None
            else:
                self._poll()
        for lease, task in list(self.scene.entered.items()):
            if task.done():
                del self.scene.entered[lease]
                if not task.cancelled():
                    self.working.append(lease)
        self.gate.check()
        await turn()

    @rule(job=st.sampled_from(JOBS), state=st.sampled_from(["open", "half_open", "closed"]))
    def upstream_changes(self, job, state):
        breaker = {"open": "closed", "half_open": "half_open", "closed": "open"}[state]
        self.scene.upstreams.states[f"{job}_up"] = breaker
        self.run(self._step())

    @rule(job=st.sampled_from([(), ("voice",), ("workflow",)]), failed=st.integers(0, 2))
    def message_arrives(self, job, failed):
        self.run(self.scene.arrive(failed=failed, jobs=job))
        self.run(self._step())

    @precondition(lambda self: self.receiving)
    @rule(messages=st.integers(0, 1), job=st.sampled_from([(), ("voice",)]))
    def receive_ends(self, messages, job):
        async def end():
            self.receiving = False
            self.gate.received_one(messages)
            if messages:
                await self.scene.arrive(jobs=job)
            self._poll()
            await self._step()

        self.run(end())

    @precondition(lambda self: self.working)
    @rule(data=st.data(), outcome=st.sampled_from([DONE, DOWN, OWN, BLOCKED]))
    def run_ends(self, data, outcome):
        lease = data.draw(st.sampled_from(self.working))
        self.working.remove(lease)

        async def end():
            lease.about = lease.about or about("workflow")
            if self.gate.keeps(lease, outcome):
                self.scene.entered[lease] = asyncio.create_task(self.gate.enter(lease))
            self.gate.leave(lease)
            await self._step()

        self.run(end())

    @precondition(lambda self: self.scene.entered)
    @rule(data=st.data(), chosen=st.booleans())
    def message_is_cancelled(self, data, chosen):
        lease = data.draw(st.sampled_from(list(self.scene.entered)))

        async def cancel():
            if chosen:  # in the same turn in which it may be chosen
                self.gate.check()
            self.scene.entered[lease].cancel()
            await self._step()

        self.run(cancel())

    @invariant()
    def an_open_gate_has_no_waiter(self):
        if self.gate.state == "open":
            assert self.gate.waiting == 0

    @invariant()
    def at_most_one_probes(self):
        probing = [lease for lease in self.working if lease.probe]
        assert len(probing) <= 1

    @invariant()
    def one_finds_out_at_a_half_open_gate(self):
        if self.gate.state == "half_open":
            probing = any(lease.probe for lease in self.working)
            assert probing or self.receiving

    @invariant()
    def nothing_passes_a_closed_gate(self):
        if self.gate.state == "closed" and self.poller is not None:
            assert not self.poller.done()

    def teardown(self):
        async def end():
            tasks = [*self.scene.entered.values(), *([self.poller] if self.poller else [])]
            for task in tasks:
                task.cancel()
            if tasks:
                await asyncio.wait(tasks)

        self.run(end())
        self.loop.close()


TestGateMachine = GateMachine.TestCase
TestGateMachine.settings = settings(stateful_step_count=40)

"""The guard: order of deadline, retry, breaker, limiter and call."""

import asyncio
from random import Random
from typing import Any

import pytest
from structlog.testing import capture_logs

from worker.errors import (
    BreakerOpen,
    ConfigurationError,
    LeaseLost,
    Misconfigured,
    NotYet,
    Permanent,
    RateLimited,
    Rejected,
    RequestTooLarge,
    Unauthorized,
    Unavailable,
    Unreadable,
    WorkerError,
)
from worker.resilience.breaker import Breaker, BreakerPolicy
from worker.resilience.guard import Guard, GuardPolicy, best_effort
from worker.resilience.limiter import Limiter
from worker.resilience.retry import RetryBudget, RetryPolicy
from worker.resilience.work import Work, begin
from worker.telemetry import metrics

pytestmark = [pytest.mark.asyncio, pytest.mark.looptime]

DOWN = Unavailable("503")


def now():
    return asyncio.get_running_loop().time()


class Upstream:
    """Answers by its script, whose last line repeats; remembers when it was called."""

    def __init__(self, *script, seconds=0.0):
        self.script = list(script)
        self.seconds = seconds
        self.at = []

    async def __call__(self):
        self.at.append(now())
        answer = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        await asyncio.sleep(3600 if answer == "hang" else self.seconds)
        if isinstance(answer, WorkerError):
            answer.upstream = None  # as a new one
        if isinstance(answer, BaseException):
            raise answer
        return answer


def on_behalf(call, **over):
    """Make a call as part of a message's work; return its task."""

    async def working():
        begin(Work(**{"message_id": "m", "job": "voice"} | over))
        return await call

    return asyncio.create_task(working())


class Rig:
    def __init__(self, upstream="guarded", *, per_minute=None, deadline=25.0, attempts=3, **over):
        clock, random = asyncio.get_running_loop().time, Random(2)
        self.breaker = Breaker(upstream, BreakerPolicy(**over), clock=clock, random=random)
        self.limiter: Any = Limiter(upstream, per_minute=per_minute) if per_minute else None
        retries = RetryPolicy(attempts=attempts, base_seconds=0.5, cap_seconds=4)
        self.guard = Guard(
            GuardPolicy(retries=retries, deadline_seconds=deadline),
            breaker=self.breaker,
            limiter=self.limiter,
            random=random,
        )
        self.call = self.guard.call

    async def open(self):
        while self.breaker.state == "closed":
            with pytest.raises(Unavailable):
                await self.call(Upstream(DOWN), repeatable=False)


def results(upstream):
    return {
        sample.labels["result"]: sample.value
        for metric in metrics.dependency_requests.collect()
        for sample in metric.samples
        if sample.labels.get("dependency") == upstream and sample.name.endswith("_total")
    }


def sample(name, upstream):
    return metrics.REGISTRY.get_sample_value(name, {"dependency": upstream})


# ── retries ────────────────────────────────────────────────────────────────────────────────────
async def test_unavailable_call_is_repeated_until_it_succeeds():
    upstream = Upstream(DOWN, DOWN, "ok")

    assert await Rig().call(upstream) == "ok"

    assert len(upstream.at) == 3
    assert now() <= 0.5 + 1


async def test_last_failure_is_raised_after_all_attempts():
    upstream = Upstream(DOWN)

    with pytest.raises(Unavailable):
        await Rig(attempts=3).call(upstream)

    assert len(upstream.at) == 3


async def test_unrepeatable_call_is_not_repeated_when_it_may_have_had_its_effect():
    upstream = Upstream(DOWN, "ok")

    with pytest.raises(Unavailable):
        await Rig().call(upstream, repeatable=False)

    assert len(upstream.at) == 1


async def test_unrepeatable_call_is_repeated_when_it_was_refused_for_its_rate():
    upstream = Upstream(RateLimited("429", retry_after=1), "ok")

    assert await Rig().call(upstream, repeatable=False) == "ok"


@pytest.mark.parametrize(
    "error",
    [
        Rejected("404", status=404),
        Permanent("bad"),
        NotYet("soon", retry_after=1),
        Unauthorized("401"),
        BreakerOpen("inner", retry_after=1),
        ValueError("bug"),
    ],
)
async def test_failure_that_a_repetition_cannot_fix_is_raised_at_once(error):
    upstream = Upstream(error)

    with pytest.raises(type(error)):
        await Rig().call(upstream)

    assert len(upstream.at) == 1


async def test_retry_after_is_waited_out_before_the_next_attempt():
    upstream = Upstream(RateLimited("429", retry_after=7), "ok")

    assert await Rig().call(upstream) == "ok"

    assert upstream.at[1] >= 7


async def test_retry_after_of_an_unavailable_upstream_is_waited_out_too():
    upstream = Upstream(Unavailable("503", retry_after=7), "ok")

    assert await Rig().call(upstream) == "ok"

    assert upstream.at[1] >= 7


@pytest.mark.parametrize(("asked", "reported"), [(600, 600), (86400, 900)])
async def test_retry_after_past_the_deadline_is_raised_at_once_up_to_the_cap(asked, reported):
    with pytest.raises(RateLimited) as raised:
        await Rig().call(Upstream(RateLimited("429", retry_after=asked)))

    assert now() == 0
    assert raised.value.retry_after == reported


async def test_retries_stop_when_their_budget_is_exhausted():
    rig = Rig(min_calls=1000)
    upstream = Upstream(DOWN)

    for _ in range(20):
        with pytest.raises(Unavailable):
            await rig.call(upstream)

    trickle = now() * RetryBudget.FLOOR_PER_SECOND
    assert len(upstream.at) - 20 <= RetryBudget.CAPACITY + trickle


async def test_successes_pay_for_later_retries():
    rig = Rig(min_calls=1000)
    while rig.guard._budget.spend():
        pass

    for _ in range(11):
        await rig.call(Upstream("ok"))

    assert await rig.call(Upstream(DOWN, "ok")) == "ok"


# ── deadline ───────────────────────────────────────────────────────────────────────────────────
async def test_call_that_hangs_ends_at_the_deadline_as_unavailable():
    with pytest.raises(Unavailable, match="deadline"):
        await Rig(deadline=10).call(Upstream("late", seconds=3600))

    assert now() == pytest.approx(10)


async def test_deadline_covers_all_attempts_together():
    upstream = Upstream(DOWN, DOWN, "hang", seconds=3)

    with pytest.raises(Unavailable, match="deadline"):
        await Rig(deadline=10).call(upstream)

    assert now() == pytest.approx(10)


async def test_deadline_counts_as_a_failure_for_the_breaker():
    rig = Rig(deadline=1, min_calls=3)

    for _ in range(3):
        with pytest.raises(Unavailable):
            await rig.call(Upstream("late", seconds=3600))

    assert rig.breaker.state == "open"


async def test_time_out_of_the_call_itself_is_unavailable_and_repeated():
    upstream = Upstream(TimeoutError(), "ok")

    assert await Rig().call(upstream) == "ok"


async def test_a_hundred_cancelled_calls_pass_through_and_leave_the_breaker_closed():
    rig = Rig(min_calls=1)
    calls = [asyncio.create_task(rig.call(Upstream("late", seconds=60))) for _ in range(100)]
    await asyncio.sleep(1)

    for call in calls:
        call.cancel()
    ended = await asyncio.gather(*calls, return_exceptions=True)

    assert {type(end) for end in ended} == {asyncio.CancelledError}
    assert rig.breaker.state == "closed"


# ── breaker ────────────────────────────────────────────────────────────────────────────────────
async def test_open_breaker_refuses_without_a_call_or_a_retry():
    rig = Rig()
    await rig.open()
    upstream = Upstream("ok")

    with pytest.raises(BreakerOpen) as refused:
        await rig.call(upstream)

    assert upstream.at == []
    assert 0 < (refused.value.retry_after or 0) <= 5


async def test_a_hundred_callers_at_half_open_make_one_call():
    rig = Rig()
    await rig.open()
    await asyncio.sleep(rig.breaker.retry_after())
    upstream = Upstream("ok", seconds=1)

    ended = await asyncio.gather(*(rig.call(upstream) for _ in range(100)), return_exceptions=True)

    assert len(upstream.at) == 1
    assert sum(isinstance(end, BreakerOpen) for end in ended) == 99


async def test_cancelled_probe_frees_its_place():
    rig = Rig()
    await rig.open()
    await asyncio.sleep(rig.breaker.retry_after())
    probe = asyncio.create_task(rig.call(Upstream("late", seconds=60)))
    await asyncio.sleep(1)

    probe.cancel()
    await asyncio.gather(probe, return_exceptions=True)

    assert await rig.call(Upstream("ok")) == "ok"


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (Rejected("404", status=404), "closed"),
        (NotYet("soon"), "closed"),
        (Unauthorized("401"), "closed"),
        (Misconfigured("403", setting="X", remedy="y"), "closed"),
        (RequestTooLarge("504"), "half_open"),
        (Unreadable("[]"), "half_open"),
        (RateLimited("429", retry_after=90), "half_open"),
        (ValueError("bug"), "half_open"),
        (Unavailable("503"), "open"),
    ],
)
async def test_probes_are_judged_by_what_they_say_of_the_upstream(error, state):
    rig = Rig()
    await rig.open()
    await asyncio.sleep(rig.breaker.retry_after())

    for _ in range(2):
        with pytest.raises((type(error), BreakerOpen)):
            await rig.call(Upstream(error), repeatable=False)

    assert rig.breaker.state == state


async def test_outage_closes_again_by_itself_once_the_upstream_is_back():
    rig = Rig()
    await rig.open()

    for _ in range(2):
        await asyncio.sleep(rig.breaker.retry_after())
        await rig.call(Upstream("ok"))

    assert rig.breaker.state == "closed"


# ── limiter ────────────────────────────────────────────────────────────────────────────────────
async def test_429_holds_all_other_callers_for_its_time_too():
    rig = Rig(per_minute=240)
    with pytest.raises(RateLimited):
        await rig.call(Upstream(RateLimited("429", retry_after=30)))
    await asyncio.sleep(23)
    upstream = Upstream("ok")

    await asyncio.gather(*(rig.call(upstream) for _ in range(5)))

    assert min(upstream.at) >= 30


async def test_429_without_a_time_holds_all_callers_for_the_first_backoff():
    rig = Rig(per_minute=240)
    with pytest.raises(RateLimited):
        await rig.call(Upstream(RateLimited("429")))
    begin = now()
    upstream = Upstream("ok")

    await rig.call(upstream)

    assert upstream.at[0] - begin >= 0.5


async def test_budget_that_comes_too_late_is_refused_at_once_and_not_repeated():
    rig = Rig(per_minute=240)
    rig.limiter.pause_for(300)
    upstream = Upstream("ok")
    begin = now()

    with pytest.raises(RateLimited) as refused:
        await rig.call(upstream)

    assert (now(), upstream.at) == (begin, [])
    assert refused.value.retry_after == pytest.approx(300)


async def test_wait_for_budget_leaves_time_for_the_call():
    rig = Rig(per_minute=60, deadline=10, min_calls=1)
    upstream = Upstream("ok", seconds=1.9)

    ended = await asyncio.gather(*(rig.call(upstream) for _ in range(30)), return_exceptions=True)

    assert {type(end) for end in ended} == {str, RateLimited}
    assert max(upstream.at) <= 8
    assert rig.breaker.state == "closed"


async def test_own_refusal_does_not_pause_the_budget():
    rig = Rig("own-refusal", per_minute=6)
    await rig.call(Upstream("ok"))
    rig.limiter.pause_for(50)

    for _ in range(3):
        with pytest.raises(RateLimited):
            await rig.call(Upstream("ok"))

    assert sample("worker_ratelimit_throttled_total", "own-refusal") == 1


async def test_background_calls_go_after_live_ones():
    rig = Rig(per_minute=60)
    order = []

    async def call(name):
        order.append(name)

    async with asyncio.TaskGroup() as group:
        for _ in range(5):
            group.create_task(rig.call(lambda: call("burst")))
        group.create_task(rig.call(lambda: call("report"), background=True))
        group.create_task(rig.call(lambda: call("live")))

    assert order[5:] == ["live", "report"]


async def test_call_that_waited_for_budget_is_refused_when_the_breaker_opened_meanwhile():
    rig = Rig(per_minute=60, min_calls=1, failure_ratio=1.0)
    for _ in range(5):
        await rig.limiter.acquire(max_wait=0)
    upstream = Upstream("ok")
    waiting = asyncio.create_task(rig.call(upstream))
    await asyncio.sleep(0.5)
    for _ in range(3):
        rig.breaker.permit().failed()

    with pytest.raises(BreakerOpen):
        await waiting

    assert upstream.at == []
    assert now() == pytest.approx(1)
    await rig.limiter.acquire(max_wait=0)  # its grant was released


async def test_probe_refused_for_its_budget_frees_its_place():
    rig = Rig(per_minute=60)
    await rig.open()
    await asyncio.sleep(rig.breaker.retry_after())
    rig.limiter.pause_for(300)

    for _ in range(3):
        with pytest.raises(RateLimited):
            await rig.call(Upstream("ok"))

    assert rig.breaker.state == "half_open"
    assert rig.breaker.permit()


@pytest.mark.parametrize("error", [RequestTooLarge("504"), Unreadable("[]")])
async def test_fault_of_one_request_opens_no_breaker_however_often_it_is_met(error):
    rig = Rig(min_calls=1)

    for _ in range(50):
        with pytest.raises(type(error)):
            await rig.call(Upstream(error))

    assert rig.breaker.state == "closed"


async def test_what_is_too_large_is_not_asked_for_again_unchanged():
    upstream = Upstream(RequestTooLarge("504"), "ok")

    with pytest.raises(RequestTooLarge):
        await Rig().call(upstream)


async def test_failed_probe_is_reported_as_the_failure_it_was_and_not_as_a_refusal():
    rig = Rig()
    await rig.open()
    await asyncio.sleep(rig.breaker.retry_after())
    upstream = Upstream(DOWN)

    with pytest.raises(Unavailable):
        await on_behalf(rig.call(upstream), probe=True)

    assert len(upstream.at) == 1


# ── on behalf of a message ─────────────────────────────────────────────────────────────────────
async def test_message_waits_in_flight_for_budget_beyond_the_deadline_of_its_call():
    rig = Rig(per_minute=1, deadline=10)
    await rig.call(Upstream("ok"))

    assert await on_behalf(rig.call(Upstream("ok", seconds=9))) == "ok"

    assert now() == pytest.approx(69)


async def test_no_deadline_runs_while_a_message_waits_for_budget():
    rig = Rig(per_minute=1)
    await rig.call(Upstream("ok"))
    work = Work("m", "voice", ends_by=100)

    async def working():
        begin(work)
        await rig.call(Upstream("ok", seconds=1))

    running = asyncio.create_task(working())
    await asyncio.sleep(30)
    while_waiting = work.waiting_for
    await running

    assert while_waiting == "budget"
    assert (work.waiting_for, work.ends_by) == ("", pytest.approx(160))


async def test_message_that_could_not_be_served_in_time_is_refused_at_once():
    rig = Rig(per_minute=1)
    await rig.call(Upstream("ok"))

    with pytest.raises(RateLimited) as refused:
        await on_behalf(rig.call(Upstream("ok")), waits_until=59)

    assert now() == 0
    assert refused.value.retry_after == pytest.approx(60)


async def test_message_waits_in_flight_through_a_pause_that_its_own_call_was_asked_for():
    rig = Rig(per_minute=240)
    upstream = Upstream(RateLimited("429", retry_after=300), "ok")

    assert await on_behalf(rig.call(upstream)) == "ok"

    assert upstream.at == pytest.approx([0, 300])


async def test_wait_for_a_token_holds_up_no_deadline_and_says_so():
    rig, work = Rig(deadline=10), Work("m", "voice", ends_by=20)

    async def working():
        begin(work)
        return await rig.call(Upstream("ok", seconds=9), first=lambda: asyncio.sleep(30))

    running = asyncio.create_task(working())
    await asyncio.sleep(1)
    while_waiting = work.waiting_for

    assert await running == "ok"
    assert (while_waiting, work.waiting_for, work.ends_by) == ("token", "", pytest.approx(50))


async def test_no_budget_is_used_when_the_token_cannot_be_had():
    rig = Rig(per_minute=60)

    async def refused():
        raise Unauthorized("no")

    for _ in range(10):
        with pytest.raises(Unauthorized):
            await rig.call(Upstream("ok"), first=refused)

    assert rig.limiter.exhausted_for() == 0


async def test_failure_of_another_upstream_on_the_way_says_nothing_of_this_one():
    rig, login = Rig(min_calls=1), Rig("login", min_calls=1000, attempts=1)

    for _ in range(20):
        with pytest.raises(Unavailable) as raised:
            await rig.call(lambda: login.call(Upstream(Unavailable("503"))))

    assert rig.breaker.state == "closed"
    assert raised.value.upstream == "login"


async def test_no_attempt_is_made_for_a_message_whose_lease_is_lost():
    rig, upstream = Rig(per_minute=60), Upstream(DOWN, "ok")
    held = iter([True, False])

    with pytest.raises(LeaseLost):
        await on_behalf(rig.call(upstream), holds_lease=lambda: next(held))

    assert len(upstream.at) == 1
    assert rig.breaker.state == "closed"


async def test_lease_is_checked_after_the_wait_for_the_budget_and_its_grant_released():
    rig, upstream = Rig(per_minute=1), Upstream("ok")
    await rig.call(Upstream("ok"))

    with pytest.raises(LeaseLost):
        await on_behalf(rig.call(upstream), holds_lease=lambda: now() < 30)

    assert upstream.at == []
    await rig.limiter.acquire(max_wait=0)


# ── pauses beyond the cap ──────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("per_minute", [None, 240])
async def test_pause_of_a_year_holds_for_the_cap_and_then_one_call_tries(per_minute):
    rig, year = Rig(per_minute=per_minute, attempts=1), 31_536_000
    refusing = Upstream(RateLimited("429", retry_after=year))
    with pytest.raises(RateLimited):
        await rig.call(refusing)
    asked = (rig.limiter or rig.guard).asked_pause()
    await asyncio.sleep(850)
    with pytest.raises(RateLimited):
        await rig.call(Upstream("ok"))
    await asyncio.sleep(50)

    begin_at = now()
    ended = await asyncio.gather(*(rig.call(refusing) for _ in range(50)), return_exceptions=True)

    assert asked == (900, year)
    assert refusing.at == pytest.approx([0, begin_at])
    assert {type(end) for end in ended} == {RateLimited}
    assert max(end.retry_after for end in ended) <= 900


async def test_others_wait_for_what_the_call_that_tries_finds_out():
    rig = Rig(per_minute=240, attempts=1)
    with pytest.raises(RateLimited):
        await rig.call(Upstream(RateLimited("429", retry_after=31_536_000)))
    await asyncio.sleep(900)
    trying, others = Upstream("ok", seconds=10), Upstream("ok")

    first = asyncio.create_task(rig.call(trying))
    await asyncio.sleep(0)
    await asyncio.gather(first, *(on_behalf(rig.call(others)) for _ in range(5)))

    assert min(others.at) >= 910


@pytest.mark.parametrize("per_minute", [None, 240])
async def test_all_go_on_once_the_call_that_tries_is_answered(per_minute):
    rig = Rig(per_minute=per_minute, attempts=1)
    with pytest.raises(RateLimited):
        await rig.call(Upstream(RateLimited("429", retry_after=31_536_000)))
    await asyncio.sleep(900)

    await rig.call(Upstream("ok"))

    assert (rig.limiter or rig.guard).asked_pause() is None
    assert await asyncio.gather(*(rig.call(Upstream("ok")) for _ in range(5))) == ["ok"] * 5


@pytest.mark.parametrize("per_minute", [None, 240])
async def test_another_call_tries_when_the_one_that_did_was_cancelled(per_minute):
    rig = Rig(per_minute=per_minute, attempts=1)
    with pytest.raises(RateLimited):
        await rig.call(Upstream(RateLimited("429", retry_after=31_536_000)))
    await asyncio.sleep(900)
    trying = asyncio.create_task(rig.call(Upstream("late", seconds=20)))
    await asyncio.sleep(1)

    trying.cancel()
    await asyncio.gather(trying, return_exceptions=True)

    assert await rig.call(Upstream("ok")) == "ok"


# ── metrics ────────────────────────────────────────────────────────────────────────────────────
async def test_every_attempt_is_counted_by_its_result():
    rig = Rig("counted", attempts=2)
    script = [
        "ok",
        Rejected("404", status=404),
        NotYet("soon"),
        Unauthorized("401"),
        ValueError("bug"),
        RateLimited("429", retry_after=99),
    ]
    for answer in script:
        await asyncio.gather(rig.call(Upstream(answer)), return_exceptions=True)
    await asyncio.sleep(99)
    await rig.call(Upstream(DOWN, "ok"))
    cancelled = asyncio.create_task(rig.call(Upstream("late", seconds=60)))
    await asyncio.sleep(1)
    cancelled.cancel()
    await asyncio.gather(cancelled, return_exceptions=True)
    while rig.breaker.state == "closed":
        rig.breaker.permit().failed()
    await asyncio.gather(rig.call(Upstream("ok")), return_exceptions=True)

    assert results("counted") == {
        "ok": 2,
        "rejected": 1,
        "not_yet": 1,
        "unauthorized": 1,
        "rate_limited": 1,
        "error": 1,
        "unavailable": 1,
        "cancelled": 1,
        "breaker_open": 1,
    }
    assert sample("worker_dependency_retries_total", "counted") == 1
    assert sample("worker_dependency_duration_seconds_count", "counted") == 9
    assert sample("worker_ratelimit_throttled_total", "counted") == 1


async def test_duration_is_that_of_the_call_without_the_wait_for_budget():
    rig = Rig("timed", per_minute=60)
    for _ in range(5):
        await rig.limiter.acquire(max_wait=0)

    await rig.call(Upstream("ok", seconds=2))

    assert now() == pytest.approx(3)
    assert sample("worker_dependency_duration_seconds_sum", "timed") == pytest.approx(2)


# ── best effort ────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    "error",
    [Unavailable("503"), Rejected("no", status=400), ConfigurationError(["x"]), TimeoutError()],
)
async def test_best_effort_lets_a_failure_go_but_counts_and_logs_it(error):
    name = {"effect": "webhook"}
    before = metrics.REGISTRY.get_sample_value("worker_best_effort_failures_total", name) or 0

    with capture_logs() as logs:
        async with best_effort("webhook"):
            raise error

    after = metrics.REGISTRY.get_sample_value("worker_best_effort_failures_total", name)
    assert after == before + 1
    assert [(line["event"], line["effect"]) for line in logs] == [("best_effort_failed", "webhook")]


@pytest.mark.parametrize(
    "error", [asyncio.CancelledError(), ValueError("bug"), KeyboardInterrupt()]
)
async def test_best_effort_lets_cancellation_and_bugs_pass(error):
    with pytest.raises(type(error)):
        async with best_effort("webhook"):
            raise error

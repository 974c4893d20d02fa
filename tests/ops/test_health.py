"""Health: what counts as alive, and what as ready."""

import asyncio

import pytest
from prometheus_client import generate_latest

from worker.ops.health import Health
from worker.telemetry.metrics import REGISTRY


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def a_health(clock=None, **checks):
    return Health(clock=clock or Clock(), stall_seconds=30, checks=checks)


def test_a_process_is_alive_before_its_first_beat():
    assert a_health().live()


def test_a_process_is_dead_when_the_loop_was_silent_too_long():
    clock = Clock()
    health = a_health(clock)
    health.beat()

    clock.now += 30

    assert not health.live()
    assert health.ready() == ["process: event loop stalled"]


def test_a_process_whose_logs_go_nowhere_is_dead():
    problems = ["log sink gone (EPIPE)"]
    health = Health(clock=Clock(), stall_seconds=30, sink=lambda: next(iter(problems), None))
    health.beat()

    assert not health.live()
    assert health.not_live_because() == problems
    assert health.ready() == ["process: log sink gone (EPIPE)"]
    problems.clear()
    assert health.live()


def test_both_reasons_to_be_dead_are_reported():
    clock = Clock()
    health = Health(clock=clock, stall_seconds=30, sink=lambda: "log sink gone")
    clock.now += 30

    assert health.not_live_because() == ["event loop stalled", "log sink gone"]


def test_a_beat_brings_it_back():
    clock = Clock()
    health = a_health(clock)
    clock.now += 31

    health.beat()

    assert health.live()


def test_a_process_is_not_ready_before_its_first_beat():
    assert a_health().ready() == ["process: starting"]


def test_a_started_process_without_problems_is_ready():
    health = a_health(queue=lambda: None)
    health.beat()

    assert health.ready() == []


def test_each_check_with_a_problem_is_a_reason():
    health = a_health(queue=lambda: "AccessDenied", table=lambda: None, token=lambda: "refused")
    health.beat()

    assert health.ready() == ["queue: AccessDenied", "token: refused"]


def test_a_check_that_fails_is_a_reason_and_hides_no_other():
    def broken():
        raise ValueError("+4915112345678")

    health = a_health(queue=broken, token=lambda: "refused")
    health.beat()

    assert health.ready() == ["queue: the check failed (ValueError)", "token: refused"]


def test_a_draining_process_is_alive_but_not_ready():
    health = a_health()
    health.beat()

    health.drain()

    assert health.live()
    assert health.ready() == ["process: draining"]


@pytest.mark.asyncio
@pytest.mark.looptime
async def test_the_running_loop_beats_every_half_second():
    loop = asyncio.get_running_loop()
    health = Health(clock=loop.time, stall_seconds=1, checks={})
    beating = asyncio.create_task(health.run())

    await asyncio.sleep(100)

    assert health.live()
    assert health.ready() == []
    beating.cancel()
    await asyncio.wait([beating])


async def test_a_late_loop_is_measured():
    before = _sum_of_lag()
    beating = asyncio.create_task(Health(stall_seconds=9, checks={}).run())
    await asyncio.sleep(0)

    await _stall(0.8)
    await asyncio.sleep(0.01)

    beating.cancel()
    await asyncio.wait([beating])
    assert _sum_of_lag() - before > 0.2


async def _stall(seconds):
    import time

    time.sleep(seconds)  # noqa: ASYNC251  the loop is blocked on purpose


def _sum_of_lag():
    for line in generate_latest(REGISTRY).decode().splitlines():
        if line.startswith("worker_loop_lag_seconds_sum"):
            return float(line.split()[1])
    return 0.0

"""Scenarios of upstreams that are down or slow."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from tests.simulation.scenario import JOBS, Expect, Fault, Job, Restart, Scenario, Traffic
from tests.simulation.sizes import (
    DOWN,
    QUIET,
    RATES,
    SQS_RECEIVES,
    Size,
    only,
    pair,
)

# Outages.


def _outage(
    name: str,
    minutes: float,
    *,
    blocked: Expect,
    upstream: str = "data_action",
    rates: Mapping[str, float] = RATES,
    tail: float = 2400,
    jobs: Mapping[str, Job] = JOBS,
) -> Scenario:
    end = DOWN + minutes * 60
    others = [
        Expect(job, longest=30)
        for job in rates
        if job in jobs and upstream not in jobs[job].needs and job != blocked.job
    ]
    return Scenario(
        name,
        end + 600 + tail,
        tuple(
            Traffic(job, per_second, end=end + 600)
            for job, per_second in rates.items()
            if job in jobs
        ),
        (blocked, *others),
        faults=(Fault(upstream, DOWN, end),),
        jobs=jobs,
        fault_ends=end,
    )


def outages(size: Size) -> Iterator[Scenario]:
    minutes = 20 if size.full else 5
    tail = 2400 if size.full else 600
    voice = Expect("voice", most_receives=5, receives_once_known=2, back_within=60)
    plain = _outage("outage", minutes, blocked=voice, tail=tail)
    yield plain
    shared = Expect("voice", most_receives=10, back_within=60)
    yield replace(_outage("outage, one queue", minutes, blocked=shared, tail=tail), one_queue=True)
    middle = DOWN + minutes * 20
    yield replace(
        plain,
        name="outage, three processes and a restart",
        replicas=3,
        restarts=(Restart(middle),),
        expect=(replace(voice, most_receives=7, receives_once_known=6), *plain.expect[1:]),
    )
    late = DOWN + minutes * 60 - 50
    yield replace(
        plain,
        name="outage and a kill",
        restarts=(Restart(late, kill=True),),
        expect=(
            replace(voice, receives_once_known=3),
            *(replace(one, longest=90) for one in plain.expect[1:]),
        ),
    )
    long = _outage(
        "outage of eight hours",
        480 if size.full else 40,
        blocked=replace(voice, receives_once_known=4, back_within=90),
        tail=20000 if size.full else 1200,
        jobs=JOBS if size.full else only("voice", "workflow"),
    )
    yield long if size.full else replace(long, settings={"RETRY_HORIZON_SECONDS": "900"})
    workflow = Expect("workflow", most_receives=5, back_within=60)
    yield _outage("analytics down", minutes, blocked=workflow, upstream="analytics", tail=tail)
    quiet = Expect("voice", most_receives=10, back_within=70)
    yield _outage("outage, quiet", 20, blocked=quiet, rates=QUIET, tail=tail, jobs=pair())
    for every, alone in ((5, "workflow"), (7, "attributes"), (10, "voice")):
        yield _quiet_night(every, size, JOBS if size.full else only(alone))


def _quiet_night(minutes: int, size: Size, jobs: Mapping[str, Job]) -> Scenario:
    """Eight hours, too few messages for a breaker: their failures count as their own."""
    end = DOWN + (8 if size.full else 2) * 3600
    every = minutes * 60
    return Scenario(
        f"outage of eight hours, a message per {minutes} minutes",
        end + 3600,
        tuple(Traffic(job, start=10, every=every, count=int(end / every)) for job in jobs),
        tuple(Expect(job, most_receives=SQS_RECEIVES) for job in jobs),
        faults=tuple(Fault(name, DOWN, end) for job in jobs.values() for name in job.needs[:1]),
        jobs=jobs,
        settings={} if size.full else {"RETRY_HORIZON_SECONDS": "5400"},
        fault_ends=end,
    )


# Slow upstreams, and queues beside each other.


def slow(size: Size) -> Iterator[Scenario]:
    duration = 1800 if size.full else 400
    end = DOWN + duration
    rates = {"voice": 1, "workflow": 1, "attributes": 2, "sentiment": 0.5, "reports": 0.01}

    def slow(name: str, seconds: float, longest: float, most_receives: int = 2) -> Scenario:
        return Scenario(
            name,
            end + (2400 if size.full else 1200),
            tuple(Traffic(job, rate, end=end + 300) for job, rate in rates.items()),
            (
                Expect("attributes", longest=longest, most_receives=most_receives),
                Expect("voice", longest=10),
                Expect("workflow", longest=10),
            ),
            faults=(Fault("crm", DOWN, end, seconds),),
            timeout=60,
            fault_ends=end,
            settings={"GENESYS_REQUESTS_PER_MINUTE": "300"},
        )

    yield slow("crm answers after 30 s", 30, 900)
    restarted = slow("crm answers after 9 s, and a restart", 9, 60, 3)
    yield replace(restarted, restarts=(Restart(900 if size.full else 450),))
    yield replace(slow("crm times out", 30, 3000, 6), timeout=10)
    shared = slow("crm answers after 30 s, one queue", 30, 200)
    yield replace(
        shared,
        one_queue=True,
        expect=(shared.expect[0], *(replace(one, longest=60) for one in shared.expect[1:])),
    )


def two_down(size: Size) -> Scenario:
    times = (300, 900, 320, 1500) if size.full else (100, 250, 120, 400)
    return Scenario(
        "crm and conversations down",
        4500 if size.full else 1400,
        tuple(Traffic(job, rate, end=times[3] + 600) for job, rate in RATES.items()),
        (
            Expect("attributes", most_receives=7, back_within=90),
            Expect("voice", longest=10),
            Expect("workflow", longest=10),
        ),
        faults=(Fault("crm", *times[:2]), Fault("conversations", *times[2:])),
        fault_ends=times[3],
    )


# What the table does not have.


def others(size: Size) -> Iterator[Scenario]:
    minutes = 60 if size.full else 10
    tail = 2400 if size.full else 1200
    remembering = {**pair(), "voice": Job(("dynamodb",), may_miss=("data_action",))}
    yield _outage(
        "outage of what a job may miss",
        minutes,
        blocked=Expect("voice", most_receives=12, back_within=60),
        jobs=remembering,
        tail=tail,
    )
    both = {"attributes": Job(("conversations",), may_miss=("crm",)), **only("workflow")}
    two = two_down(size)
    yield replace(
        two,
        name="crm, which may be missing, and conversations down",
        jobs=both,
        traffic=tuple(one for one in two.traffic if one.job in both),
        expect=(replace(two.expect[0], most_receives=12), two.expect[2]),
    )
    yield Scenario(
        "what a job may miss down, then what it needs",
        1500,
        (Traffic("voice", 1, end=900, light=0.5), Traffic("workflow", 0.3, end=900)),
        (Expect("voice", most_receives=12), Expect("workflow", longest=10)),
        faults=(Fault("data_action", 100, 600), Fault("dynamodb", 300, 400)),
        jobs=remembering,
        fault_ends=600,
    )
    last = Expect("workflow", most_receives=16, back_within=90)
    yield replace(
        _outage(
            "analytics down, one queue", minutes, blocked=last, upstream="analytics", tail=tail
        ),
        one_queue=True,
    )
    hours = _outage(
        "outage of six hours, one queue",
        360 if size.full else 60,
        blocked=Expect("voice", most_receives=36 if size.full else 14, back_within=90),
        tail=tail,
        jobs=pair(),
    )
    # When it is over, the backlog of one job is before the others of its queue.
    beside = replace(hours.expect[1], longest=1200)
    yield replace(hours, one_queue=True, expect=(hours.expect[0], beside))
    hour = Expect("voice", most_receives=5, receives_once_known=2, back_within=60)
    yield _outage(
        "outage of an hour", 60 if size.full else 15, blocked=hour, tail=tail, jobs=pair()
    )
    fifo = _outage(
        "outage, fifo",
        20 if size.full else 5,
        blocked=Expect("voice", most_receives=20, back_within=60),
        tail=tail,
        jobs=pair(),
    )
    yield replace(fifo, fifo=True, traffic=tuple(replace(one, groups=30) for one in fifo.traffic))

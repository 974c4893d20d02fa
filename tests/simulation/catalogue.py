"""The scenarios: those of sketches/intake_rules/table.md, then what the real code taught us.

Each is given by its size: `full` has the hours and rates of the table, else as much of them as
shows the rule. Limits are the table's column "proposed", with room for another seed.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

from tests.simulation.play import FAULTY
from tests.simulation.scenario import JOBS, Bug, Expect, Fault, Job, Restart, Scenario, Traffic

RATES = {"voice": 0.3, "workflow": 0.3, "attributes": 0.3, "sentiment": 0.2, "reports": 0.002}
QUIET = {"voice": 0.02, "workflow": 0.02}
FAST = {"GENESYS_REQUESTS_PER_MINUTE": "1200"}
SHORT = {"RETRY_HORIZON_SECONDS": "1800", "RETRY_CAP_SECONDS": "120"}
ENDLESS = {"GENESYS_REQUESTS_PER_MINUTE": "60000"}
DOWN = 300.0
"""When an outage begins."""

BACKOFF_RECEIVES = 45


def scenarios(*, full: bool) -> dict[str, Scenario]:
    """Return all by name."""
    return {one.name: one for one in _all(full)}


def _all(full: bool) -> Iterator[Scenario]:
    yield from _outages(full)
    yield from _bad_messages(full)
    yield from _bad_callers(full)
    yield from _poison(full)
    yield from _deployments(full)
    yield from _budgets(full)
    yield from _slow(full)
    yield from _hot(full)
    yield _two_down(full)
    yield from _others(full)


def _only(*names: str) -> Mapping[str, Job]:
    return {name: JOBS[name] for name in names}


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


def _outages(full: bool) -> Iterator[Scenario]:
    minutes = 20 if full else 5
    tail = 2400 if full else 600
    voice = Expect("voice", most_receives=5, back_within=60)
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
        expect=(replace(voice, most_receives=7), *plain.expect[1:]),
    )
    late = DOWN + minutes * 60 - 50
    yield replace(
        plain,
        name="outage and a kill",
        restarts=(Restart(late, kill=True),),
        expect=(voice, *(replace(one, longest=90) for one in plain.expect[1:])),
    )
    long = _outage(
        "outage of eight hours",
        480 if full else 40,
        blocked=replace(voice, back_within=90),
        tail=20000 if full else 1200,
        jobs=JOBS if full else _only("voice", "workflow"),
    )
    yield long if full else replace(long, settings={"RETRY_HORIZON_SECONDS": "900"})
    workflow = Expect("workflow", most_receives=5, back_within=60)
    yield _outage("analytics down", minutes, blocked=workflow, upstream="analytics", tail=tail)
    quiet = Expect("voice", most_receives=10, back_within=70)
    yield _outage("outage, quiet", 20, blocked=quiet, rates=QUIET, tail=tail, jobs=_pair())


def _pair() -> Mapping[str, Job]:
    return _only("voice", "workflow")


# Messages that fail by themselves, at an upstream that is well.


def _bad(
    name: str,
    full: bool,
    count: int,
    *,
    longest: float,
    median: float = 1.0,
    one_queue: bool = False,
    restarts: tuple[Restart, ...] = (),
    dead: int | None = None,
) -> Scenario:
    until = 3600 if full else 1200
    hours = 6.3 if full else 0.8
    traffic = [
        Traffic("voice", start=1, count=count, every=0.1, fault="data_action"),
        Traffic("voice", 1 / 30, start=60, end=until),
    ]
    expect = [
        Expect("voice", longest=longest, median=median),
        Expect(
            FAULTY,
            dead=count,
            undone=count if dead is None else count - dead,
            most_receives=BACKOFF_RECEIVES,
        ),
    ]
    if one_queue:
        traffic.append(Traffic("workflow", 1 / 30, start=60, end=until))
        expect.append(Expect("workflow", longest=5))
    return Scenario(
        name,
        hours * 3600,
        tuple(traffic),
        tuple(expect),
        restarts=restarts,
        one_queue=one_queue,
        jobs=JOBS if full else _pair() if one_queue else _only("voice"),
        settings={} if full else SHORT,
    )


def _bad_messages(full: bool) -> Iterator[Scenario]:
    for count, longest in ((1, 5), (2, 5), (3, 30)):
        yield _bad(f"{count} bad on a quiet queue", full, count, longest=longest, dead=count)
    # The last one stays in hand as the only probe there is, once no healthy message comes.
    five = 5 if full else None
    yield _bad("5 bad on a quiet queue", full, 5, longest=60, median=5, dead=five)
    yield _bad("20 bad on a quiet queue", full, 20, longest=1200, median=90 if full else 300)
    # On a queue of several jobs a message of a blocked one is hidden for a minute at least.
    yield _bad("2 bad on a quiet queue of all", full, 2, longest=130, one_queue=True, dead=2)
    yield _bad("5 bad on a quiet queue of all", full, 5, longest=130, one_queue=True, dead=5)
    again = (Restart(600),)
    yield _bad("3 bad and a restart", full, 3, longest=30, restarts=again, dead=3)


def _bad_caller(name: str, full: bool, rate: float, seconds: float, longest: float) -> Scenario:
    return Scenario(
        name,
        seconds + (1200 if full else 300),
        (
            Traffic("voice", start=10, count=5, every=1, fault="data_action"),
            Traffic("voice", rate, end=seconds),
        ),
        (
            Expect("voice", longest=longest),
            Expect(FAULTY, undone=5, most_receives=30),
        ),
        settings=FAST,
        jobs=JOBS if full else _pair(),
    )


def _bad_callers(full: bool) -> Iterator[Scenario]:
    hour = 3600 if full else 600
    yield _bad_caller("5 bad callers among 5/s", full, 5, 600 if full else 200, 5)
    often = _bad_caller("5 bad callers among 0.5/s", full, 0.5, hour, 60)
    yield often
    yield _bad_caller("5 bad callers among 0.1/s", full, 0.1, hour, 60)
    yield replace(often, name="5 bad callers among 0.5/s, one queue", one_queue=True)


# Messages that are refused for good, and deployments that refuse all.


def _poison(full: bool) -> Iterator[Scenario]:
    bad = Traffic("voice", count=500, fault="cause 0", faulty=0.8)
    plain = Scenario(
        "400 poisonous and 100 healthy",
        3600 if full else 600,
        (bad, Traffic("voice", start=60, count=20, every=1)),
        (
            Expect("voice", longest=30),
            Expect(FAULTY, dead=75, undone=500, receives_each=8),
        ),
        jobs=JOBS if full else _pair(),
    )
    yield plain
    yield replace(plain, name="400 poisonous and 100 healthy, one queue", one_queue=True)
    again = (plain.expect[0], Expect(FAULTY, dead=130, undone=500, receives_each=8))
    yield replace(plain, name="400 poisonous and a restart", restarts=(Restart(30),), expect=again)
    hours = 2 if full else 0.15
    yield Scenario(
        "a fifth of one cause",
        hours * 3600 + (3600 if full else 300),
        (Traffic("voice", 5, end=hours * 3600, fault="cause odd", faulty=0.2),),
        (
            Expect("voice", longest=10),
            # One for every ten done: that is the limit, not a storm.
            Expect(FAULTY, dead=3200 if full else 320, undone=10_000, receives_each=12),
        ),
        settings=FAST,
        jobs=JOBS if full else _pair(),
    )


def _deployment(
    name: str, full: bool, hours: float, rate: float, *, dead: int, receives: int = 10
) -> Scenario:
    end = 100 + hours * 3600
    return Scenario(
        name,
        end + (3600 if full else 1500),
        (Traffic("voice", rate, end=end + 300), Traffic("workflow", 0.3, end=end + 300)),
        (
            Expect("voice", dead=dead, most_receives=receives, back_within=60),
            Expect("workflow", longest=10),
        ),
        bugs=(Bug("voice", 100, end),),
        restarts=(Restart(end),),
        fault_ends=end,
        settings=FAST,
        jobs=JOBS if full else _pair(),
    )


def _deployments(full: bool) -> Iterator[Scenario]:
    hour = 1 if full else 0.25
    yield _deployment("bad deployment, 0.5/s", full, hour, 0.5 if full else 2, dead=75)
    plain = _deployment("bad deployment, 1/s", full, hour, 1 if full else 3, dead=75)
    yield plain
    yield _deployment("bad deployment, eight hours", full, 8 if full else 1, 1, dead=90)
    yield replace(
        plain,
        name="bad deployment, one queue",
        one_queue=True,
        expect=(
            Expect("voice", dead=75, most_receives=12, back_within=70),
            Expect("workflow", longest=200),
        ),
    )
    times = (1000, 2000, 3000) if full else (300, 500, 700)
    yield replace(
        plain,
        name="bad deployment, three processes and three restarts",
        replicas=3,
        restarts=(*(Restart(at) for at in times), *plain.restarts),
        # Of each of twelve processes.
        expect=(Expect("voice", dead=12 * 75, most_receives=16, back_within=60), plain.expect[1]),
    )


# The request budget.


def _budget(name: str, hours: float, *, drain: float = 0, times: float = 5) -> Scenario:
    end = hours * 3600
    return Scenario(
        name,
        end + drain,
        (
            Traffic("voice", 4 * times - 1, end=end),
            Traffic("attributes", 0.5, end=end),
            Traffic("sentiment", 0.3, end=end),
            Traffic("workflow", 1.0, end=end),
        ),
        (
            Expect("voice", undone=10**6, most_receives=3, done=int(2 * end)),
            # Each restart releases what old processes receive last, and what waits for the budget.
            Expect("workflow", undone=20, median=3, longest=30, most_receives=6),
            Expect("attributes", undone=20, median=4, longest=30, most_receives=6),
            Expect("sentiment", undone=20, median=4, longest=30, most_receives=6),
        ),
    )


def _budgets(full: bool) -> Iterator[Scenario]:
    hour = 1 if full else 0.15
    plain = _budget("five times the budget", hour)
    yield plain
    yield replace(
        plain,
        name="five times the budget, three processes and a restart",
        replicas=3,
        restarts=(Restart(hour * 1800),),
    )
    long = _budget(
        "five times the budget for six hours", 6 if full else 0.15, drain=20_000 if full else 600
    )
    blip = Fault("data_action", 40_000, 40_060) if full else Fault("data_action", 800, 860)
    settings = {} if full else {"RETRY_HORIZON_SECONDS": "300"}
    yield replace(long, faults=(blip,), settings=settings)


# Slow upstreams, and queues beside each other.


def _slow(full: bool) -> Iterator[Scenario]:
    duration = 1800 if full else 400
    end = DOWN + duration
    rates = {"voice": 1, "workflow": 1, "attributes": 2, "sentiment": 0.5, "reports": 0.01}

    def slow(name: str, seconds: float, longest: float, most_receives: int = 2) -> Scenario:
        return Scenario(
            name,
            end + (2400 if full else 1200),
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
    yield replace(restarted, restarts=(Restart(900 if full else 450),))
    yield replace(slow("crm times out", 30, 3000, 6), timeout=10)
    shared = slow("crm answers after 30 s, one queue", 30, 200)
    yield replace(
        shared,
        one_queue=True,
        expect=(shared.expect[0], *(replace(one, longest=60) for one in shared.expect[1:])),
    )


def _hot(full: bool) -> Iterator[Scenario]:
    count = 2000 if full else 800
    plain = Scenario(
        "a hot queue beside idle ones",
        400 if full else 150,
        (
            Traffic("voice", start=100, count=count),
            *(Traffic(job, 0.5, start=100, end=300 if full else 140) for job in ("workflow", "sentiment")),
        ),
        (
            Expect("voice", longest=25, most_receives=1),
            Expect("workflow", longest=5),
            Expect("sentiment", longest=5),
        ),
        settings=ENDLESS,
    )
    yield plain
    more = {**{f"x{n}": Job(("events",)) for n in range(7)}, **JOBS}
    yield replace(plain, name="a hot queue beside eleven idle ones", jobs=more)


def _two_down(full: bool) -> Scenario:
    times = (300, 900, 320, 1500) if full else (100, 250, 120, 400)
    return Scenario(
        "crm and conversations down",
        4500 if full else 1400,
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


def _others(full: bool) -> Iterator[Scenario]:
    minutes = 60 if full else 10
    tail = 2400 if full else 1200
    remembering = {**_pair(), "voice": Job(("dynamodb",), may_miss=("data_action",))}
    yield _outage(
        "outage of what a job may miss",
        minutes,
        blocked=Expect("voice", most_receives=12, back_within=60),
        jobs=remembering,
        tail=tail,
    )
    both = {"attributes": Job(("conversations",), may_miss=("crm",)), **_only("workflow")}
    two = _two_down(full)
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
        360 if full else 60,
        blocked=Expect("voice", most_receives=36 if full else 14, back_within=90),
        tail=tail,
        jobs=_pair(),
    )
    yield replace(hours, one_queue=True)
    hour = Expect("voice", most_receives=3, back_within=60)
    yield _outage("outage of an hour", 60 if full else 15, blocked=hour, tail=tail, jobs=_pair())
    fifo = _outage(
        "outage, fifo",
        20 if full else 5,
        blocked=Expect("voice", most_receives=20, back_within=60),
        tail=tail,
        jobs=_pair(),
    )
    yield replace(fifo, fifo=True, traffic=tuple(replace(one, groups=30) for one in fifo.traffic))

"""Scenarios of messages that fail or are refused, one by one or all of a deployment."""

from collections.abc import Iterator
from dataclasses import replace

from tests.simulation.play import FAULTY
from tests.simulation.scenario import JOBS, Bug, Expect, Restart, Scenario, Traffic
from tests.simulation.sizes import BACKOFF_RECEIVES, FAST, SHORT, Size, only, pair

# Messages that fail by themselves, at an upstream that is ok.


def _bad(
    name: str,
    size: Size,
    count: int,
    *,
    longest: float,
    median: float = 1.0,
    one_queue: bool = False,
    restarts: tuple[Restart, ...] = (),
    dead: int | None = None,
) -> Scenario:
    until = 3600 if size.full else 2000
    hours = 6.3 if size.full else 0.8
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
        jobs=JOBS if size.full else pair() if one_queue else only("voice"),
        settings={} if size.full else SHORT,
    )


def bad_messages(size: Size) -> Iterator[Scenario]:
    for count, longest in ((1, 5), (2, 5), (3, 30)):
        yield _bad(f"{count} bad on a quiet queue", size, count, longest=longest, dead=count)
    # The last one stays in flight as the only probe there is, once no healthy message comes.
    five = 5 if size.full else None
    yield _bad("5 bad on a quiet queue", size, 5, longest=60, median=5, dead=five)
    yield _bad("20 bad on a quiet queue", size, 20, longest=1200, median=90 if size.full else 300)
    # On a queue of several jobs a message of a blocked one is hidden for a minute at least.
    yield _bad("2 bad on a quiet queue of all", size, 2, longest=130, one_queue=True, dead=2)
    yield _bad("5 bad on a quiet queue of all", size, 5, longest=130, one_queue=True, dead=5)
    again = (Restart(600),)
    yield _bad("3 bad and a restart", size, 3, longest=30, restarts=again, dead=3)


def _bad_caller(name: str, size: Size, rate: float, seconds: float, longest: float) -> Scenario:
    return Scenario(
        name,
        seconds + (1200 if size.full else 300),
        (
            Traffic("voice", start=10, count=5, every=1, fault="data_action"),
            Traffic("voice", rate, end=seconds),
        ),
        (
            Expect("voice", longest=longest),
            Expect(FAULTY, undone=5, most_receives=30),
        ),
        settings=FAST,
        jobs=JOBS if size.full else pair(),
    )


def bad_callers(size: Size) -> Iterator[Scenario]:
    hour = 3600 if size.full else 600
    yield _bad_caller("5 bad callers among 5/s", size, 5, 600 if size.full else 200, 5)
    often = _bad_caller("5 bad callers among 0.5/s", size, 0.5, hour, 60)
    yield often
    yield _bad_caller("5 bad callers among 0.1/s", size, 0.1, hour, 60)
    yield replace(often, name="5 bad callers among 0.5/s, one queue", one_queue=True)


# Messages that are refused for good, and deployments that refuse all.


def poison(size: Size) -> Iterator[Scenario]:
    bad = Traffic("voice", count=500, fault="cause 0", faulty=0.8)
    plain = Scenario(
        "400 poisonous and 100 healthy",
        3600 if size.full else 600,
        (bad, Traffic("voice", start=60, count=20, every=1)),
        (
            Expect("voice", longest=30),
            Expect(FAULTY, dead=65, undone=500, receives_each=8, runs_each=1.1),
        ),
        jobs=JOBS if size.full else pair(),
    )
    yield plain
    yield replace(plain, name="400 poisonous and 100 healthy, one queue", one_queue=True)
    again = (plain.expect[0], Expect(FAULTY, dead=115, undone=500, receives_each=8, runs_each=2))
    yield replace(plain, name="400 poisonous and a restart", restarts=(Restart(30),), expect=again)
    hours = 2 if size.full else 0.15
    yield Scenario(
        "a fifth of one cause",
        hours * 3600 + (3600 if size.full else 300),
        (Traffic("voice", 5, end=hours * 3600, fault="cause odd", faulty=0.2),),
        (
            Expect("voice", longest=10),
            Expect(FAULTY, dead=130, undone=10_000, receives_each=12, runs_each=1.1),
        ),
        settings=FAST,
        jobs=JOBS if size.full else pair(),
    )


def _deployment(
    name: str, size: Size, hours: float, rate: float, *, dead: int, receives: int = 10
) -> Scenario:
    end = 100 + hours * 3600
    return Scenario(
        name,
        end + (3600 if size.full else 1500),
        (Traffic("voice", rate, end=end + 300), Traffic("workflow", 0.3, end=end + 300)),
        (
            Expect("voice", dead=dead, most_receives=receives, back_within=60),
            Expect("workflow", longest=10),
        ),
        bugs=(Bug("voice", 100, end),),
        restarts=(Restart(end),),
        fault_ends=end,
        settings=FAST,
        jobs=JOBS if size.full else pair(),
    )


def deployments(size: Size) -> Iterator[Scenario]:
    hour = 1 if size.full else 0.12
    yield _deployment("bad deployment, 0.5/s", size, hour, 0.5 if size.full else 2, dead=65)
    plain = _deployment("bad deployment, 1/s", size, hour, 1 if size.full else 3, dead=65)
    yield plain
    yield _deployment("bad deployment, eight hours", size, 8 if size.full else 0.5, 1, dead=65)
    yield replace(
        plain,
        name="bad deployment, one queue",
        one_queue=True,
        expect=(
            Expect("voice", dead=65, most_receives=12, back_within=70),
            Expect("workflow", longest=200),
        ),
    )
    # Nothing is restarted: what refused them is fixed elsewhere, and the one that tries finds out.
    elsewhere = replace(plain, name="fixed without a restart", restarts=())
    fixed = replace(plain.expect[0], most_receives=12, runs_each=2.1, back_within=70)
    yield replace(elsewhere, expect=(fixed, plain.expect[1]))
    yield replace(
        elsewhere,
        name="fixed without a restart, one queue",
        one_queue=True,
        expect=(replace(fixed, most_receives=14), Expect("workflow", longest=200)),
    )
    times = (1000, 2000, 3000) if size.full else (200, 300, 400)
    yield replace(
        plain,
        name="bad deployment, three processes and three restarts",
        replicas=3,
        restarts=(*(Restart(at) for at in times), *plain.restarts),
        # Dead letters of each of twelve processes. What was deferred by processes that are gone
        # comes back when its own pause is over: mostly 80 to 92 s, with luck at once.
        expect=(Expect("voice", dead=12 * 65, most_receives=16, back_within=100), plain.expect[1]),
    )

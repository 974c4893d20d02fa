"""The scenarios: those of sketches/intake_rules/table.md, then what the real code taught us.

Each is given by its size: `full` has the hours and rates of the table, else as much of them as
shows the rule. Limits are the table's column "proposed", with room for another seed.
"""

from collections.abc import Iterator
from dataclasses import replace

from tests.simulation import of_messages, of_upstreams
from tests.simulation.scenario import JOBS, Expect, Fault, Job, Restart, Scenario, Traffic
from tests.simulation.sizes import ENDLESS, Size
from tests.simulation.weather import weather


def scenarios(*, full: bool) -> dict[str, Scenario]:
    """Return all by name."""
    return {one.name: one for one in _all(Size(full=full))}


def _all(size: Size) -> Iterator[Scenario]:
    yield from of_upstreams.outages(size)
    yield from of_messages.bad_messages(size)
    yield from of_messages.bad_callers(size)
    yield from of_messages.poison(size)
    yield from of_messages.deployments(size)
    yield from _budgets(size)
    yield from of_upstreams.slow(size)
    yield from _hot(size)
    yield of_upstreams.two_down(size)
    yield from of_upstreams.others(size)
    yield from (weather(seed) for seed in range(50 if size.full else 2))


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


def _budgets(size: Size) -> Iterator[Scenario]:
    hour = 1 if size.full else 0.15
    plain = _budget("five times the budget", hour)
    yield plain
    yield replace(
        plain,
        name="five times the budget, three processes and a restart",
        replicas=3,
        restarts=(Restart(hour * 1800),),
    )
    long = _budget(
        "five times the budget for six hours",
        6 if size.full else 0.15,
        drain=20_000 if size.full else 600,
    )
    blip = Fault("data_action", 40_000, 40_060) if size.full else Fault("data_action", 800, 860)
    settings = {} if size.full else {"RETRY_HORIZON_SECONDS": "300"}
    yield replace(long, faults=(blip,), settings=settings)


def _hot(size: Size) -> Iterator[Scenario]:
    count = 2000 if size.full else 800
    plain = Scenario(
        "a hot queue beside idle ones",
        400 if size.full else 150,
        (
            Traffic("voice", start=100, count=count),
            *(
                Traffic(job, 0.5, start=100, end=300 if size.full else 140)
                for job in ("workflow", "sentiment")
            ),
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

"""Random faults of all kinds at once: in the end all is done, once, and nothing is still held."""

from collections.abc import Iterator
from random import Random

from tests.simulation.scenario import JOBS, Expect, Fault, Job, Restart, Scenario, Traffic

SECONDS = 3600.0
AFTER_SECONDS = 3 * 3600.0
"""Calm at the end: a retry may take fifteen minutes, and the next one again."""

WIRED = {
    "voice": Job(("dynamodb",), may_miss=("data_action",)),
    "workflow": Job(("analytics", "stepfunctions")),
    "attributes": Job(("conversations",), may_miss=("crm",)),
    "sentiment": Job(("conversations", "speech", "events", "crm_webhook")),
    "reports": Job(("analytics", "s3_reports", "events")),
}
"""The jobs with what they need and may miss as they are wired."""


def weather(seed: int) -> Scenario:
    """Return a scenario of its own for each seed."""
    random = Random(seed)
    jobs = random.choice([JOBS, WIRED])
    names = sorted({name for job in jobs.values() for name in (*job.needs, *job.may_miss)})
    fifo = random.random() < 0.2
    return Scenario(
        f"weather {seed}",
        SECONDS + AFTER_SECONDS,
        tuple(_traffic(random, jobs, groups=random.choice([1, 5, 50]) * fifo)),
        tuple(Expect(job, most_receives=49) for job in jobs),
        faults=tuple(_faults(random, names)),
        restarts=tuple(
            Restart(random.uniform(60, SECONDS), kill=random.random() < 0.5)
            for _ in range(random.choice([0, 0, 1, 3]))
        ),
        jobs=jobs,
        one_queue=random.random() < 0.4,
        fifo=fifo,
        replicas=random.choice([1, 1, 1, 3]),
        settings={"SQS_CONCURRENCY": str(random.choice([5, 16, 64]))},
        fault_ends=SECONDS,
        seed=seed,
    )


def _traffic(random: Random, jobs: dict[str, Job], groups: int) -> Iterator[Traffic]:
    for job in jobs:
        rate = random.choice([0.003, 0.03, 0.3, 0.5])
        yield Traffic(job, rate, start=1, end=SECONDS, light=random.choice([0, 0.5]), groups=groups)
        yield Traffic(job, start=0.5, count=1, groups=groups)
        if random.random() < 0.3:
            at = random.uniform(0, SECONDS)
            yield Traffic(job, start=at, count=random.choice([5, 200]), groups=groups)


def _faults(random: Random, names: list[str]) -> Iterator[Fault]:
    for _ in range(random.choice([1, 3, 6, 12])):
        start = random.uniform(0, SECONDS * 0.9)
        end = min(SECONDS, start + random.choice([5, 60, 600, 1800]))
        seconds = random.choice([0, 0, 0, 3, 8, 30])
        yield Fault(random.choice(names), start, end, seconds)

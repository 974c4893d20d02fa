"""How many replicas the scalers want, by the worker's figure and the formulas as deployed."""

import re
import sys
from math import ceil
from pathlib import Path

import pytest
import yaml

from worker.resilience.work import UNLIMITED, ReplicasUseful

DEPLOY = Path(__file__).parents[2] / "deploy"
sys.path.append(str(DEPLOY / "tests/kubernetes"))
import scaling  # noqa: E402  a script's module

USE = ("at", "calls", "messages", "cpu_seconds", "busy_seconds")
BUDGET, OWN, CONCURRENCY = 300, 240, 64
PER_POD = 30
MOST = 40


def add(useful, *figures):
    useful.add(**dict(zip(USE, figures, strict=True)))


def keda(backlog, useful):
    """Return what KEDA hands to the HPA, by the text in the component's patch."""
    file = DEPLOY / "kubernetes/components/keda-budget/kustomization.yaml"
    component = yaml.safe_load(file.read_text())
    patch = yaml.safe_load(component["patches"][0]["patch"])
    modifiers = next(one["value"] for one in patch if one["path"].endswith("scalingModifiers"))
    assert modifiers["target"] == str(PER_POD)
    return ceil(scaling.computed(modifiers["formula"], backlog=backlog, useful=useful) / PER_POD)


def cloudwatch(backlog, useful, tasks=3):
    """Return the tasks that target tracking wants, by the text in the module."""
    text = (DEPLOY / "terraform/scaling.tf").read_text()
    fed = re.search(r'fed += "(.*?)"\n', text)[1].replace("${var.backlog_per_task}", str(PER_POD))
    whole = re.search(r'var.collector \? "(.*?)" :', text)[1]
    values = {"backlog": backlog, "tasks": tasks, "fed": scaling.computed(fed, useful=useful)}
    return ceil(tasks * scaling.computed(whole, **values) / PER_POD - 1e-9)


class Fleet:
    """Replicas that share a queue and a budget, second by second; each watches its own use.

    A message takes `calls` of the budget, `cpu` seconds of a core and `wait` seconds of upstreams.
    """

    def __init__(self, *, calls, cpu, wait=0.2, backlog=5000):
        self.calls, self.cpu, self.wait = calls, cpu, wait
        self.backlog = backlog
        self.at = 0
        self.replicas = []
        self.sizes = []

    def resize(self, count):
        while len(self.replicas) < count:
            self.replicas.append((ReplicasUseful(BUDGET, OWN, CONCURRENCY), [0.0] * 4))
        del self.replicas[count:]

    def second(self):
        count = len(self.replicas)
        able = min(1 / self.cpu, CONCURRENCY / (self.cpu + self.wait))
        budgeted = min(OWN, BUDGET / count) / 60 / self.calls if self.calls else able
        rate = min(able, budgeted, self.backlog / count)
        busy = CONCURRENCY if rate == able else rate * (self.cpu + self.wait)
        self.at += 1
        for useful, totals in self.replicas:
            for place, more in enumerate((rate * self.calls, rate, rate * self.cpu, busy)):
                totals[place] += more
            add(useful, self.at, *totals)
        self.backlog -= rate * count

    def run(self, seconds, wanted=keda):
        """Let the scaler decide every 15 s, down only after five quiet minutes."""
        policy = scaling.Policy(PER_POD, 1, MOST, scaling.VISIBLE)
        self.resize(1)
        wishes = []
        for _ in range(seconds):
            self.second()
            if self.at % policy.poll_seconds == 0:
                wish = max(policy.least, min(MOST, wanted(self.backlog, self.useful())))
                wishes.append(wish)
                self.resize(scaling.sized(policy, len(self.replicas), wishes))
            self.sizes.append(len(self.replicas))

    def useful(self):
        """Return the largest figure, as the scalers ask for it."""
        return max(useful.figure() for useful, _ in self.replicas)


@pytest.mark.parametrize("wanted", [keda, cloudwatch])
def test_a_backlog_that_needs_the_budget_takes_no_more_replicas_than_it_feeds(wanted):
    fleet = Fleet(calls=1, cpu=0.005)

    fleet.run(720, wanted)

    assert fleet.backlog > 1000
    assert fleet.useful() == 2  # 300 of the budget, and 240 of one token
    assert max(fleet.sizes) <= 4  # what it took in half a minute, when nothing was known yet
    assert set(fleet.sizes[420:]) == {2}


@pytest.mark.parametrize("wanted", [keda, cloudwatch])
def test_traffic_that_is_limited_by_the_processor_takes_as_many_as_use_the_budget_up(wanted):
    fleet = Fleet(calls=1, cpu=1.5)  # 40 a minute

    fleet.run(900, wanted)

    assert fleet.useful() == 8
    assert set(fleet.sizes[420:]) == {8}


def test_the_figure_follows_the_traffic():
    fleet = Fleet(calls=1, cpu=0.005, backlog=100_000)
    fleet.run(900)

    fleet.cpu = 3
    fleet.run(300)

    assert fleet.useful() == 15


def test_replicas_that_wait_for_upstreams_are_of_use():
    fleet = Fleet(calls=1, cpu=0.005, wait=96)  # 40 a minute, in 64 permits

    fleet.run(900)

    assert fleet.useful() in {7, 8}


@pytest.mark.parametrize("wanted", [keda, cloudwatch])
def test_the_budget_limits_nothing_for_traffic_that_does_without(wanted):
    fleet = Fleet(calls=0.1, cpu=0.2, backlog=50_000)

    fleet.run(200, wanted)

    assert fleet.useful() == UNLIMITED
    assert max(fleet.sizes) == MOST


@pytest.mark.parametrize("wanted", [keda, cloudwatch])
def test_where_nothing_is_known_the_backlog_alone_decides(wanted):
    assert wanted(5000, 0) == ceil(5000 / PER_POD)
    assert wanted(45, 7) == 2
    assert wanted(5000, 7) == 7
    assert cloudwatch(5000, None) == ceil(5000 / PER_POD)


def test_a_handful_of_calls_is_no_knowledge():
    useful = ReplicasUseful(BUDGET, OWN, CONCURRENCY)
    assert useful.figure() == 0

    add(useful, 0, 0, 0, 0, 0)
    add(useful, 60, 9, 9, 1, 1)

    assert useful.figure() == 0


def test_what_lies_back_longer_than_two_minutes_is_forgotten():
    useful = ReplicasUseful(BUDGET, OWN, CONCURRENCY)
    for at in range(300):
        add(useful, at, at, at, at, 0)
    assert useful.figure() == 5
    for at in range(300, 500):
        add(useful, at, 300, 300, 300, 0)

    assert useful.figure() == 0

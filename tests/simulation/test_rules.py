"""The rules of the intake, in virtual time: each scenario keeps its limits, in its quick size."""

import pytest

from tests.simulation.catalogue import scenarios
from tests.simulation.play import play


@pytest.mark.parametrize("scenario", scenarios(full=False).values(), ids=lambda one: one.name)
def test_limits_are_kept(scenario):
    assert play(scenario).problems == []


def test_a_seed_gives_the_same_figures_twice():
    scenario = scenarios(full=False)["5 bad callers among 0.1/s"]

    assert play(scenario).jobs == play(scenario).jobs

"""Replicas on one budget, in virtual time: each scenario keeps its limits, in its quick size."""

import pytest

from tests.simulation.fleet import play, scenarios


@pytest.mark.parametrize("scenario", scenarios(quick=True).values(), ids=lambda one: one.name)
def test_the_fleets_limits_are_kept(scenario):
    assert play(scenario).problems == []

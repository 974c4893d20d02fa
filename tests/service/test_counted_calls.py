"""What deploy/COST.md is computed from is what a worker does today."""

import json

import pytest

from tests.benchmarks.cost import COUNTS_FILE
from tests.benchmarks.cost_counting import count

PER_EVENT = {
    "voice": ("dynamodb:write_units", "dynamodb:read_units", "genesys:data_action"),
    "workflow": ("states:StartExecution", "http:webhooks", "dynamodb:write_units"),
    "attributes": ("dynamodb:write_units", "genesys:attributes", "http:crm"),
}
"""Calls that an event makes whatever came before it: batches and caches depend on numbers."""


@pytest.mark.parametrize("job", PER_EVENT)
async def test_an_event_makes_the_calls_that_were_counted(job):
    stored = json.loads(COUNTS_FILE.read_text())["jobs"][job]["idempotent"]

    found = await count(job, events=60, idempotent=True)

    assert {name: found.get(name, 0) for name in PER_EVENT[job]} == pytest.approx(
        {name: stored.get(name, 0) for name in PER_EVENT[job]}, abs=0.02
    )

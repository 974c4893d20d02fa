"""The cheap ones of the proofs: a worker process each, some seconds each.

All of them, in full size: `python -m tests.isolation`.
"""

import pytest

from tests.isolation.lab import open_lab
from tests.isolation.scenarios import (
    bindings,
    customers,
    data_action,
    fleet,
    refusals,
    sinks,
    starts_and_ends,
    without,
)
from tests.isolation.sizes import Size
from tests.support.quick_aws import quick_aws  # noqa: F401  a fixture

QUICK = Size(quick=True)


async def kept(play):
    """Play; fail with the figures that were beyond their limits."""
    proof = await play(QUICK)
    assert proof.kept, "\n" + "\n".join(map(str, proof.broken))


@pytest.mark.parametrize("fault", data_action.FAULTS, ids=lambda fault: fault.name)
async def test_workflows_start_while_the_data_action_fails(fault):
    async def play(size):
        async with open_lab(size) as lab:
            worker = lab.worker(("voice", "workflow"))
            await worker.start()
            await data_action.warm(lab)
            await data_action.one_fault(lab, worker, fault)
            return lab.proof

    await kept(play)


async def test_three_processes_share_one_budget_and_meet_no_429():
    await kept(fleet.three)


async def test_two_callers_of_one_number_get_their_own_attributes():
    await kept(customers.two_callers)


async def test_a_log_that_is_read_no_more_changes_nothing_or_is_said():
    await kept(sinks.reader_gone)


async def test_ids_that_stdout_cannot_write_change_nothing():
    await kept(sinks.ascii_stdout)


async def test_a_log_file_at_its_limit_changes_nothing_or_is_said():
    await kept(sinks.full_file)


async def test_deletes_that_are_denied_are_named():
    await kept(refusals.deletes_denied)


async def test_sigterm_ends_a_start_at_a_half_open_sqs():
    await kept(starts_and_ends.half_open_start)


async def test_sigterm_ends_a_worker_whose_deletes_drip():
    await kept(starts_and_ends.dripping_deletes)


async def test_a_refused_client_stops_only_what_needs_it():
    await kept(without.refused_credentials)


async def test_another_jobs_events_are_dead_lettered_with_the_reason():
    await kept(bindings.wrong_queue)


async def test_events_of_a_half_configured_job_are_dead_lettered_with_the_reason():
    await kept(bindings.half_configured)


async def test_a_queue_bound_to_a_job_that_is_off_ends_the_start():
    await kept(bindings.bound_to_a_job_that_is_off)

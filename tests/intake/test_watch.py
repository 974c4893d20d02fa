"""What the watch takes over from the queue while the worker runs."""

import pytest

from worker.app.watch import Watch
from worker.settings import Sqs

RUNNING, CHANGED = 20, 90


@pytest.fixture
def queue(sqs):
    return sqs.create_queue("events", VisibilityTimeout=str(RUNNING))


@pytest.mark.parametrize(("told", "then"), [(None, CHANGED), (RUNNING, RUNNING)])
async def test_a_changed_visibility_timeout_counts_unless_the_settings_name_one(
    sqs, queue, start_intake, recorder, told, then
):
    async with start_intake(recorder()) as intake:
        sqs._queues.set_attributes(sqs._queues.find(queue), {"VisibilityTimeout": str(CHANGED)})
        settings = Sqs(queue_url=queue, visibility_seconds=told)
        await Watch(settings, intake.parts, None, None)._sample()

        assert intake.leases.visibility_seconds == then

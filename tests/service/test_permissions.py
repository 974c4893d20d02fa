"""A client that may do nothing at Genesys: everything waits and is named, until it is granted."""

import pytest

from worker.demo.environment import make_fixtures, open_environment
from worker.demo.process import WorkerProcess
from worker.demo.scenario import jobs_of, prepare
from worker.emulators.genesys.replies import missing_permission

PATCH = "conversation:participant:attributes"
NAMED = {
    "integrations:action:execute": "POST /api/v2/integrations/actions/{actionId}/execute",
    "conversation:communication:view": "GET /api/v2/conversations/{conversationId}",
    "analytics:conversationDetail:view": "/api/v2/analytics/conversations/details",
    "speechAndTextAnalytics:data:view": "GET /api/v2/speechandtextanalytics/conversations/",
    PATCH: "PATCH /api/v2/conversations/{conversationId}/participants/",
}
"""What /readyz must name: permission and call."""


@pytest.fixture
async def emulators():
    async with open_environment(queues="per-job") as emulators:
        await make_fixtures(emulators)
        yield emulators


async def test_missing_permissions_dead_letter_nothing_are_named_and_heal_without_a_restart(
    emulators, tmp_path, eventually
):
    cloud = emulators.genesys
    jobs = jobs_of(30, seed=7)[:-1]  # the last one's messages cannot be read
    await prepare(jobs, emulators)
    cloud.permissions = {"architect:flow:view"}
    cloud.fail_with("attributes", missing_permission(PATCH))
    for message in (message for job in jobs for message in job.traffic()):
        emulators.put(message.body, message.queue_of)
    named, dead_letters = set(), emulators.dead_letter_url

    async with WorkerProcess(
        emulators.variables(), tmp_path / "worker.log", until_ready=False
    ) as worker:

        async def all_are_named():
            page = await worker.page("/readyz")
            named.update(one for one, call in NAMED.items() if one in page and call in page)
            return named == NAMED.keys()

        await eventually(all_are_named)
        assert not await worker.ready()
        assert sum(emulators.sqs.depth(dead_letters)) == 0

        cloud.permissions = None
        cloud.heal("attributes")
        await emulators.sqs.wait_until(lambda: emulators.waiting() == 0, 150)
        await eventually(worker.ready)

    found = [one for job in jobs for one in await job.effects(emulators)]
    assert [(one.sink, one.found, one.wrong) for one in found if not one.right] == []
    assert sum(emulators.sqs.depth(dead_letters)) == 0

"""A firewall before Genesys: what it refuses is no answer, and no event is lost to it."""

import pytest
from aiohttp import web

from tests.service.conftest import sample
from worker.demo.environment import put_events
from worker.intake.settlement import BLOCKED_SECONDS

SCORE = sample("events/platform/sta_sentiment.json")
CHAT_END = sample("events/platform/customer_end_message.json")


def page_of(status):
    async def answer(_):
        text = "<html><body>Request blocked</body></html>"
        return web.Response(status=status, text=text, content_type="text/html")

    return answer


@pytest.mark.parametrize("status", [403, 404])
async def test_a_page_of_its_own_for_an_answer_is_named_and_waited_for(
    emulators,
    start_worker,
    known_customer,
    severe_chat,
    records,
    settled,
    eventually,
    queue_clock,
    status,
):
    cloud = emulators.genesys
    for endpoint in ("conversation", "speech"):
        cloud.fail_with(endpoint, page_of(status))

    async with start_worker(HANDLERS="voice,sentiment") as worker:
        for event in (SCORE, CHAT_END):
            emulators.sqs.send(emulators.queue_url, event)

        async def both_are_named():
            page = await worker.page("/readyz")
            paths = ("/api/v2/conversations/", "/api/v2/speechandtextanalytics/")
            return all(f"{status}, not in the words of Genesys (GET {one}" in page for one in paths)

        await eventually(both_are_named)
        assert await records() == []

        for endpoint in ("conversation", "speech"):
            cloud.heal(endpoint)
        queue_clock.skip(BLOCKED_SECONDS[0])  # for so long messages of blocked jobs are hidden
        await settled(150)
        await eventually(worker.ready)

    assert len(await records()) == 1
    assert len(await put_events(emulators, "genesys.sentiment.forwarder")) == 2
    assert emulators.sqs.messages(emulators.dead_letter_url) == ()

"""The emulated CRM and the webhook sinks are as strict as what they stand for."""

import asyncio

import httpx
import pytest

from tests.support.factories import PHONE, an_id
from worker.emulators import CrmServer, CrmState, WebhookSink

pytestmark = [pytest.mark.asyncio]


@pytest.mark.parametrize(
    "query",
    [
        "",
        f"?phone={PHONE}",
        "?conversationId=x",
        f"?conversationId={an_id()}&phone=5550100",
        f"?conversationId={an_id()}&conversationId={an_id()}",
        f"?conversationId={an_id()}&other=1",
    ],
    ids=["nothing", "no id", "no uuid", "no e164", "twice", "unknown"],
)
async def test_the_crm_refuses_a_malformed_question(query):
    async with CrmServer() as crm, httpx.AsyncClient() as http:
        assert (await http.get(crm.url + query)).status_code == 400
        assert crm.counts == {400: 1}


async def test_the_crm_lets_no_one_in_without_its_token():
    async with CrmServer(CrmState(token="s3cret")) as crm, httpx.AsyncClient() as http:
        answer = await http.get(f"{crm.url}?conversationId={an_id()}")

    assert answer.status_code == 401


async def test_a_sink_waits_until_something_was_taken():
    async with WebhookSink() as sink, httpx.AsyncClient() as http:
        waiting = asyncio.create_task(sink.wait_for(lambda taken: len(taken) == 2))
        for number in range(2):
            await http.post(sink.url, json={"number": number})

        assert [one.body["number"] for one in await waiting] == [0, 1]


async def test_a_sink_does_not_wait_for_ever():
    async with WebhookSink() as sink:
        with pytest.raises(TimeoutError):
            await sink.wait_for(bool, seconds=0.05)


async def test_what_a_sink_refused_was_not_taken():
    async with WebhookSink() as sink, httpx.AsyncClient() as http:
        sink.status = 503
        await http.post(sink.url, json={})

        assert sink.taken == []
        assert [one.status for one in sink.deliveries] == [503]


async def test_a_sink_with_a_secret_refuses_what_is_not_signed():
    async with WebhookSink("s3cret") as sink, httpx.AsyncClient() as http:
        assert (await http.post(sink.url, json={})).status_code == 401

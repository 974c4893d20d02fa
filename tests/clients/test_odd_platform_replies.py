"""Replies of the real platform that are documented, seldom, and easily misread."""

from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from tests.support.factories import an_id
from tests.support.genesys import api_of
from worker.clients.genesys.actions import Actions
from worker.clients.genesys.api import Tokens
from worker.clients.genesys.conversations import LiveConversations
from worker.clients.genesys.dialects import Platform
from worker.clients.genesys.participants import published_inputs, schema_of
from worker.clients.genesys.speech import sentiment_score, transcript_url
from worker.clients.genesys.transcripts import customer_phrases
from worker.clients.http import HttpClient, HttpLimits
from worker.emulators.genesys import GenesysServer
from worker.emulators.genesys.cloud import GenesysCloud
from worker.emulators.genesys.replies import error_body
from worker.errors import Misconfigured, NotYet, RateLimited, Unauthorized, Unavailable

ACTION = "custom_-_ac000000-0000-4000-8000-000000000001"
INPUTS = {"phone_number": "+15550100001"}
SCHEMA = {"type": "object", "properties": {"Flow.tier": {"type": ["null", "string"]}}}
BEHIND = {"details": [{"errorCode": "ACTION.REMOTE_ENDPOINT", "fieldName": None}]}


def saying(make):
    async def answer(_):
        return make()

    return answer


def an_error(status, code=None, **more):
    return saying(lambda: error_body(status, code, **more))


@asynccontextmanager
async def an_api(endpoint, answer):
    cloud = GenesysCloud()
    if not callable(answer):
        body, answer = answer, None
        cloud.fail_with(endpoint, saying(lambda: web.json_response(body)))
    else:
        cloud.fail_with(endpoint, answer)
    async with api_of(cloud) as api:
        yield api


async def executed(answer):
    async with an_api("data_action", answer) as api:
        return await Actions(api, Platform()).execute_data_action(ACTION, INPUTS)


async def test_inputs_that_the_action_does_not_take_are_a_problem_of_the_setting():
    with pytest.raises(Misconfigured) as caught:
        await executed(an_error(400, "invalid.schema"))

    assert caught.value.setting == "VOICE_INPUT_FIELD"
    assert "contract" in caught.value.remedy


async def test_a_remote_answer_that_does_not_fit_the_schema_is_the_remotes():
    with pytest.raises(Unavailable, match=r"ACTION\.REMOTE_ENDPOINT"):
        await executed(an_error(400, "invalid.schema", **BEHIND))


@pytest.mark.parametrize("status", [401, 403, 429, 500])
async def test_a_remote_failure_may_stand_in_an_error_of_the_errors(status):
    with pytest.raises(Unavailable, match=r"ACTION\.REMOTE_ENDPOINT"):
        await executed(an_error(status, "bad.request", errors=[{"code": "x", **BEHIND}]))


async def test_a_remote_404_in_an_error_of_the_errors_is_no_such_customer():
    assert await executed(an_error(404, "not.found", errors=[BEHIND])) is None


async def test_the_limit_of_function_actions_pauses_no_other_call():
    limit = {"namespace": "dataactions", "value": 5}
    limit["key"] = "actions.function.concurrent.executions.max"
    with pytest.raises(NotYet) as caught:
        await executed(an_error(429, message="Retry the request in [7] seconds", limit=limit))

    assert caught.value.retry_after == 7


async def test_a_limit_may_stand_in_an_error_of_the_errors():
    limit = {"key": "actions.concurrent.executions.max", "value": 50}
    with pytest.raises(NotYet):
        await executed(an_error(429, errors=[{"limit": limit}]))


@pytest.mark.parametrize(
    "flow",
    [
        {"publishedVersion": {"id": "4.0"}, "inputSchema": SCHEMA},
        {"publishedVersion": {"id": "4.0", "inputSchema": None}, "inputSchema": SCHEMA},
        {"publishedVersion": {"id": "4.0", "inputSchema": {}}, "inputSchema": SCHEMA},
        {"inputSchema": SCHEMA},
    ],
)
async def test_inputs_that_the_flow_itself_declares_are_read_online_and_offline(flow):
    async with an_api("flow", flow) as api:
        online = await api.run(published_inputs(an_id()))

    assert dict(online) == dict(schema_of(flow)) == {"tier": "string"}


@pytest.mark.parametrize(
    "participant",
    [
        {"purpose": "customer", "ani": "tel:+15550100001"},
        {"purpose": "external", "address": "", "ani": "tel:+15550100001"},
        {"purpose": "CUSTOMER", "callbacks": [{"callbackNumbers": ["tel:+15550100001"]}]},
    ],
)
async def test_the_customer_is_known_by_what_the_participant_has(participant):
    live = {
        "participants": [None, {"purpose": "agent", "address": "tel:+15550109999"}, participant]
    }
    async with an_api("conversation", live) as api:
        caller = await LiveConversations(api).caller(an_id())

    assert caller.address == "tel:+15550100001"


@pytest.mark.parametrize(
    "said", [{"sentimentTrendClass": "NotCalculated"}, {"sentimentScore": None}]
)
async def test_a_conversation_without_a_score_is_not_analysed(said):
    async with an_api("speech", said) as api:
        assert await api.run(sentiment_score(an_id())) is None


async def test_a_session_without_a_transcript_has_no_link():
    async with an_api("transcript_url", {"url": None}) as api:
        assert await api.run(transcript_url(an_id(), an_id())) is None


def test_purposes_and_media_of_a_transcript_may_be_in_capitals():
    part = {
        "phrases": [{"phraseIndex": 0, "participantPurpose": "EXTERNAL"}, None],
        "analytics": {
            "sentiment": [{"phraseIndex": 0, "participant": "EXTERNAL", "sentiment": -1}]
        },
    }
    odd = {"mediaType": "MESSAGE", "transcripts": [None, {"analytics": None}, part]}

    [phrase] = customer_phrases(odd)
    assert (phrase.score, phrase.confidence) == (-1, 1)


@asynccontextmanager
async def tokens(answer):
    cloud = GenesysCloud()
    cloud.fail_with("token", answer)
    async with (
        GenesysServer(cloud),
        HttpClient("genesys login", cloud.url, HttpLimits(total_seconds=5)) as http,
    ):
        made = Tokens(http, Platform().token(cloud.client_id, "secret"))
        yield made
        await made.aclose()


async def test_tokens_asked_for_too_often_are_known_by_either_description():
    body = {"error": "invalid_request", "description": "rate limit exceeded; try later"}
    async with tokens(saying(lambda: web.json_response(body, status=400))) as made:
        with pytest.raises(RateLimited):
            await made.get()


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_a_page_of_a_firewall_is_not_a_refusal_of_the_credentials(status):
    page = saying(lambda: web.Response(status=status, text="<html>", content_type="text/html"))
    async with tokens(page) as made:
        with pytest.raises(Unauthorized) as caught:
            await made.get()

    assert str(caught.value) == f"genesys login: {status}, not in the words of Genesys"
    assert caught.value.setting == "GENESYS_ENVIRONMENT"
    assert "firewall, proxy and gateway" in caught.value.remedy

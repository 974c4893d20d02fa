"""`worker check` on what the Genesys client may do, and on what EventBridge carries."""

import pytest
from aiohttp import web

from tests.unit.test_settings import GOOD
from worker.api import Job, JobSettings
from worker.app import command_line
from worker.app.jobs import load_settings
from worker.cli.check.genesys import (
    PERMISSION,
    TOPIC,
    Needed,
    check_permissions,
    check_topics,
    needed_calls,
)
from worker.emulators.genesys import PERMISSIONS, GenesysCloud, GenesysServer
from worker.emulators.genesys.replies import missing_permission

EVERY = {
    "HANDLERS": "voice,attributes,workflow,sentiment,reports",
    "GENESYS_FLOW_ID": "f1000000-0000-4000-8000-000000000001",
    "CRM_API_ENDPOINT": "https://crm.example/customers",
    "STEP_FUNCTIONS_ARN": "arn:aws:states:eu-west-1:1:stateMachine:m",
    "CRM_WEBHOOK_URL": "https://crm.example/hook",
    "REPORT_BUCKET": "reports",
}
SENTIMENT = "v2.speechandtextanalytics.conversation.{id}.sentiment"
SPOKEN = "/api/v2/speechandtextanalytics/conversations/{conversationId}"
PATCH = "PATCH /api/v2/conversations/{conversationId}/participants/{participantId}/attributes"


@pytest.fixture
async def cloud():
    client = {"client_id": "client", "client_secret": "canary-secret"}
    async with GenesysServer(GenesysCloud(**client)) as cloud:
        yield cloud


async def rows_of(check, cloud, **environ):
    urls = {"GENESYS_API_URL": cloud.url, "GENESYS_LOGIN_URL": cloud.url}
    settings = load_settings({**GOOD, **EVERY, **urls, **environ})
    async with command_line.open_with(settings) as context:
        return await check(context)


def states_of(rows):
    """State of each call, by its method and path."""
    return {row.found.partition(" (job ")[0]: row.state for row in rows}


def everything():
    """All that the vendor names, for the calls that anything here makes."""
    return {name for groups in PERMISSIONS.values() for group in groups for name in group}


async def test_each_call_of_the_jobs_is_tried_and_has_no_effect(cloud):
    cloud.action_ids = {GOOD["GENESYS_ACTION_ID"]}

    rows = await rows_of(check_permissions, cloud, REPORT_USE_JOBS="true")

    assert {row.state for row in rows} == {"ok"}
    assert len(rows) == 16
    assert all(row.found.endswith(("(200)", "(400)", "(404)")) for row in rows)
    assert (cloud.conversations, cloud.history.jobs) == ({}, {})
    assert cloud.counts["unknown"] == 0


@pytest.mark.parametrize(
    ("taken", "calls"),
    [
        ("architect:flow:view", {"GET /api/v2/flows/{flowId}"}),
        (
            "recording:recording:view",
            {
                f"GET {SPOKEN}",
                f"GET {SPOKEN}/communications/{{communicationId}}/transcripturl",
            },
        ),
        ("conversation:communication:view", {"GET /api/v2/conversations/{conversationId}"}),
        ("bridge:actions:execute", set()),
    ],
)
async def test_a_permission_that_is_taken_away_fails_each_call_that_needs_it(cloud, taken, calls):
    cloud.permissions = everything() - {taken}

    rows = await rows_of(check_permissions, cloud)

    failed = [row for row in rows if row.state == "fail"]
    assert {row.found.partition(" (job ")[0] for row in failed} == calls
    assert all(f"give {taken} to a role" in row.remedy for row in failed)


async def test_what_a_job_can_do_without_is_a_warning(cloud):
    cloud.fail_with("attributes", missing_permission("some:unpublished:name"))

    alone = await rows_of(check_permissions, cloud, HANDLERS="sentiment")
    needed = await rows_of(check_permissions, cloud, HANDLERS="sentiment,attributes")

    assert (states_of(alone)[PATCH], states_of(needed)[PATCH]) == ("warn", "fail")
    assert any("some:unpublished:name" in row.remedy for row in needed)


async def test_a_403_in_spite_of_the_roles_points_to_divisions(cloud):
    cloud.fail_with("conversation", 403)

    rows = await rows_of(check_permissions, cloud, HANDLERS="voice")

    [row] = [row for row in rows if row.state == "fail"]
    assert "divisions" in row.found


async def test_a_403_of_a_firewall_names_no_permission(cloud):
    async def blocked(_):
        return web.Response(status=403, text="<html>Request blocked</html>")

    cloud.fail_with("conversation", blocked)

    rows = await rows_of(check_permissions, cloud, HANDLERS="voice")

    [row] = [row for row in rows if row.state == "fail"]
    assert "not in the words of Genesys" in row.found
    assert "firewall" in row.remedy


async def test_a_host_out_of_reach_is_reported_once(cloud, closed_port):
    nowhere = f"http://127.0.0.1:{closed_port}"

    rows = await rows_of(check_permissions, cloud, GENESYS_API_URL=nowhere)

    assert [row.found for row in rows] == ["genesys: ConnectionRefusedError"]


async def test_a_refused_client_is_no_finding_of_these(cloud):
    cloud.reject_client = True

    assert await rows_of(check_permissions, cloud) == []
    assert await rows_of(check_topics, cloud) == []


async def test_the_reference_dialect_names_what_was_not_tried(cloud):
    [row] = await rows_of(check_permissions, cloud, GENESYS_DIALECT="reference")

    assert (row.name, row.state) == (PERMISSION, "untried")
    assert await rows_of(check_topics, cloud, GENESYS_DIALECT="reference") == []


# ── calls that could have an effect ────────────────────────────────────────────────────────────
EFFECT = "POST /api/v2/outbound/messagingcampaigns"
LAUNCH = "outbound:messagingCampaign:add"


@pytest.fixture
def a_job_with_an_effect(monkeypatch):
    job = Job(
        name="voice",
        summary="",
        events=(),
        settings=JobSettings,
        build=None,
        permissions={EFFECT: LAUNCH},
    )
    monkeypatch.setattr("worker.cli.check.genesys.known_jobs", lambda: {"voice": job})


@pytest.mark.usefixtures("a_job_with_an_effect")
@pytest.mark.parametrize(
    ("granted", "state"),
    [
        ({LAUNCH}, "ok"),
        ({"outbound:*:*"}, "ok"),
        ({"outbound:messagingCampaign:view"}, "fail"),
        (set(), "fail"),
    ],
)
async def test_a_call_that_could_have_an_effect_is_looked_up_in_the_clients_roles(
    cloud, granted, state
):
    cloud.permissions = granted

    [row] = await rows_of(check_permissions, cloud, HANDLERS="voice")

    assert (row.state, "not tried" in row.found) == (state, True)
    assert cloud.counts["unknown"] == 0


@pytest.mark.usefixtures("a_job_with_an_effect")
async def test_it_is_listed_as_not_tried_where_the_roles_cannot_be_read(cloud):
    cloud.fail_with("subject", 403)

    [row] = await rows_of(check_permissions, cloud, HANDLERS="voice")

    assert (row.state, LAUNCH in row.remedy) == ("untried", True)


@pytest.mark.usefixtures("a_job_with_an_effect")
@pytest.mark.parametrize("odd", [True, 7, {"view": 1}, [None], ["*", 3]])
async def test_an_odd_policy_among_the_roles_is_no_crash(cloud, odd):
    policy = {"domain": "outbound", "entityName": "*", "actions": odd}
    subject = {"grants": [{"role": {"policies": [None, policy]}}, {"role": []}]}

    async def answer(_):
        return web.json_response(subject)

    cloud.fail_with("subject", answer)

    [row] = await rows_of(check_permissions, cloud, HANDLERS="voice")

    assert row.state == ("ok" if odd == ["*", 3] else "fail")


@pytest.mark.parametrize(
    ("call", "is_tried"),
    [
        ("GET /api/v2/routing/queues", True),
        ("DELETE /api/v2/routing/queues/{queueId}", True),
        ("POST /api/v2/conversations/calls", False),
        ("PUT /api/v2/presence/me", False),
    ],
)
def test_a_change_is_tried_only_on_an_id_that_nothing_has(call, is_tried):
    request = Needed(call=call, permission="", jobs=("x",), optional=False).request()

    assert (request is not None) == is_tried
    if request is not None and "{" in call:
        assert "00000000-0000-0000-0000-000000000000" in request.path


def test_a_call_of_two_jobs_is_listed_once_with_both():
    settings = load_settings({**GOOD, **EVERY, "HANDLERS": "voice,attributes"})

    calls = {one.call: one.jobs for one in needed_calls(settings)}

    assert calls["GET /api/v2/conversations/{conversationId}"] == ("voice", "attributes")


# ── topics ─────────────────────────────────────────────────────────────────────────────────────
async def test_each_topic_that_travels_is_ok(cloud):
    rows = await rows_of(check_topics, cloud)

    assert [row.state for row in rows] == ["ok"] * 3


@pytest.mark.parametrize(
    ("transports", "state"),
    [(["Websocket"], "fail"), ([], "warn"), (None, "warn"), (["Amazon EventBridge"], "ok")],
)
async def test_a_topic_that_event_bridge_does_not_carry_names_what_to_do(cloud, transports, state):
    del cloud.transports[SENTIMENT]
    if transports is not None:
        cloud.transports[SENTIMENT.replace("{id}", "{conversationId}")] = transports

    [row] = await rows_of(check_topics, cloud, HANDLERS="voice")

    assert (row.name, row.state) == (TOPIC, state)
    assert ("VOICE_FROM=ended" in row.remedy) == (state != "ok")


async def test_with_ended_the_sentiment_topic_is_not_asked_about(cloud):
    cloud.transports[SENTIMENT] = ["Websocket"]

    [row] = await rows_of(check_topics, cloud, HANDLERS="voice", VOICE_FROM="ended")

    assert (row.state, "customer.end" in row.found) == ("ok", True)


async def test_a_topic_that_the_settings_exclude_is_not_needed(cloud):
    rows = await rows_of(
        check_topics, cloud, HANDLERS="voice", EVENTS_VOICE_TYPES="voice.analytics"
    )

    assert rows == []


async def test_topics_that_cannot_be_read_are_a_warning(cloud):
    cloud.fail_with("topics", 403)

    [row] = await rows_of(check_topics, cloud, HANDLERS="voice")

    assert (row.state, SENTIMENT in row.remedy) == ("warn", True)

"""`worker check` on Genesys, the CRM and the webhooks: read, looked up, reached; never used."""

import asyncio
import ssl
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from tests.support.tls import a_certificate
from tests.unit.test_settings import GOOD
from worker.app import command_line
from worker.app.jobs import load_settings
from worker.cli.check.genesys import PERMISSION, TOKEN, TOPIC
from worker.cli.check.plan import checks_of, webhooks_of
from worker.clients import http_network, reach
from worker.emulators import CrmServer, CrmState, WebhookSink, serving
from worker.emulators.genesys import GenesysCloud, GenesysServer, token_rate_limited
from worker.emulators.genesys.conversations import a_flow
from worker.emulators.genesys.replies import html_200, missing_permission
from worker.jobs.attributes import AttributesSettings
from worker.jobs.attributes.checks import NIL_CONVERSATION, check_crm

ACTION = GOOD["GENESYS_ACTION_ID"]
FLOW = "f1000000-0000-4000-8000-000000000001"
CANARY = "canary-7f3a"
ORGANIZATION = {"Genesys organization", "Genesys request limit"}


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    return a_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
async def cloud():
    flow = a_flow(FLOW, {"tier": "string", "ltv": "number"})
    known = {"action_ids": {ACTION}, "flows": {FLOW: flow}}
    client = {"client_id": "client", "client_secret": "canary-secret"}
    async with GenesysServer(GenesysCloud(**client, **known)) as cloud:
        yield cloud


async def genesys_rows(cloud, handlers="voice,attributes", **environ):
    """The findings by name."""
    return {row.name: row for row in await genesys_findings(cloud, handlers, **environ)}


async def genesys_findings(cloud, handlers, **environ):
    settings = load_settings(
        {
            **GOOD,
            "HANDLERS": handlers,
            "GENESYS_API_URL": cloud.url,
            "GENESYS_LOGIN_URL": cloud.url,
            "GENESYS_FLOW_ID": FLOW,
            "CRM_API_ENDPOINT": "https://crm.example",
            **environ,
        }
    )
    checks = [
        one
        for name, one in checks_of(settings).items()
        if name.startswith("Genesys") and name not in {PERMISSION, TOPIC}
    ]
    async with command_line.open_with(settings) as context:
        await command_line.open_genesys(context)
        found = await asyncio.gather(*(check(context) for check in checks))
    return [row for rows in found for row in rows]


async def test_an_organization_whose_events_are_not_taken_fails(cloud):
    other = "0a900000-0000-4000-8000-00000000000f"
    wrong = (await genesys_rows(cloud, GENESYS_ORGANIZATION_ID=other))["Genesys organization"]
    right = cloud.organization_id.upper()

    assert wrong.state == "fail"
    assert cloud.organization_id in wrong.found
    assert "GENESYS_ORGANIZATION_ID" in wrong.remedy
    rows = await genesys_rows(cloud, GENESYS_ORGANIZATION_ID=right)
    assert rows["Genesys organization"].state == "ok"


async def test_each_reference_text_has_its_token_checked(cloud):
    """One that is refused hides behind no other's."""
    found = await genesys_findings(cloud, "voice,attributes", GENESYS_DIALECT="reference")
    cloud.fail_with("token", token_rate_limited, times=1)
    limited = await genesys_findings(cloud, "voice,attributes", GENESYS_DIALECT="reference")

    tokens = [(row.state, row.found) for row in found if row.name == TOKEN]
    assert tokens == [("ok", "r0: granted"), ("ok", "r2: granted")]
    # Both are asked for at once: either may come first.
    assert sorted(row.state for row in limited if row.name == TOKEN) == ["fail", "ok"]


async def test_data_action_and_flow_that_are_there_are_ok_and_nothing_runs(cloud):
    rows = await genesys_rows(cloud)

    assert {name: row.state for name, row in rows.items()} == {
        "Genesys token": "ok",
        "Genesys organization": "ok",
        "Genesys request limit": "ok",
        "Genesys data action limit": "ok",
        "Genesys data action": "ok",
        "Genesys flow": "ok",
    }
    assert rows["Genesys flow"].found == "exists, with 2 inputs"
    assert dict(cloud.counts) == {
        "token": 1,
        "whoami": 1,
        "limits": 2,
        "data_action_read": 1,
        "flow": 1,
    }


@pytest.mark.parametrize(
    ("handlers", "dialect", "names"),
    [
        ("voice", "platform", {*ORGANIZATION, "Genesys data action limit", "Genesys data action"}),
        ("attributes", "platform", {*ORGANIZATION, "Genesys flow"}),
        ("voice", "reference", set()),
        ("attributes", "reference", {"Genesys flow"}),
    ],
)
async def test_only_what_a_handler_that_is_on_needs_is_read(cloud, handlers, dialect, names):
    rows = await genesys_rows(cloud, handlers, GENESYS_DIALECT=dialect)

    assert set(rows) == {"Genesys token", *names}
    assert {row.state for row in rows.values()} == {"ok"}


@pytest.mark.parametrize(
    ("setting", "value", "limits", "name", "found"),
    [
        (
            "GENESYS_REQUESTS_PER_MINUTE",
            "240",
            {"platform.api": {"token.rate.per.minute": 300, "org.app.user.rate.per.minute": 100}},
            "Genesys request limit",
            (
                "ok: the organization grants 300 requests a minute (token.rate.per.minute); "
                "GENESYS_REQUESTS_PER_MINUTE is 240"
            ),
        ),
        (
            "GENESYS_REQUESTS_PER_MINUTE",
            "200.5",
            {
                "platform.api": {
                    "token.rate.per.minute": 300,
                    "client.credentials.token.rate.per.minute": 200,
                }
            },
            "Genesys request limit",
            (
                "warn: GENESYS_REQUESTS_PER_MINUTE is 200.5, but the organization grants "
                "200 requests a minute (client.credentials.token.rate.per.minute)"
            ),
        ),
        (
            "GENESYS_ACTION_CONCURRENCY",
            "51",
            {"dataactions": {"actions.concurrent.executions.max": 50}},
            "Genesys data action limit",
            (
                "warn: GENESYS_ACTION_CONCURRENCY is 51, but the organization grants "
                "50 data actions at once (actions.concurrent.executions.max)"
            ),
        ),
        (
            "GENESYS_ACTION_CONCURRENCY",
            "51",
            {"dataactions": {"actions.concurrent.executions.max": 50.0}},
            "Genesys data action limit",
            (
                "warn: GENESYS_ACTION_CONCURRENCY is 51, but the organization grants "
                "50 data actions at once (actions.concurrent.executions.max)"
            ),
        ),
        (
            "GENESYS_ACTION_CONCURRENCY",
            "25",
            {"dataactions": {"actions.total.max": 500}},
            "Genesys data action limit",
            "warn: actions.concurrent.executions.max is not among the limits of dataactions",
        ),
    ],
)
async def test_settings_are_compared_with_the_limits_of_the_organization(
    cloud, setting, value, limits, name, found
):
    cloud.limits = cloud.limits | limits

    row = (await genesys_rows(cloud, **{setting: value}))[name]

    assert f"{row.state}: {row.found}" == found
    assert bool(row.remedy) == (row.state != "ok")


@pytest.mark.parametrize("answer", [403, 404, 500, html_200, missing_permission("a:b:view")])
async def test_limits_that_cannot_be_read_fail_nothing(cloud, answer):
    cloud.fail_with("limits", answer)

    rows = await genesys_rows(cloud)

    assert {rows[name].state for name in rows if name.endswith("limit")} == {"warn"}
    assert rows["Genesys request limit"].found.startswith("not read: genesys")
    assert "GENESYS_REQUESTS_PER_MINUTE, 240, is below" in rows["Genesys request limit"].remedy
    assert {row.state for row in rows.values()} == {"ok", "warn"}


@pytest.mark.parametrize(
    ("setting", "value", "name", "found"),
    [
        (
            "GENESYS_ACTION_ID",
            "custom_-_other",
            "Genesys data action",
            "this data action does not exist",
        ),
        (
            "GENESYS_ACTION_ID",
            "../users",
            "Genesys data action",
            "data action id cannot be part of a path",
        ),
        ("GENESYS_FLOW_ID", FLOW.replace("f1", "f2"), "Genesys flow", "this flow does not exist"),
    ],
)
async def test_an_id_that_nothing_has_fails_and_names_the_setting(
    cloud, setting, value, name, found
):
    row = (await genesys_rows(cloud, **{setting: value}))[name]

    assert (row.state, row.found) == ("fail", found)
    assert setting in row.remedy


async def test_a_flow_of_which_nothing_is_published_fails(cloud):
    del cloud.flows[FLOW]["publishedVersion"]

    row = (await genesys_rows(cloud))["Genesys flow"]

    assert (row.state, row.found) == ("fail", "no version with inputs is published")


async def test_no_permission_to_see_the_data_action_is_a_warning_as_the_worker_needs_none(cloud):
    cloud.fail_with("data_action_read", 403)

    row = (await genesys_rows(cloud))["Genesys data action"]

    assert (row.state, row.found) == ("warn", "cannot be read: 403")
    assert "integrations:action:view" in row.remedy


async def test_no_permission_to_read_the_flow_fails_as_the_worker_needs_it(cloud):
    cloud.fail_with("flow", 403)

    row = (await genesys_rows(cloud))["Genesys flow"]

    assert (row.state, "architect:flow:view" in row.remedy) == ("fail", True)


async def test_a_genesys_that_fails_now_hides_nothing_else(cloud):
    cloud.fail_with("data_action_read", 503)
    cloud.fail_with("flow", 503)

    rows = await genesys_rows(cloud)

    assert rows["Genesys organization"].state == "ok"
    assert rows["Genesys data action"].state == "warn"
    assert rows["Genesys flow"].state == "fail"


async def test_a_refused_client_is_one_finding_and_not_one_for_each_read(cloud):
    rows = await genesys_rows(cloud, GENESYS_CLIENT_SECRET="another")

    assert {name: row.state for name, row in rows.items()} == {"Genesys token": "fail"}


async def test_an_api_host_out_of_reach_fails_each_read(cloud, closed_port):
    rows = await genesys_rows(cloud, GENESYS_API_URL=f"http://127.0.0.1:{closed_port}")

    limits = [rows.pop(name) for name in list(rows) if name.endswith("limit")]
    assert rows.pop("Genesys token").state == "ok"
    assert {row.state for row in rows.values()} == {"fail"}
    assert {row.found for row in rows.values()} == {"genesys: ConnectionRefusedError"}
    assert {row.state for row in limits} == {"warn"}


async def crm_row(url, **environ):
    settings = load_settings({**GOOD, "CRM_API_ENDPOINT": url, **environ})
    async with command_line.open_with(settings) as opened:
        context = command_line.for_job(opened, "attributes")
        [row] = await check_crm(context, settings.of(AttributesSettings))
        return row


@asynccontextmanager
async def a_crm(**state):
    async with CrmServer(CrmState(**state)) as served:
        yield served


async def test_a_crm_that_knows_no_one_of_that_id_is_ok():
    async with a_crm(token=CANARY) as server:
        row = await crm_row(server.url, CRM_API_TOKEN=CANARY)

    assert (row.state, dict(server.counts)) == ("ok", {404: 1})
    assert "as would a wrong path" in row.found


async def test_a_crm_that_has_an_answer_for_everyone_is_ok():
    async with a_crm(by_conversation={NIL_CONVERSATION: {"tier": "none"}}) as server:
        row = await crm_row(server.url)

    assert (row.state, row.found) == ("ok", "answers 200 for a conversation that does not exist")


@pytest.mark.parametrize(
    ("state", "setting"),
    [
        ({"token": CANARY}, "CRM_API_TOKEN"),
        ({"status": 403}, "CRM_API_TOKEN"),
        ({"status": 400}, "CRM_API_ENDPOINT"),
        ({"status": 503}, "CRM_API_ENDPOINT"),
        ({"status": 302}, "CRM_API_ENDPOINT"),
    ],
)
async def test_a_crm_that_would_fail_every_event_fails_and_names_the_setting(state, setting):
    async with a_crm(**state) as served:
        row = await crm_row(served.url, CRM_API_TOKEN="stale-7f3a")

    assert (row.state, setting in row.remedy) == ("fail", True)
    assert "7f3a" not in str(row)


async def test_a_page_in_place_of_a_record_fails():
    async def page(_):
        return web.Response(text="<html>please sign in</html>")

    app = web.Application()
    app.router.add_get("/customers", page)
    async with serving(app) as url:
        row = await crm_row(f"{url}/customers")

    assert (row.state, row.found) == ("fail", "crm: unreadable reply")


async def test_a_crm_out_of_reach_fails(closed_port):
    row = await crm_row(f"http://127.0.0.1:{closed_port}/customers?key={CANARY}")

    assert (row.state, row.found) == ("fail", "crm: ConnectionRefusedError")
    assert CANARY not in str(row)


def the_webhook(url):
    [found] = webhooks_of(load_settings({**GOOD, "HANDLERS": "sentiment", "CRM_WEBHOOK_URL": url}))
    return found


async def webhook_row(url):
    name, url = the_webhook(url)
    return await reach(name, url)


def test_only_webhooks_of_handlers_that_are_on_are_reached():
    names = ("ANALYTICS_WEBHOOK_URL", "CRM_WEBHOOK_URL", "ALERT_WEBHOOK_URL", "REPORT_WEBHOOK_URL")
    urls = {name: f"https://{name.lower().replace('_', '-')}.example/x" for name in names}
    handlers = {"attributes": names[:1], "sentiment": names[1:3], "reports": names[3:], "voice": ()}
    others = {"CRM_API_ENDPOINT": "https://crm.example", "REPORT_BUCKET": "reports"}

    for handler, wanted in handlers.items():
        environ = {**GOOD, **urls, **others, "GENESYS_FLOW_ID": FLOW, "HANDLERS": handler}
        found = webhooks_of(load_settings(environ))
        assert [(name, str(url)) for name, url in found] == [(name, urls[name]) for name in wanted]


async def test_a_webhook_that_is_reached_is_ok_and_nothing_is_posted():
    async with WebhookSink() as sink:
        row = await webhook_row(f"{sink.url}/{CANARY}?key={CANARY}")

    assert (row.state, sink.deliveries) == ("ok", [])
    assert row.found.endswith("is reached without TLS; not called")
    assert CANARY not in str(row)


@asynccontextmanager
async def a_tls_host(certificate):
    """Yields its port, and a future of what its first client sent after the handshake."""
    sent = asyncio.get_running_loop().create_future()

    async def listen(reader, writer):
        try:
            sent.set_result(await reader.read())
        except ConnectionError:
            sent.set_result(b"")
        writer.transport.abort()

    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate)
    async with await asyncio.start_server(listen, "127.0.0.1", 0, ssl=tls) as server:
        yield server.sockets[0].getsockname()[1], sent


async def test_a_webhook_behind_tls_is_shaken_hands_with_and_sent_nothing(certificate, monkeypatch):
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))

    async with a_tls_host(certificate) as (port, sent):
        row = await webhook_row(f"https://localhost:{port}/{CANARY}")

        assert await asyncio.wait_for(sent, 10) == b""
    assert (row.state, row.found) == (
        "ok",
        f"localhost:{port} is reached over TLS; not called",
    )


async def test_a_certificate_without_a_trusted_issuer_fails(certificate):
    async with a_tls_host(certificate) as (port, _):
        row = await webhook_row(f"https://localhost:{port}/{CANARY}")

    assert row.state == "fail"
    assert row.found == f"localhost:{port} is not reached: SSLCertVerificationError"
    assert "certificate" in row.remedy
    assert CANARY not in str(row)


async def test_a_webhook_out_of_reach_fails_without_its_path(closed_port):
    row = await webhook_row(f"https://127.0.0.1:{closed_port}/{CANARY}?key={CANARY}")

    assert row.state == "fail"
    assert row.found == f"127.0.0.1:{closed_port} is not reached: ConnectionRefusedError"
    assert "CRM_WEBHOOK_URL" in row.remedy
    assert CANARY not in str(row)


async def test_a_host_without_an_address_fails():
    row = await webhook_row("https://nowhere.invalid/x")

    assert (row.state, row.found) == ("fail", "nowhere.invalid:443 is not reached: gaierror")


async def test_a_host_that_never_shakes_hands_is_given_up(monkeypatch):
    monkeypatch.setattr(http_network, "CONNECT_SECONDS", 0.2)
    silence = asyncio.Event()

    async def listen(_, writer):
        await silence.wait()
        writer.transport.abort()

    async with await asyncio.start_server(listen, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        row = await webhook_row(f"https://127.0.0.1:{port}/x")
        silence.set()

    assert (row.state, row.found) == ("fail", f"127.0.0.1:{port} is not reached: TimeoutError")

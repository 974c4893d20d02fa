"""`worker check`: which checks are made, and that they neither wait for nor stop each other."""

import asyncio

import orjson
import pytest
from aiohttp import web

from tests.cli.in_thread import in_thread
from tests.support.aws_stub import SILENCE, Stub
from tests.support.factories import an_id
from tests.unit.test_settings import GOOD, VOICE
from worker.app.jobs import load_settings
from worker.cli.check import plan
from worker.cli.check.plan import checks_of, findings_of
from worker.demo.environment import PASS
from worker.emulators import CrmServer, CrmState, WebhookSink, serving
from worker.emulators.genesys import GenesysCloud, GenesysServer
from worker.emulators.genesys.conversations import a_flow
from worker.emulators.genesys.replies import missing_permission

FLOW = "f1000000-0000-4000-8000-000000000001"
TOKEN = "canary-crm-token"
ALL = {
    **GOOD,
    "GENESYS_FLOW_ID": FLOW,
    "CRM_API_ENDPOINT": "https://crm.example/customers",
    "STEP_FUNCTIONS_ARN": "arn:aws:states:eu-west-1:1:stateMachine:m",
    "CRM_WEBHOOK_URL": "https://crm.example/hook",
    "REPORT_BUCKET": "reports",
}


def names_of(**environ):
    return set(checks_of(load_settings({**ALL, **environ})))


@pytest.mark.parametrize(
    ("handler", "names"),
    [
        ("voice", {"DynamoDB table", "Genesys data action"}),
        ("attributes", {"CRM", "Genesys flow"}),
        ("workflow", {"state machine", "call details bucket"}),
        ("sentiment", {"event bus", "CRM_WEBHOOK_URL"}),
        ("reports", {"report bucket", "event bus"}),
    ],
)
def test_only_what_a_handler_that_is_on_needs_is_checked(handler, names):
    always = {"AWS credentials", "queue"}
    always |= {"Genesys token", "Genesys permission", "Genesys topic", "Genesys limits"}

    assert names_of(HANDLERS=handler) == always | names


def test_the_idempotency_table_is_checked_where_one_is_named():
    assert names_of(LEDGER_TABLE="idempotency") - names_of() == {"idempotency table"}


def test_the_budget_table_is_checked_where_replicas_share_one():
    shared = {"LEDGER_TABLE": "idempotency", "GENESYS_FLEET_REQUESTS_PER_MINUTE": "300"}

    assert names_of(**shared) - names_of(LEDGER_TABLE="idempotency") == {"budget table"}


@pytest.fixture
def a_workflow(aws):
    reply = aws(
        "stepfunctions",
        "create_state_machine",
        name=f"m-{an_id()}",
        definition=orjson.dumps(PASS).decode(),
        roleArn="arn:aws:iam::123456789012:role/demo",
    )
    return reply["stateMachineArn"]


@pytest.fixture
def others():
    """Genesys, a CRM, and one receiver of all webhooks."""
    flows = {FLOW: a_flow(FLOW, {"tier": "string"})}
    cloud = GenesysCloud(client_id="client", client_secret="canary-secret", flows=flows)
    crm = CrmState(token=TOKEN)
    servers = (lambda: GenesysServer(cloud), lambda: CrmServer(crm), WebhookSink)
    with in_thread(*servers) as started:
        yield started


def test_every_handlers_upstreams_have_a_row_and_no_secret_is_in_it(
    worker, aws, a_queue, a_workflow, others
):
    genesys, crm, sink = others
    aws("s3", "create_bucket", Bucket=(bucket := f"bucket-{an_id()}"))
    hooks = ("ANALYTICS_WEBHOOK_URL", "CRM_WEBHOOK_URL", "ALERT_WEBHOOK_URL", "REPORT_WEBHOOK_URL")

    done = worker(
        "check",
        "--json",
        **VOICE,
        SQS_QUEUE_URL=a_queue(),
        GENESYS_API_URL=genesys.url,
        GENESYS_LOGIN_URL=genesys.url,
        GENESYS_FLOW_ID=FLOW,
        CRM_API_ENDPOINT=crm.url,
        CRM_API_TOKEN=TOKEN,
        STEP_FUNCTIONS_ARN=a_workflow,
        WORKFLOW_DETAILS_BUCKET=bucket,
        REPORT_BUCKET=bucket,
        **dict.fromkeys(hooks, f"{sink.url}?key=canary-key"),
    )

    states = {row["name"]: row["state"] for row in done.json}
    # moto takes objects whatever their checksums: what S3 refuses is a warning here.
    assert {name: states[name] for name in states if "bucket" in name} == {
        "call details bucket": "warn",
        "report bucket": "warn",
    }
    wanted = ("state machine", "event bus", "Genesys data action", "Genesys flow", "CRM", *hooks)
    assert {name: states.get(name) for name in wanted} == dict.fromkeys(wanted, "ok")
    assert sink.deliveries == []
    assert "canary" not in done.out + done.err


def test_a_client_that_may_do_nothing_fails_with_the_permissions_it_lacks(
    worker, aws, a_queue, a_workflow, others
):
    genesys, crm, sink = others
    aws("s3", "create_bucket", Bucket=(bucket := f"bucket-{an_id()}"))
    genesys.permissions = set()
    genesys.fail_with("attributes", missing_permission("conversation:participant:attributes"))

    done = worker(
        "check",
        **VOICE,
        SQS_QUEUE_URL=a_queue(),
        GENESYS_API_URL=genesys.url,
        GENESYS_LOGIN_URL=genesys.url,
        GENESYS_FLOW_ID=FLOW,
        CRM_API_ENDPOINT=crm.url,
        CRM_API_TOKEN=TOKEN,
        STEP_FUNCTIONS_ARN=a_workflow,
        CRM_WEBHOOK_URL=sink.url,
        REPORT_BUCKET=bucket,
        COLUMNS="1000",
    )

    failed = [line for line in done.out.splitlines() if "Genesys permission" in line]
    assert done.code == 1
    for permission in (
        "integrations:action:execute",
        "conversation:communication:view",
        "architect:flow:view",
        "conversation:participant:attributes",
        "analytics:conversationDetail:view",
        "recording:recording:view and speechAndTextAnalytics:data:view",
    ):
        assert any("fail" in line and f"{permission} is missing" in line for line in failed), (
            permission
        )


async def test_services_that_never_answer_have_a_row_each_and_hide_no_other(monkeypatch):
    stub = Stub()
    stub.replies = [SILENCE]
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", stub.serve)
    monkeypatch.setattr(plan, "DEADLINE_SECONDS", 3)
    async with serving(app) as url, GenesysServer() as genesys:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        environ = {
            **ALL,
            "HANDLERS": "workflow,reports",
            "GENESYS_CLIENT_ID": genesys.client_id,
            "GENESYS_CLIENT_SECRET": genesys.client_secret,
            "GENESYS_API_URL": genesys.url,
            "GENESYS_LOGIN_URL": genesys.url,
        }
        rows = {row.name: row for row in await findings_of(load_settings(environ))}

    silent = ("AWS credentials", "queue", "state machine", "report bucket", "event bus")
    assert {rows[name].found for name in silent} == {"no answer in 3 s"}
    assert rows["Genesys token"].state == "ok"


async def test_a_host_that_no_name_service_can_be_asked_for_stops_no_other(
    monkeypatch, closed_port
):
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{closed_port}")
    host = f"https://{'a' * 64}.example"
    environ = {**ALL, "GENESYS_API_URL": host, "GENESYS_LOGIN_URL": host, "CRM_API_ENDPOINT": host}

    rows = await findings_of(load_settings({**environ, "CRM_WEBHOOK_URL": f"{host}/x"}))

    found = {row.name: row.found for row in rows if row.name in ("CRM", "CRM_WEBHOOK_URL")}
    assert found == {
        "CRM": "crm: the host name is not valid",
        "CRM_WEBHOOK_URL": "the host name is not valid",
    }


async def test_checks_are_made_side_by_side(monkeypatch, closed_port):
    """None is answered before all of them have asked."""
    asked, everyone = set(), asyncio.Event()

    async def answer(request):
        asked.add(request.headers["Authorization"].split("/")[3])
        if asked == {"sts", "sqs", "states", "s3", "events"}:
            everyone.set()
        await everyone.wait()
        return web.json_response({"__type": "AccessDeniedException"}, status=400)

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", answer)
    async with serving(app) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        nowhere = f"http://127.0.0.1:{closed_port}"
        environ = {**ALL, "GENESYS_LOGIN_URL": nowhere, "HANDLERS": "workflow,reports"}
        rows = {row.name: row.found for row in await findings_of(load_settings(environ))}

    assert everyone.is_set()
    assert rows["state machine"] == "AccessDeniedException to states:StartExecution"

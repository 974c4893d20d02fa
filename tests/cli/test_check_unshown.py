"""`worker check`: what no call without an effect shows, `--strict`, and `worker explain`."""

import shlex
from urllib.parse import parse_qs

import pytest
from aiohttp import web

from tests.cli.test_check_plan import ALL
from tests.support.aws_stub import Say, Stub
from worker.app.command_line import open_with
from worker.app.findings import settings_findings
from worker.app.jobs import known_jobs, load_settings
from worker.cli.check import exit_code, permissions
from worker.cli.check.permissions import needed, principal_of, untried_permissions
from worker.emulators import serving
from worker.findings import EXPLANATIONS, Finding, Permission, code_of, fail, ok, untried, warn

ROLE = "arn:aws:iam::111122223333:role/worker-task"
IDENTITY = ok("AWS credentials", "arn:aws:sts::111122223333:assumed-role/worker-task/session")
LINKS = Permission(
    action="s3:GetObject", setting="REPORT_BUCKET", resource="arn:aws:s3:::reports/reports/x"
)
DECISION = (
    '<SimulatePrincipalPolicyResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/">'
    "<SimulatePrincipalPolicyResult><EvaluationResults><member><EvalDecision>{}</EvalDecision>"
    "</member></EvaluationResults></SimulatePrincipalPolicyResult>"
    "</SimulatePrincipalPolicyResponse>"
)
DEAD_LETTERS = "https://sqs.eu-west-1.amazonaws.com/111122223333/dead"
WHOLE = {**ALL, "SQS_DEAD_LETTER_QUEUE_URL": DEAD_LETTERS}
REPORTS = {**WHOLE, "HANDLERS": "reports", "AWS_REGION": "eu-west-1"}


@pytest.fixture
async def iam(monkeypatch):
    stub = Stub()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", stub.serve)
    async with serving(app) as stub.url:
        monkeypatch.setenv("AWS_ENDPOINT_URL_IAM", stub.url)
        yield stub


def tried(*actions):
    """What the calls of a check have shown."""
    settings = {"events": "EVENT_BUS_NAME", "s3": "REPORT_BUCKET", "sqs": "SQS_QUEUE_URL"}
    return [shown(one, settings[one.partition(":")[0]]) for one in actions]


def shown(action, setting, resource=""):
    permission = Permission(action=action, setting=setting, resource=resource)
    return Finding("x", "ok", "x", permission=permission)


SHOWN = (
    IDENTITY,
    *tried(*permissions.INTAKE, "events:PutEvents"),
    shown("s3:PutObject", "REPORT_BUCKET", LINKS.resource),
    shown("sqs:SendMessage", permissions.DEAD_LETTERS),
)


async def rows(*shown, **environ):
    async with open_with(load_settings({**REPORTS, **environ})) as context:
        return await untried_permissions(context, shown)


async def test_a_right_that_is_not_tried_has_the_command_that_tries_it(iam):
    iam.replies = [
        Say(403, b"<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>")
    ]

    [row] = await rows(*SHOWN)

    assert (row.state, row.code, row.permission) == ("untried", "AWS03", LINKS)
    assert row.found == "s3:GetObject (REPORT_BUCKET): no call without an effect shows it"
    command = shlex.split(row.remedy)
    assert command == [
        *("aws", "iam", "simulate-principal-policy", "--policy-source-arn", ROLE),
        *("--action-names", "s3:GetObject", "--resource-arns", LINKS.resource),
        *("--query", "EvaluationResults[].EvalDecision", "--output", "text"),
    ]


@pytest.mark.parametrize(
    ("decision", "state", "remedy"),
    [
        ("allowed", "ok", ""),
        (
            "implicitDeny",
            "warn",
            "allow the role s3:GetObject, unless the resource's own policy does",
        ),
        ("explicitDeny", "fail", "allow the role s3:GetObject"),
    ],
)
async def test_iam_is_asked_where_it_may_be(iam, decision, state, remedy):
    iam.replies = [Say(200, DECISION.format(decision).encode())]

    [row] = await rows(*SHOWN)

    assert (row.state, row.remedy) == (state, remedy)
    [(_, content)] = iam.asked
    asked = {name: value for name, [value] in parse_qs(content.decode()).items()}
    assert (asked["PolicySourceArn"], asked["ActionNames.member.1"]) == (ROLE, "s3:GetObject")
    assert asked["ResourceArns.member.1"] == LINKS.resource


async def test_the_resource_is_of_the_partition_of_the_role(iam):
    iam.replies = [Say(403)]
    china = ok("AWS credentials", "arn:aws-cn:sts::1:assumed-role/task/abc")

    [row] = await rows(china, *SHOWN[1:])

    assert row.permission.resource == LINKS.resource.replace("aws", "aws-cn")


async def test_a_check_without_an_answer_leaves_its_permissions_untried(iam):
    iam.replies = [Say(403)]

    found = {one.permission.action for one in await rows(IDENTITY)}

    assert found == {
        *permissions.INTAKE, "sqs:SendMessage", "s3:PutObject", "s3:GetObject", "events:PutEvents",
    }  # fmt: skip


async def test_without_an_identity_the_command_says_what_to_put_in(iam):
    [row] = await rows(*SHOWN[1:])

    assert "--policy-source-arn ROLE_ARN" in row.remedy
    assert "--resource-arns 'RESOURCE_ARN'" in row.remedy
    assert iam.asked == []


async def test_a_key_of_a_queue_is_asked_about_too(iam):
    iam.replies = [Say(200, DECISION.format("allowed").encode())]
    key = Permission(
        action="kms:Decrypt", setting="SQS_QUEUE_URL", resource="arn:aws:kms:x:1:key/k"
    )
    encrypted = Finding("AWS permission", "untried", "kms:Decrypt", permission=key)

    found = await rows(*SHOWN, encrypted)

    assert [(one.permission.action, one.state) for one in found] == [
        ("s3:GetObject", "ok"), ("kms:Decrypt", "ok"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arn", "expected"),
    [
        ("arn:aws:sts::1:assumed-role/task/abc", "arn:aws:iam::1:role/task"),
        ("arn:aws-cn:sts::1:assumed-role/task/abc", "arn:aws-cn:iam::1:role/task"),
        ("arn:aws:iam::1:user/path/me", "arn:aws:iam::1:user/path/me"),
        ("arn:aws:sts::1:federated-user/me", None),
        ("arn:aws:iam::1:root", None),
        ("?", None),
    ],
)
def test_whose_policies_are_asked_about(arn, expected):
    who = principal_of([ok("AWS credentials", arn)])

    assert (who and who.arn) == expected


@pytest.mark.parametrize(
    ("action", "value", "resource"),
    [
        ("dynamodb:PutItem", "voice", "table/voice"),
        ("events:PutEvents", "bus", "event-bus/bus"),
        ("kinesis:PutRecord", "presence", "stream/presence"),
        ("firehose:PutRecord", "lake", "deliverystream/lake"),
    ],
)
def test_a_name_in_a_setting_makes_the_resource_that_is_asked_about(action, value, resource):
    service = action.partition(":")[0]
    who = principal_of([IDENTITY])

    found = permissions.resource_of(action, value, who, "eu-west-1")

    assert found == f"arn:aws:{service}:eu-west-1:111122223333:{resource}"


@pytest.mark.parametrize(
    ("target", "action"),
    [
        ("s3://bucket/x", "s3:PutObject"),
        ("kinesis:stream", "kinesis:PutRecords"),
        ("bus:other", "events:PutEvents"),
        ("sqs:https://sqs.eu-west-1.amazonaws.com/111122223333/q", "sqs:SendMessage"),
        ("https://hook.example/x", None),
    ],
)
def test_forwarding_needs_the_action_of_its_target_alone(target, action):
    settings = load_settings(
        {**ALL, "HANDLERS": "forward", "FORWARD_TO": target, "FORWARD_TYPES": "*"}
    )

    found = [one.action for one in needed(settings, None, "x") if one.setting == "FORWARD_TO"]

    assert found == ([action] if action else [])


def test_every_action_of_intake_and_jobs_is_needed_where_all_is_on():
    tables = {"LEDGER_TABLE": "l", "BUDGET_TABLE": "b", "GENESYS_FLEET_REQUESTS_PER_MINUTE": "300"}
    more = {"WORKFLOW_DETAILS_BUCKET": "call-details", "ECS_AGENT_URI": "http://127.0.0.1/x"}

    found = {
        (one.action, one.setting)
        for one in needed(load_settings({**WHOLE, **tables, **more}), None, "x")
    }

    declared = {
        pair
        for name, job in known_jobs().items()
        if name != "forward"
        for pair in job.aws_actions.items()
    }
    assert found >= declared
    assert found - declared == {
        *((action, "SQS_QUEUE_URL") for action in permissions.INTAKE),
        *((action, "LEDGER_TABLE") for action in permissions.CLAIMS),
        ("sqs:SendMessage", "SQS_DEAD_LETTER_QUEUE_URL"),
        ("dynamodb:UpdateItem", "BUDGET_TABLE"),
        ("ecs:UpdateTaskProtection", "ECS_AGENT_URI"),
    }


OUT_OF_REACH = fail("queue", "EndpointConnectionError", "check")


@pytest.mark.parametrize(
    ("findings", "plain", "strict"),
    [
        ([ok("x", "x")], 0, 0),
        ([warn("x", "x", "y")], 0, 1),
        ([untried("x", "x", "y")], 0, 1),
        ([fail("x", "x", "y")], 1, 1),
        ([ok("x", "x"), OUT_OF_REACH], 3, 3),
        ([fail("queue", "no answer in 20 s", "check")], 3, 3),
        ([warn("x", "x", "y"), OUT_OF_REACH], 3, 1),
        ([fail("x", "x", "y"), OUT_OF_REACH], 1, 1),
    ],
)
def test_the_exit_code_says_who_has_to_act(findings, plain, strict):
    assert (exit_code(findings), exit_code(findings, strict=True)) == (plain, strict)


def test_a_code_is_explained_with_what_to_do(worker):
    done = worker("explain", "sqs05")

    assert done.code == 0
    assert done.out.startswith(
        "SQS05  sqs:ReceiveMessage\n\nThe permission to receive from the queue"
    )
    assert "What to do: Allow the role sqs:ReceiveMessage on the queue" in done.out
    assert worker("explain", "SQS05", "--json").json[0]["names"] == ["sqs:ReceiveMessage"]


def test_without_a_code_all_are_listed(worker):
    done = worker("explain")

    assert [line.split()[0] for line in done.out.splitlines()] == [one.code for one in EXPLANATIONS]
    assert len(worker("explain", "--json").json) == len(EXPLANATIONS)


def test_an_unknown_code_names_near_ones(worker):
    done = worker("explain", "SQS5")

    assert done.code == 2
    assert "no code is 'SQS5'" in done.err
    assert "SQS05" in done.err


def test_an_unknown_code_that_is_near_none_names_the_list_alone(worker):
    done = worker("explain", "nonsense")

    assert done.code == 2
    assert "did you mean" not in done.err
    assert "`worker explain` lists all" in done.err


def test_codes_are_stable():
    assert {one.code: one.names for one in EXPLANATIONS} == {
        "SET01": ("settings", "bad setting"),
        "SET02": ("half-configured job",),
        "SET03": ("job off",),
        "SET04": ("unknown setting",),
        "SET05": ("longest wait",),
        "AWS01": ("AWS credentials", "AWS_ACCESS_KEY_ID"),
        "AWS02": ("AWS region",),
        "AWS03": ("AWS permission",),
        "SQS01": ("queue",),
        "SQS02": ("visibility timeout",),
        "SQS03": ("retention",),
        "SQS04": ("maxReceiveCount",),
        "SQS05": ("sqs:ReceiveMessage",),
        "SQS06": ("sqs:DeleteMessage",),
        "SQS07": ("sqs:ChangeMessageVisibility",),
        "DLQ01": ("dead-letter queue",),
        "DLQ02": ("dead-letter retention",),
        "DLQ03": ("redrive policy",),
        "DLQ04": ("sqs:SendMessage to the dead-letter queue",),
        "DDB01": ("DynamoDB table", "DYNAMODB_TABLE"),
        "DDB02": ("idempotency table", "LEDGER_TABLE"),
        "DDB03": ("budget table", "BUDGET_TABLE"),
        "EVB01": ("event bus", "EVENT_BUS_NAME"),
        "SFN01": ("state machine", "STEP_FUNCTIONS_ARN"),
        "BUC01": (
            "report bucket",
            "call details bucket",
            "REPORT_BUCKET",
            "WORKFLOW_DETAILS_BUCKET",
        ),
        "FWD01": ("forward target", "FORWARD_TO"),
        "GEN01": ("Genesys token", "GENESYS_CLIENT_SECRET", "GENESYS_ENVIRONMENT"),
        "GEN02": ("Genesys organization",),
        "GEN03": ("Genesys permission", "GENESYS_CLIENT_ID", "GENESYS_API_URL"),
        "GEN04": ("Genesys topic",),
        "GEN05": ("Genesys limits", "Genesys request limit", "Genesys data action limit"),
        "GEN06": ("Genesys data action", "GENESYS_ACTION_ID", "VOICE_INPUT_FIELD"),
        "GEN07": ("Genesys flow", "GENESYS_FLOW_ID"),
        "CRM01": ("CRM", "CRM_API_*"),
        "WEB01": ("*_WEBHOOK_URL", "WEBHOOK_SECRET"),
        "JOB01": ("*",),
    }


def test_every_check_of_the_box_has_a_code_of_its_own():
    names = [name for job in known_jobs().values() for name in job.checks]
    names += [field.upper() for job in known_jobs().values() for field in job.webhooks]
    names += [one.name for one in settings_findings(load_settings(ALL))]

    assert [name for name in names if code_of(name) == "JOB01"] == []
    assert code_of("events.fifo: retention") == "SQS03"
    assert code_of("job presence: agents") == "JOB01"

"""`worker check`: would the worker run here?"""

import asyncio
import json
import re
import threading
from contextlib import contextmanager
from uuid import uuid4

import pytest
from aiohttp import web
from botocore.exceptions import ClientError

from tests.cli.test_check_plan import ALL
from tests.unit.test_settings import GOOD
from worker.app.findings import (
    check_dead_letters,
    check_queue,
    check_region,
    queue_findings,
    settings_findings,
)
from worker.app.jobs import load_settings
from worker.cli.check.aws import check_queues
from worker.clients.aws import AwsService
from worker.clients.aws.sqs import attributes_of
from worker.emulators.genesys import GenesysServer
from worker.emulators.genesys.cloud import GenesysCloud

DAY = 86_400


@contextmanager
def served(server):
    """Run an async server in a thread of its own; yields what entering it gives."""
    loop, ready, box = asyncio.new_event_loop(), threading.Event(), {}

    async def serve():
        async with server as entered:
            box.update(entered=entered, stop=asyncio.Event())
            ready.set()
            await box["stop"].wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert ready.wait(5)
    yield box["entered"]
    loop.call_soon_threadsafe(box["stop"].set)
    thread.join()
    loop.close()


@pytest.fixture
def genesys():
    with served(
        GenesysServer(GenesysCloud(client_id="client", client_secret="canary-secret"))
    ) as g:
        yield g


@pytest.fixture
def a_table(aws):
    def make(partition="conversationId", sort="eventTimestamp"):
        name = f"records-{uuid4().hex}"
        aws(
            "dynamodb",
            "create_table",
            TableName=name,
            AttributeDefinitions=[
                {"AttributeName": key, "AttributeType": "S"} for key in (partition, sort)
            ],
            KeySchema=[
                {"AttributeName": partition, "KeyType": "HASH"},
                {"AttributeName": sort, "KeyType": "RANGE"},
            ],
            BillingMode="PAY_PER_REQUEST",
        )
        return name

    return make


@pytest.fixture
def an_idempotency_table(aws):
    def make():
        name = f"idempotency-{uuid4().hex}"
        aws(
            "dynamodb",
            "create_table",
            TableName=name,
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )
        return name

    return make


@pytest.fixture
def environ(a_queue, aws, a_table, genesys):
    """All that `worker check` finds nothing wrong with."""
    dead_letters = a_queue(MessageRetentionPeriod=14 * DAY)
    arn = aws("sqs", "get_queue_attributes", QueueUrl=dead_letters, AttributeNames=["QueueArn"])
    policy = {"deadLetterTargetArn": arn["Attributes"]["QueueArn"], "maxReceiveCount": 50}
    queue = a_queue(RedrivePolicy=json.dumps(policy), VisibilityTimeout=60)
    return {
        **GOOD,
        "HANDLERS": "voice",
        "SQS_QUEUE_URL": queue,
        "SQS_DEAD_LETTER_QUEUE_URL": dead_letters,
        "DYNAMODB_TABLE": a_table(),
        "GENESYS_DIALECT": "reference",
        "GENESYS_API_URL": genesys.url,
    }


def states(run):
    return {row["name"]: row["state"] for row in run.json}


def test_all_is_ok_when_all_is_ok(worker, environ):
    run = worker("check", "--json", **environ)

    # The texts know scopes, and no call that could be made without an effect.
    assert states(run)["Genesys permission"] == "untried"
    assert [row["name"] for row in run.json if row["state"] != "ok"] == ["Genesys permission"]
    assert set(states(run)) == {
        "settings",
        "AWS credentials",
        "queue",
        "visibility timeout",
        "retention",
        "maxReceiveCount",
        "sqs:ReceiveMessage",
        "sqs:DeleteMessage",
        "sqs:ChangeMessageVisibility",
        "sqs:SendMessage to the dead-letter queue",
        "dead-letter queue",
        "DynamoDB table",
        "Genesys token",
        "Genesys permission",
    }
    assert run.code == 0


def test_the_findings_end_with_the_failures_and_their_number(worker, environ):
    run = worker("check", **{**environ, "DYNAMODB_TABLE": "none", "RETRY_HORIZON_SECONDS": "60"})

    *_, last, remedy, summary = run.out.splitlines()
    assert re.fullmatch(r"\d+ ok, \d+ not tried, \d+ warnings?, 1 failed", summary)
    assert "DynamoDB table" in last
    assert remedy.lstrip().startswith("→ ")


def test_a_command_for_what_is_not_tried_is_one_line_however_narrow_the_terminal(worker, environ):
    environ |= {"HANDLERS": "reports", "REPORT_BUCKET": "reports", "COLUMNS": "60"}

    run = worker("check", **environ)

    [command] = [line.strip() for line in run.out.splitlines() if "aws iam" in line]
    assert command.startswith("aws iam simulate-principal-policy --policy-source-arn arn:aws:iam:")
    assert "--action-names s3:GetObject --resource-arns 'arn:aws:s3:::reports/reports/" in command
    assert "run the command above" in " ".join(run.out.split())


def test_a_narrow_terminal_gets_whole_words(worker, environ):
    run = worker("check", **environ, COLUMNS="40")

    assert "ok SET01 settings: complete; jobs on:" in run.out
    assert max(map(len, run.out.splitlines()[:-1])) <= 40


def test_the_findings_for_machines_are_in_the_same_order(worker, environ):
    run = worker("check", "--json", **{**environ, "DYNAMODB_TABLE": "none"})

    found = [row["state"] for row in run.json]
    assert found == sorted(found, key=["ok", "untried", "warn", "fail"].index)
    assert found[-1] == "fail"


def test_the_table_is_for_people_and_shows_no_secret(worker, environ):
    run = worker("check", **environ)

    assert "maxReceiveCount" in run.out
    assert "canary-secret" not in run.out + run.err


def test_nothing_is_received_sent_written_or_deleted(worker, environ, aws):
    queue, table = environ["SQS_QUEUE_URL"], environ["DYNAMODB_TABLE"]
    aws("sqs", "send_message", QueueUrl=queue, MessageBody="{}")

    worker("check", **environ)

    reply = aws(
        "sqs",
        "receive_message",
        QueueUrl=queue,
        MessageSystemAttributeNames=["ApproximateReceiveCount"],
    )
    assert reply["Messages"][0]["Attributes"]["ApproximateReceiveCount"] == "1"
    assert aws("dynamodb", "scan", TableName=table)["Items"] == []


def test_a_queue_that_is_not_there_fails_and_hides_no_other_check(worker, environ):
    run = worker("check", "--json", **{**environ, "SQS_QUEUE_URL": environ["SQS_QUEUE_URL"] + "x"})

    assert (run.code, states(run)["queue"]) == (1, "fail")
    assert states(run)["DynamoDB table"] == "ok"


def test_a_table_that_is_not_there_fails(worker, environ):
    run = worker("check", "--json", **{**environ, "DYNAMODB_TABLE": "nowhere"})

    assert (run.code, states(run)["DynamoDB table"]) == (1, "fail")


def test_a_table_with_other_keys_fails(worker, environ, a_table):
    run = worker("check", "--json", **{**environ, "DYNAMODB_TABLE": a_table("id", "when")})

    assert (run.code, states(run)["DynamoDB table"]) == (1, "fail")


def test_the_idempotency_table_is_checked_where_there_is_one(worker, environ, an_idempotency_table):
    run = worker("check", "--json", **{**environ, "LEDGER_TABLE": an_idempotency_table()})

    assert (run.code, states(run)["idempotency table"]) == (0, "ok")


def test_the_table_of_the_fleets_budget_is_checked(worker, environ, an_idempotency_table, a_table):
    fleet = {**environ, "GENESYS_FLEET_REQUESTS_PER_MINUTE": "300"}

    right = worker("check", "--json", **{**fleet, "BUDGET_TABLE": an_idempotency_table()})
    wrong = worker("check", "--json", **{**fleet, "BUDGET_TABLE": a_table()})

    assert (right.code, states(right)["budget table"]) == (0, "ok")
    assert (wrong.code, states(wrong)["budget table"]) == (1, "fail")


def test_an_idempotency_table_with_other_keys_fails_and_says_which_it_needs(
    worker, environ, a_table
):
    run = worker("check", "--json", **{**environ, "LEDGER_TABLE": a_table()})

    assert (run.code, states(run)["idempotency table"]) == (1, "fail")
    remedy = next(row["remedy"] for row in run.json if row["name"] == "idempotency table")
    assert "partition key id (S)" in remedy


def test_what_is_out_of_reach_alone_exits_with_3(worker, environ):
    run = worker("check", "--json", **{**environ, "GENESYS_LOGIN_URL": "http://127.0.0.1:9"})

    assert (run.code, states(run)["Genesys token"]) == (3, "fail")


def test_what_is_wrong_counts_more_than_what_is_out_of_reach(worker, environ):
    environ |= {"GENESYS_LOGIN_URL": "http://127.0.0.1:9", "DYNAMODB_TABLE": "nowhere"}

    assert worker("check", "--json", **environ).code == 1


def test_a_refused_oauth_client_fails_without_its_secret(worker, environ):
    run = worker("check", "--json", **{**environ, "GENESYS_CLIENT_SECRET": "canary-7f3a"})

    assert (run.code, states(run)["Genesys token"]) == (1, "fail")
    assert "7f3a" not in run.out + run.err


def test_a_refused_oauth_client_fails_whichever_handlers_are_on(worker, environ):
    environ |= {"HANDLERS": "reports", "REPORT_BUCKET": "reports", "GENESYS_CLIENT_ID": "another"}

    run = worker("check", "--json", **environ)

    assert (run.code, states(run).get("Genesys token")) == (1, "fail")


def test_a_warning_is_no_failure(worker, environ):
    environ["SQS_DEAD_LETTER_QUEUE_URL"] = ""

    run = worker("check", "--json", **environ)

    assert (run.code, states(run)["dead-letter queue"]) == (0, "warn")
    assert worker("check", "--strict", **environ).code == 1


def test_a_handler_that_is_off_for_want_of_settings_is_a_warning():
    settings = load_settings(GOOD)

    found = [row.found for row in settings_findings(settings) if row.state == "warn"]

    assert found == [f"job {name} is off" for name in settings.disabled_jobs()]


def test_a_half_configured_job_fails():
    settings = load_settings({**ALL, "GENESYS_ACTION_ID": "", "GENESYS_ACTIONID": "custom"})

    [row] = [row for row in settings_findings(settings) if row.state == "fail"]

    assert row.found.startswith("job voice is off: GENESYS_ACTION_ID is not set; did you mean")
    assert "to turn it on, set GENESYS_ACTION_ID" in row.remedy


def test_missing_credentials_say_what_to_do(worker, environ, monkeypatch):
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")

    run = worker("check", "--json", **environ)

    assert states(run)["AWS credentials"] == "fail"
    assert "role" in next(row["remedy"] for row in run.json if row["name"] == "AWS credentials")


def test_bad_settings_are_rows_too_and_exit_with_2(worker):
    run = worker("check", "--json", SQS_CONCURRENCY="no")

    assert run.code == 2
    assert {row["found"] for row in run.json} >= {"SQS_CONCURRENCY", "SQS_QUEUE_URL"}


def test_the_organization_of_the_token_is_shown_on_the_platform(worker, environ):
    with served(a_platform()) as url:
        environ |= {"GENESYS_DIALECT": "platform", "GENESYS_API_URL": url, "GENESYS_LOGIN_URL": url}
        run = worker("check", "--json", **environ)

    found = {row["name"]: row["found"] for row in run.json}
    assert found["Genesys organization"] == "Acme (org-1)"


class a_platform:  # noqa: N801  reads as a factory
    """A login and API host that knows one organization."""

    async def __aenter__(self):
        async def token(_):
            return web.json_response({"access_token": "t" * 40, "expires_in": 86400})

        async def me(request):
            assert request.headers["Authorization"] == "Bearer " + "t" * 40
            return web.json_response({"organization": {"id": "org-1", "name": "Acme"}})

        app = web.Application()
        app.router.add_post("/oauth/token", token)
        app.router.add_get("/api/v2/tokens/me", me)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        host, port = self._runner.addresses[0][:2]
        return f"http://{host}:{port}"

    async def __aexit__(self, *_):
        await self._runner.cleanup()


WELL = {
    "QueueArn": "arn:aws:sqs:eu-west-1:1:work",
    "VisibilityTimeout": "60",
    "MessageRetentionPeriod": str(4 * DAY),
    "RedrivePolicy": json.dumps({"maxReceiveCount": 50}),
}
DEAD = {"QueueArn": "arn:aws:sqs:x:1:dead", "MessageRetentionPeriod": str(14 * DAY)}


def queue_of(over):
    """Return what a well-made queue says of itself, changed."""
    return attributes_of({"Attributes": {**WELL, **over}})


@pytest.mark.parametrize(
    ("over", "name", "state"),
    [
        ({"VisibilityTimeout": "9"}, "visibility timeout", "fail"),
        ({"VisibilityTimeout": "10"}, "visibility timeout", "ok"),
        ({"MessageRetentionPeriod": "21600"}, "retention", "fail"),
        ({"MessageRetentionPeriod": "43200"}, "retention", "warn"),
        ({"MessageRetentionPeriod": "43201"}, "retention", "ok"),
        ({"RedrivePolicy": "{}"}, "maxReceiveCount", "warn"),
        ({"RedrivePolicy": '{"maxReceiveCount": "9"}'}, "maxReceiveCount", "fail"),
        ({"RedrivePolicy": '{"maxReceiveCount": 10}'}, "maxReceiveCount", "warn"),
        ({"RedrivePolicy": '{"maxReceiveCount": 50}'}, "maxReceiveCount", "ok"),
    ],
)
def test_the_queue_is_held_to_the_settings(over, name, state):
    rows = check_queue(queue_of(over), load_settings(GOOD))

    assert next(row.state for row in rows if row.name == name) == state


def test_a_concurrency_the_heartbeat_cannot_keep_fails():
    settings = load_settings({**GOOD, "SQS_CONCURRENCY": "501"})

    rows = check_queue(queue_of({"VisibilityTimeout": "10"}), settings)

    assert next(row.state for row in rows if row.name == "visibility timeout") == "fail"


@pytest.mark.parametrize(
    ("over", "state"),
    [
        ({"QueueArn": "other", "MessageRetentionPeriod": str(14 * DAY)}, "ok"),
        ({"QueueArn": "other"}, "warn"),
        ({"MessageRetentionPeriod": str(14 * DAY)}, "fail"),
        ({"QueueArn": "other", "FifoQueue": "true"}, "fail"),
    ],
)
def test_the_dead_letter_queue_is_held_to_the_queue(over, state):
    [found] = check_dead_letters(queue_of({}), queue_of(over))

    assert found.state == state


@pytest.mark.parametrize(("target", "states"), [("dead", ["ok"]), ("another", ["ok", "fail"])])
def test_a_redrive_policy_with_another_target_is_pointed_out(target, states):
    policy = json.dumps({"maxReceiveCount": 50, "deadLetterTargetArn": f"arn:aws:sqs:x:1:{target}"})

    found = list(check_dead_letters(queue_of({"RedrivePolicy": policy}), queue_of(DEAD)))

    assert [one.state for one in found] == states
    assert all("another" in one.found for one in found[1:])


def test_a_well_made_queue_is_not_warned_of():
    assert queue_findings("work", queue_of({}), queue_of(DEAD), load_settings(GOOD)) == []


@pytest.mark.parametrize(
    ("over", "dead", "said"),
    [
        ({}, None, "SQS_DEAD_LETTER_QUEUE_URL"),
        ({}, {"QueueArn": WELL["QueueArn"]}, "is the queue itself"),
        ({"FifoQueue": "true"}, DEAD, "one queue is FIFO, the other is not"),
        ({}, DEAD | {"FifoQueue": "true"}, "one queue is FIFO, the other is not"),
        ({}, DEAD | {"MessageRetentionPeriod": "3600"}, "keeps messages 1.0 h, the queue 4.0 days"),
        (
            {"RedrivePolicy": '{"maxReceiveCount": 50, "deadLetterTargetArn": "a:other"}'},
            DEAD,
            "SQS moves messages to other",
        ),
        ({"RedrivePolicy": '{"maxReceiveCount": 3}'}, DEAD, "3: an outage would dead-letter"),
        ({"RedrivePolicy": '{"maxReceiveCount": 49}'}, DEAD, "49: a long outage would dead-letter"),
        ({"RedrivePolicy": "{}"}, DEAD, "no redrive policy"),
        ({"VisibilityTimeout": "3"}, DEAD, "3 s, from the queue: too short for a heartbeat"),
        ({"MessageRetentionPeriod": "3600"}, DEAD, "1.0 h, but retries go on for 6.0 h"),
    ],
)
def test_each_fault_of_a_queue_is_one_warning_with_its_remedy(over, dead, said):
    dead_letters = None if dead is None else queue_of(dead)

    [warning] = queue_findings("work", queue_of(over), dead_letters, load_settings(GOOD))

    assert warning.startswith("queue work: ")
    assert said in warning


def test_what_a_queue_does_not_report_is_not_warned_of():
    """Other servers that speak SQS leave out attributes."""
    silent = attributes_of({"Attributes": {"VisibilityTimeout": "60"}})

    found = queue_findings("work", silent, silent, load_settings(GOOD))

    assert [one for one in found if "maxReceiveCount" not in one] == []


@pytest.mark.parametrize(("region", "rows"), [("eu-west-1", 0), ("us-east-1", 1), ("", 0)])
def test_a_queue_of_another_region_is_pointed_out(region, rows):
    assert len(check_region(load_settings({**GOOD, "AWS_REGION": region}))) == rows


class DenyingSqs:
    """Answers attributes, and refuses all else: by its arguments, or as not allowed."""

    def __init__(self, denied):
        self._denied = denied

    async def get_queue_attributes(self, **_):
        return {"Attributes": WELL}

    async def _call(self, operation, code):
        code = "AccessDenied" if operation == self._denied else code
        raise ClientError({"Error": {"Code": code}}, operation)

    async def receive_message(self, **_):
        await self._call("ReceiveMessage", "ReadCountOutOfRange")

    async def send_message(self, **_):
        await self._call("SendMessage", "InvalidParameterValue")

    async def delete_message(self, **_):
        await self._call("DeleteMessage", "ReceiptHandleIsInvalid")

    async def change_message_visibility(self, **_):
        await self._call("ChangeMessageVisibility", "ReceiptHandleIsInvalid")


@pytest.mark.parametrize(
    "denied", ["ReceiveMessage", "SendMessage", "DeleteMessage", "ChangeMessageVisibility"]
)
async def test_a_denied_permission_is_distinguished_from_a_refused_argument(denied):
    settings = load_settings({**GOOD, "SQS_DEAD_LETTER_QUEUE_URL": f"{GOOD['SQS_QUEUE_URL']}-dead"})

    sqs = AwsService("sqs", DenyingSqs(denied), None)
    rows = {row.name: row.state for row in await check_queues(sqs, settings)}

    permissions = {name: state for name, state in rows.items() if name.startswith("sqs:")}
    assert len(permissions) == 4
    assert [name for name, state in permissions.items() if state == "fail"] == [
        name for name in permissions if denied in name
    ]


def test_every_queue_and_dead_letter_queue_has_its_rows(worker, environ, a_queue, aws):
    fifo = {"FifoQueue": "true", "MessageRetentionPeriod": 14 * DAY}
    bound, other = environ["SQS_QUEUE_URL"], a_queue(".fifo", **(fifo | {"VisibilityTimeout": 5}))
    dead = [environ["SQS_DEAD_LETTER_QUEUE_URL"], a_queue(".fifo", **fifo)]
    environ |= {
        "HANDLERS": "voice,reports",
        "REPORT_BUCKET": "reports",
        "SQS_QUEUE_URL": f"voice={bound},reports={other}",
        "SQS_DEAD_LETTER_QUEUE_URL": ",".join(dead),
    }

    found = states(worker("check", "--json", **environ))

    one, two = (url.rpartition("/")[2] for url in (bound, other))
    assert found[f"{one}: visibility timeout"] == "ok"
    assert found[f"{two}: visibility timeout"] == "fail"
    assert found[f"{one}: dead-letter queue"] == "ok"
    assert found[f"{two}: dead-letter retention"] == "warn"
    for url in dead:
        name = url.rpartition("/")[2]
        assert found[f"{name}: sqs:SendMessage to the dead-letter queue"] == "ok"


def test_nothing_is_sent_to_the_dead_letter_queue(worker, environ, aws):
    worker("check", **environ)

    counts = aws(
        "sqs", "get_queue_attributes",
        QueueUrl=environ["SQS_DEAD_LETTER_QUEUE_URL"], AttributeNames=["All"],
    )["Attributes"]  # fmt: skip
    assert counts["ApproximateNumberOfMessages"] == "0"
    assert counts["ApproximateNumberOfMessagesDelayed"] == "0"


@pytest.mark.parametrize(
    ("handler", "wait"),
    [
        ("voice", "VOICE_DEGRADE_AFTER_SECONDS"),
        ("attributes", "ATTRIBUTES_MAX_AGE_SECONDS"),
        ("workflow", "WORKFLOW_SETTLE_SECONDS"),
        ("sentiment", "SENTIMENT_SETTLE_SECONDS"),
    ],
)
def test_a_wait_that_outlasts_the_retries_is_reported(handler, wait):
    def reported(seconds):
        settings = load_settings({**ALL, "HANDLERS": handler, wait: seconds})
        return [row for row in settings_findings(settings) if wait in row.found]

    [row] = reported("21600")
    assert (row.state, "RETRY_HORIZON_SECONDS" in row.remedy) == ("warn", True)
    assert reported("21599") == []

"""`worker check` on a worker's whole environment: what is wrong is named, exit 1."""

import json

import pytest

from tests.service.conftest import sample
from tests.support.aws import sdk_client
from tests.support.commands import run_as_process, run_here
from worker.demo.environment import LEDGER_TABLE
from worker.emulators.sqs.control import Deny, When

POLICY = "because no identity-based policy allows the"


def failed(run):
    return {one["code"]: one for one in run.json if one["state"] == "fail"}


@pytest.fixture
def check(emulators):
    """Run the command with the worker's environment."""

    async def run(*arguments, **environ):
        return await run_here({**emulators.variables(), **environ}, "check", *arguments)

    return run


@pytest.mark.parametrize(
    ("call", "action", "code"),
    [
        ("ReceiveMessage", "sqs:ReceiveMessage", "SQS05"),
        ("DeleteMessage", "sqs:DeleteMessage", "SQS06"),
        ("ChangeMessageVisibility", "sqs:ChangeMessageVisibility", "SQS07"),
        ("SendMessage", "sqs:SendMessage", "DLQ04"),
    ],
)
async def test_an_action_that_is_denied_is_named_with_aws_own_text(
    emulators, check, call, action, code
):
    emulators.sqs.faults.add(call, Deny())

    run = await check("--json", HANDLERS="voice")

    assert run.code == 1, run.err
    [(found, row)] = failed(run).items()
    assert (found, row["action"]) == (code, action)
    assert row["found"].startswith(f"AccessDenied to {action}; AWS: User: arn:aws:")
    assert f"{POLICY} {action.lower()} action" in row["found"]
    assert row["remedy"] == f"allow the role {action}, and check the resource's own policy"


async def test_a_key_that_may_not_be_used_is_named_in_place_of_the_call(emulators, check):
    emulators.sqs.faults.add("SendMessage", Deny("kms:GenerateDataKey"))

    run = await check("--json", HANDLERS="voice")

    assert run.code == 1
    assert failed(run)["DLQ04"]["remedy"].startswith("allow the role kms:GenerateDataKey, ")


async def test_a_queue_whose_attributes_may_not_be_read_names_the_action(emulators, check):
    emulators.sqs.faults.add("GetQueueAttributes", Deny(), When(queue="genesys-events-dlq"))

    run = await check("--json", HANDLERS="voice")

    assert run.code == 1
    [(code, row)] = failed(run).items()
    assert (code, row["action"]) == ("DLQ01", "sqs:GetQueueAttributes")


async def test_what_else_may_be_done_with_such_a_queue_is_tried_all_the_same(emulators, check):
    for call in ("GetQueueAttributes", "DeleteMessage"):
        emulators.sqs.faults.add(call, Deny(), When(queue="genesys-events"))

    run = await check("--json", HANDLERS="voice")

    assert set(failed(run)) == {"SQS01", "SQS06"}
    assert {one["code"] for one in run.json if one["state"] == "ok"} > {"SQS05", "SQS07"}


async def test_another_queue_than_the_redrive_target_fails(emulators, check, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", emulators.sqs.endpoint_url)
    elsewhere = emulators.sqs.arn(emulators.sqs.create_queue("elsewhere"))
    policy = {"deadLetterTargetArn": elsewhere, "maxReceiveCount": 50}
    async with sdk_client("sqs") as sqs:
        await sqs.set_queue_attributes(
            QueueUrl=emulators.queue_url, Attributes={"RedrivePolicy": json.dumps(policy)}
        )

    run = await check("--json", HANDLERS="voice")

    assert run.code == 1
    [(code, row)] = failed(run).items()
    assert code == "DLQ03"
    assert row["found"] == (
        "SQS moves messages to elsewhere, which is not in SQS_DEAD_LETTER_QUEUE_URL"
    )


async def test_the_keys_of_encrypted_queues_are_listed_with_the_command(
    emulators, check, monkeypatch
):
    monkeypatch.setenv("AWS_ENDPOINT_URL", emulators.sqs.endpoint_url)
    key = "arn:aws:kms:us-east-1:123456789012:key/0b0b0b0b"
    async with sdk_client("sqs") as sqs:
        for url in (emulators.queue_url, emulators.dead_letter_url):
            await sqs.set_queue_attributes(QueueUrl=url, Attributes={"KmsMasterKeyId": key})

    run = await check("--json", HANDLERS="voice")

    untried = [one for one in run.json if one["state"] == "untried"]
    assert [(one["code"], one["action"]) for one in untried] == [
        ("AWS03", "kms:Decrypt"),
        ("AWS03", "kms:GenerateDataKey"),
    ]
    assert all(f"--resource-arns '{key}'" in one["remedy"] for one in untried)
    assert (run.code, (await check("--strict", HANDLERS="voice")).code) == (0, 1)


async def test_the_whole_environment_fails_nothing_and_sends_nothing(emulators, flow_and_customer):
    environment = {**emulators.variables(), "LEDGER_TABLE": LEDGER_TABLE}
    run = await run_as_process(environment, "check", "--json")

    assert failed(run) == {}
    assert run.code == 0
    assert sum(emulators.sqs.depth(emulators.queue_url)) == 0
    assert sum(emulators.sqs.depth(emulators.dead_letter_url)) == 0
    assert emulators.sqs.journal.receives == {}


async def test_what_is_out_of_reach_alone_exits_with_3(emulators):
    voice = {**emulators.variables(), "HANDLERS": "voice"}

    nowhere = {"GENESYS_LOGIN_URL": "http://127.0.0.1:9"}
    run = await run_as_process({**voice, **nowhere}, "check", "--json")
    wrong = await run_as_process({**voice, "SQS_QUEUE_URL": "no"}, "check", "--json")

    assert (run.code, wrong.code) == (3, 2)


NO_ACTION = "custom_-_00000000-0000-4000-8000-00000000dead"


@pytest.mark.parametrize(
    ("code", "environ"),
    [
        ("GEN01", {"GENESYS_CLIENT_SECRET": "expired"}),
        ("GEN03", {}),
        ("GEN06", {"GENESYS_ACTION_ID": NO_ACTION}),
        ("DDB01", {"DYNAMODB_TABLE": "gone"}),
    ],
)
async def test_a_running_worker_learns_the_same_finding_from_its_own_calls(
    emulators, check, start_worker, known_customer, eventually, code, environ
):
    emulators.genesys.action_ids = {emulators.variables()["GENESYS_ACTION_ID"]}
    emulators.genesys.permissions = set() if code == "GEN03" else None
    emulators.sqs.send(emulators.queue_url, sample("events/platform/sta_sentiment.json"))

    found = failed(await check("--json", HANDLERS="voice", **environ))
    async with start_worker(until_ready=False, HANDLERS="voice", **environ) as worker:

        async def has_it():
            problems = json.loads(await worker.page("/status"))["problems"]
            lines = worker.log.read_text().splitlines()
            logged = [json.loads(line) for line in lines if line.endswith("}")]
            # A token is no job's: its refusal is a line of its own.
            return code in {one["code"] for one in problems} and (
                code == "GEN01" or code in {one.get("finding_code") for one in logged}
            )

        await eventually(has_it)

    assert code in found

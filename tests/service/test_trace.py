"""`worker trace`: what all jobs did for one conversation, read back from where it shows."""

import json
from datetime import UTC, datetime

import aiohttp
import pytest

from tests.service.conftest import CONVERSATION, CUSTOMER, sample
from tests.support.commands import run_as_process, run_here
from tests.support.console import Visitor
from worker.app.command_line import for_job, open_with
from worker.app.jobs import load_settings
from worker.demo import WorkerProcess
from worker.demo.environment import LEDGER_TABLE, TABLE
from worker.emulators.genesys.cloud import Ended, a_conversation
from worker.emulators.sqs.model import Attribute
from worker.intake.dead_letters import RECORD_ATTRIBUTE
from worker.jobs.workflow import checks
from worker.settings import Idempotency

OTHER = "c0ffee00-0000-4000-8000-0000000000ff"
PHONE = "5550100001"
DEAD = "dead-letter queue genesys-events-dlq"


def note(run, where):
    return next(one["note"] for one in run.json["places"] if one["where"].startswith(where))


def problem(run, where):
    return next(one["problem"] for one in run.json["places"] if one["where"] == where)


@pytest.fixture
def environment(emulators):
    return {**emulators.variables(), "LEDGER_TABLE": LEDGER_TABLE}


@pytest.fixture
def trace(environment):
    """Run the command with the worker's environment."""

    async def run(*arguments, **environ):
        return await run_here({**environment, **environ}, "trace", *arguments)

    return run


def out_of_range():
    """A score that no conversation can have."""
    event = json.loads(sample("events/platform/sta_sentiment.json"))
    event["id"] = "99999999-3333-4333-8444-000000000001"
    event["detail"]["eventBody"]["sentimentOverallScore"] = 42.0
    return json.dumps(event)


@pytest.fixture
async def handled(emulators, start_worker, settled, known_customer, flow_and_customer, ended_call):
    """A conversation that had voice, workflow, attributes and a dead letter."""
    began = datetime.now(UTC).replace(microsecond=0)
    async with start_worker(LEDGER_TABLE=LEDGER_TABLE):
        for body in (
            sample("events/platform/customer_start.json"),
            sample("events/platform/sta_sentiment.json"),
            sample("events/platform/customer_end_voice.json"),
            out_of_range(),
        ):
            emulators.sqs.send(emulators.queue_url, body)
        await settled()
    return began


@pytest.fixture
def ended_call(emulators):
    """The call of the samples, as analytics knows it after its end."""
    times = {"start": "2026-03-02T10:12:26.000Z", "end": "2026-03-02T10:15:30.000Z"}
    record = a_conversation(CONVERSATION, "bb000000-0000-4000-8000-000000000001", **times)
    emulators.genesys.ended[CONVERSATION] = Ended(record)


async def test_all_that_the_jobs_did_is_listed_with_times_and_ids(trace, handled, emulators):
    run = await trace(CONVERSATION, "--json")

    assert run.code == 0, run.err
    found = {(one["job"], one["what"]): one for one in run.json["entries"]}
    assert set(found) == {
        ("voice", "voice record"),
        (None, "dead letter"),  # a score that cannot be read is no job's
        ("workflow", "execution"),
        ("attributes", "event"),
        ("attributes", "attributes"),
    }
    [dead_letter] = emulators.sqs.messages(emulators.dead_letter_url)
    assert found[None, "dead letter"]["id"] == dead_letter.id
    assert found["voice", "voice record"]["id"].startswith(f"{CONVERSATION} 2026-")
    assert found["voice", "voice record"]["state"] == "complete"
    assert found["voice", "voice record"]["where"] == f"DynamoDB table {TABLE}"
    assert found["workflow", "execution"]["id"].startswith(f"enrich_{CONVERSATION}_")
    assert found["workflow", "execution"]["state"] == "SUCCEEDED"
    assert found["attributes", "event"]["state"] == "done"
    assert len(bytes.fromhex(found["attributes", "event"]["id"])) == 32  # the dedupe key, no text
    assert found["attributes", "attributes"]["id"] == CUSTOMER
    times = [one["time"] for one in run.json["entries"]]
    assert times[-1] is None  # Genesys Cloud keeps none of an attribute
    assert times[:-1] == sorted(times[:-1])
    unsearched = {one["where"] for one in run.json["places"] if not one["searched"]}
    assert unsearched == {"forward", "reports", "audit entries and log"}
    assert min(map(datetime.fromisoformat, times[:-1])) >= handled


async def test_the_table_has_all_and_no_personal_data(environment, handled):
    run = await run_as_process(environment, "trace", CONVERSATION)

    assert run.code == 0
    for wanted in ("voice record", "execution", "dead letter", "attributes", "audit entries"):
        assert wanted in run.out
    assert PHONE not in run.out + run.err
    assert "gold" not in run.out + run.err


async def test_the_consoles_page_has_all_too(handled, emulators, environment, tmp_path):
    variables = {**environment, "OPS_PORT": "9"}
    program = ("-m", "worker", "console", "--port", "0")
    async with (
        WorkerProcess(variables, tmp_path / "log", program, until_ready=False) as console,
        aiohttp.ClientSession() as http,
    ):
        visitor = Visitor(http, console.url, None)
        linked = await visitor.get(f"/trace?conversation={CONVERSATION}")
        asked = await visitor.post("/trace", conversation=CONVERSATION, token=linked.token)

    for wanted in ("voice record complete", "execution SUCCEEDED", "attributes", "event done"):
        assert wanted in linked.words
        assert wanted in asked.words
    [dead_letter] = emulators.sqs.messages(emulators.dead_letter_url)
    assert dead_letter.id not in linked.text  # SQS has no read that does not hide what it reads
    assert dead_letter.id in asked.text
    assert emulators.sqs.depth(emulators.dead_letter_url).visible == 1
    assert PHONE not in linked.text + asked.text


async def test_nothing_is_found_of_another_conversation(trace, handled):
    run = await trace(OTHER)

    assert run.code == 1
    assert run.out.startswith(f"nothing was found for the conversation {OTHER}\n")


async def test_what_is_no_id_is_refused_before_anything_is_asked(trace):
    run = await trace("../../oauth/clients")

    assert run.code == 2
    assert "not a UUID" in run.err


async def test_places_that_do_not_answer_are_named(trace):
    nowhere = "http://127.0.0.1:9"

    run = await trace(
        CONVERSATION,
        "--json",
        AWS_ENDPOINT_URL=nowhere,
        AWS_ENDPOINT_URL_SQS=nowhere,
        GENESYS_API_URL=nowhere,
        GENESYS_LOGIN_URL=nowhere,
    )

    assert run.code == 3
    assert "EndpointConnectionError" in problem(run, DEAD)
    assert all(one["problem"] or one["note"] for one in run.json["places"])


async def test_a_place_that_fails_hides_no_other(trace, handled):
    run = await trace(CONVERSATION, "--json", DYNAMODB_TABLE="no-such-table")

    assert run.code == 0
    assert "ResourceNotFoundException" in problem(run, "voice")
    assert "execution" in {one["what"] for one in run.json["entries"]}


async def test_without_its_index_the_store_says_how_to_make_it(trace, emulators):
    async with emulators.aws("dynamodb") as dynamodb:
        await dynamodb.update_table(
            TableName=LEDGER_TABLE,
            GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": Idempotency.INDEX}}],
        )

    run = await trace(CONVERSATION, "--json")

    assert run.code == 1
    said = note(run, "idempotency store")
    assert f"it has no index {Idempotency.INDEX} yet; to make it: aws dynamodb update-table" in said


async def test_an_idempotency_table_that_does_not_exist_is_named(trace):
    run = await trace(CONVERSATION, "--json", LEDGER_TABLE="no-such-table")

    assert run.code == 1
    assert "check LEDGER_TABLE" in problem(run, "idempotency store")


async def test_without_a_table_it_says_that_each_process_remembers_for_itself(trace):
    run = await trace(CONVERSATION, "--json", LEDGER_TABLE="")

    assert note(run, "idempotency store").startswith("LEDGER_TABLE is not set")


async def test_dead_letters_are_a_sample_and_are_visible_again(trace, emulators):
    for _ in range(12):
        emulators.sqs.send(emulators.dead_letter_url, json.dumps({"about": CONVERSATION.upper()}))

    run = await trace(CONVERSATION, "--json", "--dead-letters", "5")

    assert run.code == 0
    assert len(run.json["entries"]) == 5
    assert note(run, DEAD).startswith("5 of about 12 messages were read: SQS shows a sample.")
    assert emulators.sqs.depth(emulators.dead_letter_url).visible == 12


async def test_hostile_text_of_a_dead_letter_is_escaped_and_masked(trace, emulators):
    record = {"reason": f"\x1b[2Jcall +1{PHONE}", "fingerprint": "abc", "job": "voice"}
    attribute = Attribute("String", json.dumps(record))
    emulators.sqs.send(
        emulators.dead_letter_url, CONVERSATION, attributes={RECORD_ATTRIBUTE: attribute}
    )

    run = await trace(CONVERSATION)

    assert run.code == 0
    assert "\x1b" not in run.out
    assert PHONE not in run.out


async def test_a_claim_whose_worker_is_gone_is_abandoned(trace, emulators):
    async with emulators.aws("dynamodb") as dynamodb:
        await dynamodb.put_item(
            TableName=LEDGER_TABLE,
            Item={
                "id": {"S": "sentiment|key"},
                "status": {"S": "IN_PROGRESS"},
                "conversationId": {"S": CONVERSATION},
                "leaseUntil": {"N": "1000"},
            },
        )

    run = await trace(CONVERSATION, "--json")

    [entry] = run.json["entries"]
    assert (entry["job"], entry["id"], entry["time"]) == ("sentiment", "key", None)
    assert entry["state"] == "abandoned: its lease is over"


async def test_a_mark_on_a_live_chat_is_found(trace, emulators, severe_chat):
    [customer] = emulators.genesys.conversations[CONVERSATION]["participants"]
    customer["attributes"] = {
        "sentimentForwardingId": OTHER,
        "forwardingStatus": "queued",
        "updatedAt": "2026-03-02T10:15:30.412Z",
    }

    run = await trace(CONVERSATION, "--json")

    [entry] = run.json["entries"]
    assert entry == {
        "time": "2026-03-02T10:15:30.412+00:00",
        "job": "sentiment",
        "what": "forwarding",
        "where": "Genesys Cloud, live conversation",
        "id": OTHER,
        "state": "queued",
    }


async def test_executions_are_looked_for_on_so_many_pages(emulators, monkeypatch):
    monkeypatch.setattr(checks, "PAGE", 1)
    monkeypatch.setattr(checks, "MAX_PAGES", 2)
    for name, value in emulators.variables().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_TRANSPORT", "sdk")
    settings = load_settings()
    arn = emulators.variables()["STEP_FUNCTIONS_ARN"]
    async with emulators.aws("stepfunctions") as workflows:
        for name in (
            f"enrich_{CONVERSATION}_00000000",
            "other-1",
            f"enrich_{CONVERSATION}_11111111",
        ):
            await workflows.start_execution(stateMachineArn=arn, name=name)

    async with open_with(settings) as context:
        job, of_workflow = for_job(context, "workflow"), settings.jobs["workflow"]
        [found] = await checks.trace(job, of_workflow, CONVERSATION)

    assert [one.id for one in found.entries] == [f"enrich_{CONVERSATION}_11111111"]
    assert found.note == "the latest 2 executions were searched, and there are more"

"""`worker inspect --live`: what it shows is what the sinks then receive."""

import json
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest

from tests.support.dynamodb import a_store_table
from tests.support.quick_aws import quick_aws  # noqa: F401  a fixture
from worker.app.jobs import known_jobs
from worker.cli.inspect.findings import inspected
from worker.demo.environment import FLOW_ID, SOURCES, STATE_MACHINE_ARN, TABLE, put_events
from worker.emulators.genesys import Ended, Spoken, a_conversation, a_flow, a_transcript
from worker.emulators.genesys.history import History, MadeUp
from worker.testing import emulators as emulators  # noqa: PLC0414  a fixture
from worker.testing import run_job

EVENTS = Path(__file__).parents[1] / "samples" / "events"
CONVERSATION = "c0ffee00-0000-4000-8000-000000000001"
CUSTOMER = "aa000000-0000-4000-8000-000000000001"
SESSION = "bb000000-0000-4000-8000-000000000001"
PHONE = "+15550100001"
NAME = "Zoe Canary"
BUCKETS = ("worker-reports", "worker-forward")
NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
DAY_MS = 1772323200000
"""The day of the sample report."""


@pytest.fixture
def cloud(emulators, monkeypatch):
    """Genesys Cloud and the CRM know the conversation of the samples; the clock stands."""
    monkeypatch.setattr("worker.app.context.now", lambda: NOW)
    monkeypatch.setenv("FORWARD_TYPES", "*.attributes")
    cloud = emulators.genesys
    times = {"start": "2026-03-02T10:12:26Z", "end": "2026-03-02T10:15:30Z"}
    record = a_conversation(CONVERSATION, SESSION, media_type="message", **times)
    cloud.ended[CONVERSATION] = Ended(record | {"callerName": NAME})
    transcript = a_transcript((-1, 0.9), (-1, 0.9))
    cloud.speech.conversations[CONVERSATION] = Spoken(-0.9, {SESSION: transcript})
    customer = {"id": CUSTOMER, "purpose": "customer", "address": f"tel:{PHONE}"}
    customer["calls"] = [{"id": SESSION, "state": "terminated"}]
    cloud.conversations[CONVERSATION] = {"id": CONVERSATION, "participants": [customer]}
    cloud.flows[FLOW_ID] = a_flow(FLOW_ID, {"tier": "string", "name": "string"})
    emulators.crm.by_phone[PHONE] = {"tier": "gold", "name": NAME}
    step = 86_400_000 // 40
    cloud.history = History(MadeUp(size=40, first_ms=DAY_MS, step_ms=step))
    return cloud


def sample(name):
    return (EVENTS / name).read_text()


def signed_away(value):
    """Without the signatures of links: they are of the second they were made in."""
    if isinstance(value, dict):
        return {key: signed_away(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [signed_away(one) for one in value]
    return value.partition("?")[0] if isinstance(value, str) else value


def shown_of(findings):
    """What `inspect --live --body` shows, a line per effect."""
    effects = []
    for one in findings:
        for write in one.written(body=True):
            effects += _shown_as(write)
    return sorted(json.dumps(signed_away(one), sort_keys=True) for one in effects)


def _shown_as(write):
    match write["to"], write["call"]:
        case "dynamodb", "PutItem":
            yield "item", write["TableName"], write["Item"]
        case "stepfunctions", "StartExecution":
            yield "execution", write["name"], orjson.loads(write["input"])
        case "events", "PutEvents":
            for entry in write["Entries"]:
                detail = orjson.loads(entry["Detail"])
                yield "event", entry["Source"], entry["DetailType"], entry["Time"][:19], detail
        case "s3", "PutObject":
            yield "object", write["Bucket"], write["Key"], write["Body"]
        case "genesys", call:
            yield "attributes", call, write["body"]["attributes"]
        case hook, "POST":
            sink = hook.removesuffix("_webhook")
            yield "hook", sink, write["headers"]["webhook-id"], write["body"]


async def received(emulators):
    """What the sinks have, in the same words."""
    effects = []
    for source in SOURCES:
        for event in await put_events(emulators, source):
            at = event["time"][:19]  # moto cuts it to whole seconds
            effects.append(("event", source, event["detail-type"], at, event["detail"]))
    for sink, hook in emulators.sinks.items():
        effects += [("hook", sink, one.id, one.body) for one in hook.taken]
    [customer] = emulators.genesys.conversations[CONVERSATION]["participants"]
    if "attributes" in customer:
        path = f"/api/v2/conversations/{CONVERSATION}/participants/{CUSTOMER}/attributes"
        effects.append(("attributes", f"PATCH {path}", customer["attributes"]))
    effects += [one async for one in _in_aws(emulators)]
    return sorted(json.dumps(signed_away(one), sort_keys=True) for one in effects)


async def _in_aws(emulators):
    async with emulators.aws("dynamodb") as dynamodb:
        for item in (await dynamodb.scan(TableName=TABLE))["Items"]:
            yield "item", TABLE, item
    async with emulators.aws("stepfunctions") as workflows:
        listed = await workflows.list_executions(stateMachineArn=STATE_MACHINE_ARN)
        for one in listed["executions"]:
            run = await workflows.describe_execution(executionArn=one["executionArn"])
            yield "execution", one["name"], orjson.loads(run["input"])
    async with emulators.aws("s3") as s3:
        for bucket in (await s3.list_buckets())["Buckets"]:
            listed = await s3.list_objects_v2(Bucket=bucket["Name"])
            for one in listed.get("Contents", []):
                stored = await s3.get_object(Bucket=bucket["Name"], Key=one["Key"])
                yield "object", bucket["Name"], one["Key"], text_of(await stored["Body"].read())


def text_of(content):
    from worker.cli.inspect.findings import plain

    return plain({"Body": content})["Body"]


OF_SAMPLES = [
    ("platform/sta_sentiment.json", {"voice"}, 1),
    ("platform/customer_end_voice.json", {"workflow"}, 1),
    ("platform/customer_end_message.json", {"workflow", "sentiment"}, 6),
    ("platform/customer_start.json", {"attributes"}, 2),
    ("platform/attributes_unrouted.json", {"forward"}, 1),
    ("reference/voice_analytics.json", {"voice"}, 1),
    ("reference/conversation_end.json", {"workflow"}, 1),
    ("reference/conversation_start.json", {"attributes"}, 2),
    ("reference/chat_sentiment.json", {"sentiment"}, 5),
    ("reference/report_due.json", {"reports"}, 6),
]
"""Each sample event, the jobs that it is for, and how many effects they have."""


@pytest.mark.parametrize(("name", "jobs", "effects"), OF_SAMPLES)
async def test_live_shows_what_the_sinks_then_receive(emulators, cloud, name, jobs, effects):
    body = sample(name)

    findings = await inspected([body], files={}, live=True)

    nothing = await received(emulators)
    for job in sorted(jobs):
        await run_job(known_jobs()[job], body)
    assert {one.job for one in findings} == jobs
    assert nothing == []
    assert shown_of(findings) == await received(emulators)
    assert len(shown_of(findings)) == effects
    assert all(one.passed for one in findings)


def test_every_sample_event_is_compared():
    samples = {str(path.relative_to(EVENTS)) for path in EVENTS.glob("*/*.json")}

    assert {name for name, _, _ in OF_SAMPLES} == samples


async def test_its_requests_are_drawn_from_the_budget_of_the_fleet(emulators, cloud, monkeypatch):
    async with emulators.aws("dynamodb") as dynamodb:
        table = await a_store_table(dynamodb)
        monkeypatch.setenv("BUDGET_TABLE", table)
        monkeypatch.setenv("GENESYS_FLEET_REQUESTS_PER_MINUTE", "300")

        [found] = await inspected([sample("reference/conversation_end.json")], files={}, live=True)

        items = (await dynamodb.scan(TableName=table))["Items"]
    assert found.passed
    assert [write.to for write in found.writes] == ["stepfunctions"]
    assert {one["id"]["S"].partition("|")[0] for one in items} == {"budget"}
    assert sum(int(one["used"]["N"]) for one in items) > 0


async def test_values_are_hidden_unless_they_are_asked_for(emulators, cloud):
    bodies = [path.read_text() for path in sorted(EVENTS.glob("*/*.json"))]

    findings = await inspected(bodies, files={}, live=True)

    hidden, shown = (
        json.dumps([one.as_dict(body=body) for one in findings]) for body in (False, True)
    )
    personal = (PHONE, NAME, "gold", '"-0.1"')
    assert [one for one in personal if one in hidden] == []
    assert [one for one in personal if one not in shown] == []


async def test_what_names_an_effect_is_shown(emulators, cloud):
    [found] = await inspected([sample("reference/voice_analytics.json")], files={}, live=True)

    [write] = found.as_dict(body=False)["writes"]
    assert (write["to"], write["call"], write["TableName"]) == ("dynamodb", "PutItem", TABLE)
    assert write["Item"]["conversationId"] == {"S": CONVERSATION}
    assert write["Item"]["enrichmentStatus"] == {"S": "complete"}
    assert write["Item"]["phoneNumber"] == {"S": "***"}
    assert write["Item"]["sentimentOverall"] == {"N": "***"}


async def test_an_attribute_that_looks_like_an_id_is_hidden(emulators, cloud):
    emulators.crm.by_phone[PHONE] = {"name": "d0000000-0000-4000-8000-000000000001"}

    [found] = await inspected([sample("platform/customer_start.json")], files={}, live=True)

    assert "d0000000" not in json.dumps(found.as_dict(body=False))
    assert "d0000000" in json.dumps(found.as_dict(body=True))


async def test_a_job_that_is_off_is_not_asked(emulators, cloud, monkeypatch):
    monkeypatch.delenv("CRM_WEBHOOK_URL")

    found = await inspected([sample("platform/customer_end_message.json")], files={}, live=True)

    assert {one.job: one.note for one in found} == {
        "sentiment": "nothing is asked: the job is off",
        "workflow": None,
    }


async def test_what_would_be_tried_again_says_when(emulators, cloud, monkeypatch):
    monkeypatch.setenv("WORKFLOW_SETTLE_SECONDS", "20000")
    del cloud.ended[CONVERSATION]

    [found] = await inspected([sample("reference/conversation_end.json")], files={}, live=True)

    assert not found.passed
    assert found.writes == ()
    assert found.problem.startswith("analytics does not show the conversation yet: it would be")


async def test_secrets_of_a_request_are_never_shown(emulators, cloud):
    [found] = await inspected([sample("platform/customer_start.json")], files={}, live=True)

    headers = [set(write.get("headers", ())) for write in found.written(body=True)]
    assert headers == [set(), {"webhook-id", "X-Trace-ID"}]
    assert "/hook" not in json.dumps(found.written(body=True))

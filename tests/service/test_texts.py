"""Each job on a server that knows its reference text and nothing else, and on what it has done.

The job is built and run as the daemon does; `worker run` itself is at the end.
"""

import json
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from tests.support import texts
from tests.support.factories import an_id
from tests.support.genesys import pasts
from tests.support.texts import CONVERSATION, DETAILS, FLOW, PHONE, QUEUE, serving_text
from worker.app.jobs import known_jobs
from worker.demo.environment import REPORT_BUCKET, put_events
from worker.emulators.genesys.cloud import Ended, Spoken, a_conversation
from worker.emulators.genesys.conversations import a_flow
from worker.emulators.genesys.history import History
from worker.errors import Misconfigured
from worker.events.origin import Result, iso
from worker.testing import run_job

SAMPLES = Path(__file__).parents[1] / "samples" / "events"
AGO = timedelta(seconds=40)


def event(name, **detail):
    """A recorded event, as if it had been sent just now."""
    body = json.loads((SAMPLES / name).read_text())
    at = datetime.now(UTC) - AGO
    body["time"] = iso(at)
    inner = body["detail"]
    if "eventBody" in inner:
        inner["timestamp"] = iso(at)
        if "eventTime" in inner["eventBody"]:
            inner["eventBody"]["eventTime"] = round(at.timestamp() * 1000)
    elif "timestamp" in inner:
        inner["timestamp"] = iso(at)
    inner.update(detail)
    return body


@pytest.fixture
def run(emulators, monkeypatch):
    """Return what runs a job on one event, its Genesys Cloud being a double."""
    for name, value in emulators.variables().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")

    async def ran(job, body, double, **over):
        return await run_job(
            known_jobs()[job],
            body,
            **{**settings_of(double), "GENESYS_FLOW_ID": FLOW, **over},
        )

    return ran


def settings_of(double):
    """The settings of a team whose gateway is that double: the host of tokens is its own."""
    return {
        "GENESYS_DIALECT": "reference",
        "GENESYS_API_URL": double.url,
        "GENESYS_LOGIN_URL": None,
        "GENESYS_CLIENT_ID": texts.CLIENT,
        "GENESYS_CLIENT_SECRET": texts.SECRET,
        "GENESYS_ATTEMPTS": "1",
        "GENESYS_ACTION_ID": texts.ACTION,
    }


CUSTOMER = {
    "customer_id": "CUST-8842",
    "tier": "enterprise",
    "ltv": 12500.0,
    "last_interaction": "2026-02-10T14:20:00Z",
}


async def test_r0_a_score_becomes_an_item_with_the_customer(run, records):
    async with serving_text(texts.r0({PHONE: CUSTOMER})) as double:
        result = await run("voice", event("reference/voice_analytics.json"), double)

    assert (result, double.refused) == (Result.OK, [])
    assert sum(double.asked.values()) == 2  # the token, and the data action
    [item] = await records()
    assert (item["crmTier"], item["crmLtv"]) == ({"S": "enterprise"}, {"N": "12500.0"})
    assert item["enrichmentStatus"] == {"S": "complete"}
    assert item["sentimentOverall"] == {"N": "0.35"}


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ("platform/sta_sentiment.json", {}),
        ("reference/voice_analytics.json", {"phoneNumber": None}),
    ],
)
async def test_r0_a_score_without_a_number_asks_for_no_conversation(body, detail, run, records):
    """The data action is the only call that text has: of no number it finds nothing out."""
    async with serving_text(texts.r0({PHONE: CUSTOMER})) as double:
        assert await run("voice", event(body, **detail), double) is Result.OK

    assert (double.refused, double.asked) == ([], {})
    [item] = await records()
    assert item["enrichmentStatus"] == {"S": "unidentified"}


async def test_r0_a_status_other_than_success_is_an_error(run, records):
    async with serving_text(texts.r0({})) as double:
        with pytest.raises(Exception, match="did not succeed"):
            await run("voice", event("reference/voice_analytics.json"), double)

    assert double.refused == []
    assert await records() == []


ENDED = {
    "conversationId": CONVERSATION,
    "conversationStart": "2026-03-02T10:12:26.000Z",
    "conversationEnd": "2026-03-02T10:15:30.000Z",
    "wrapUpCode": "resolved",
}


async def executions(emulators):
    """The inputs of all executions."""
    async with emulators.aws("stepfunctions") as client:
        arn = emulators.variables()["STEP_FUNCTIONS_ARN"]
        listed = (await client.list_executions(stateMachineArn=arn))["executions"]
        described = [
            await client.describe_execution(executionArn=one["executionArn"]) for one in listed
        ]
    return [json.loads(one["input"]) for one in described]


@pytest.mark.parametrize(
    "body", ["reference/conversation_end.json", "platform/customer_end_voice.json"]
)
@pytest.mark.parametrize(
    "pages", [[[ENDED]], [[], [ENDED]], [[], [], [ENDED]]], ids=["first", "second", "third"]
)
async def test_r1_an_execution_has_the_first_entity_of_all_pages(body, pages, run, emulators):
    async with serving_text(texts.r1(*pages)) as double:
        result = await run("workflow", event(body), double)

    assert (result, double.refused) == (Result.OK, [])
    assert double.asked[f"POST {DETAILS}"] == len(pages)
    [found] = await executions(emulators)
    assert (found["detailsStatus"], found["callDetails"]) == ("complete", ENDED)


async def test_r1_an_entity_without_an_id_is_the_one_that_was_asked_for(run, emulators):
    entity = {name: value for name, value in ENDED.items() if name != "conversationId"}
    async with serving_text(texts.r1([entity])) as double:
        await run("workflow", event("reference/conversation_end.json"), double)

    [found] = await executions(emulators)
    assert found["callDetails"] == entity


DEFINED = [
    {"name": "ltv", "dataType": "Number"},
    {"name": "vip", "dataType": "BOOLEAN"},
    {"name": "renewal", "dataType": "date"},
    {"name": "tier", "dataType": "string"},
]
TYPED = {"ltv": 12500.5, "vip": True, "renewal": "2026-09-30", "tier": "gold"}


@pytest.mark.parametrize(
    "body", ["reference/conversation_start.json", "platform/customer_start.json"]
)
async def test_r2_attributes_are_written_with_their_types(body, run, emulators):
    record = {"ltv": "12500.5", "vip": "yes", "renewal": "2026-09-30", "tier": "gold", "x": 1}
    emulators.crm.by_conversation[CONVERSATION] = record
    async with (
        serving_text(texts.r2_login()) as login,
        serving_text(texts.r2(DEFINED, TYPED)) as double,
    ):
        result = await run("attributes", event(body), double, GENESYS_LOGIN_URL=login.url)

    assert (result, double.refused, login.refused) == (Result.OK, [], [])
    assert double.bodies == [{"attributes": TYPED}]
    [note] = emulators.sinks["analytics"].taken
    assert note.body["attributes"] == TYPED


SCORED = [
    {"name": "sentimentOverallScore", "value": 0.91},
    {"name": "sentimentPositive", "value": 0.05},
    {"name": "sentimentNeutral", "value": 0.07},
    {"name": "sentimentNegative", "value": 0.88},
]
CHATS = ["reference/chat_sentiment.json", "platform/customer_end_message.json"]


@pytest.mark.parametrize("body", CHATS)
@pytest.mark.parametrize("number", [1, 2, 3])
async def test_r3_a_chat_is_forwarded_from_whatever_page_has_it(body, number, run, emulators):
    pages = [[] for _ in range(number - 1)] + [[{"metrics": SCORED}]]
    async with serving_text(texts.r3(*pages)) as double:
        result = await run("sentiment", event(body), double)

    assert (result, double.refused) == (Result.OK, [])
    assert double.asked[f"POST {DETAILS}"] == number
    assert double.asked[f"PUT /api/v2/conversations/{CONVERSATION}/attributes"] == 1
    put = await put_events(emulators, "genesys.sentiment.forwarder")
    matrix = {
        "polarity": "negative",
        "confidence": 0.91,
        "positive": 0.05,
        "neutral": 0.07,
        "negative": 0.88,
    }
    assert {one["detail-type"] for one in put} == {
        "ChatSentimentAnalysis",
        "ChatSentimentEscalation",
    }
    assert all(one["detail"]["sentimentMatrix"] == matrix for one in put)
    [note] = emulators.sinks["crm"].taken
    assert note.body["data"]["sentimentMatrix"] == matrix
    assert (
        double.bodies[-1]["attributes"]["sentimentForwardingId"]
        == (note.body["data"]["forwardingId"])
    )


async def test_r3_a_share_that_is_absent_is_none_of_the_chat(run, emulators):
    entity = {"conversationId": CONVERSATION, "metrics": [SCORED[0], SCORED[3]]}
    async with serving_text(texts.r3([entity])) as double:
        assert await run("sentiment", event(CHATS[0]), double) is Result.OK

    [note] = emulators.sinks["crm"].taken
    matrix = note.body["data"]["sentimentMatrix"]
    assert (matrix["positive"], matrix["neutral"], matrix["negative"]) == (0, 0, 0.88)


def a_row(seconds, talk, hold, code, *, at):
    return {
        "timestamp": f"2026-03-01T{at}:00Z",
        "conversation.media.type": "voice",
        "routing.queue.id": QUEUE,
        "metrics": {
            "conversation.duration.seconds": seconds,
            "agent.talk.seconds": talk,
            "agent.hold.seconds": hold,
            "wrapup.code": code,
        },
    }


async def test_r4_the_figures_are_those_of_three_pages(run, emulators):
    pages = (
        [a_row(100, 60, 10, "resolved", at="00:05"), a_row(200, 100, 20, "sale", at="01:00")],
        [a_row(300, 140, 30, "resolved", at="09:00")],
        [a_row(400, 200, 40, "other", at="23:59")],
    )
    start, end = "2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z"
    async with serving_text(texts.r4(start, end, *pages)) as double:
        result = await run("reports", event("reference/report_due.json"), double)

    assert (result, double.refused) == (Result.OK, [])
    assert double.asked[f"POST {DETAILS}"] == 3
    async with emulators.aws("s3") as s3:
        key = "reports/daily-voice/20260301T000000Z/report.json"
        file = await s3.get_object(Bucket=REPORT_BUCKET, Key=key)
        [row] = json.loads(await file["Body"].read())["rows"]
    assert row["conversation_count"] == 4
    assert row["avg_duration_seconds"] == 250
    assert (row["talk_ratio"], row["hold_ratio"]) == (0.5, 0.1)
    assert row["efficiency_score"] == 95
    assert row["unique_wrapup_codes"] == ["other", "resolved", "sale"]


@asynccontextmanager
async def text_of(job):
    """The double that a job's text makes."""
    calls = {
        "voice": texts.r0({PHONE: CUSTOMER}),
        "workflow": texts.r1([ENDED]),
        "attributes": texts.r2_login() | texts.r2(DEFINED, TYPED),
        "sentiment": texts.r3([{"metrics": SCORED}]),
        "reports": texts.r4("2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z", []),
    }
    async with serving_text(calls[job]) as double:
        yield double


EVENTS = {
    "voice": "reference/voice_analytics.json",
    "workflow": "reference/conversation_end.json",
    "attributes": "reference/conversation_start.json",
    "sentiment": "reference/chat_sentiment.json",
    "reports": "reference/report_due.json",
}
SCOPES = {
    "voice": "data:actions:execute",
    "workflow": "analytics:query",
    "attributes": "flow:read",
    "sentiment": "analytics:conversations:view",
    "reports": "analytics:read",
}


@pytest.mark.parametrize("job", SCOPES)
@pytest.mark.parametrize("named", [True, False], ids=["named", "unnamed"])
async def test_a_missing_scope_is_a_configuration_problem_that_names_it(job, named, run):
    """By the reply's own words; without them by the text."""
    async with text_of(job) as double:
        double.scope_error = {"error": "insufficient_scope"}
        if named:
            double.scope_error["error_description"] = "requires gateway:of:ours"
        with pytest.raises(Misconfigured) as caught:
            await run(job, event(EVENTS[job]), double, GENESYS_LOGIN_URL=double.url)

    scope = "gateway:of:ours" if named else SCOPES[job]
    assert scope in caught.value.reason
    assert scope in caught.value.remedy


@pytest.mark.parametrize("job", ["attributes", "sentiment"])
async def test_the_scope_of_a_write_is_its_own(job, run, emulators):
    emulators.crm.by_conversation[CONVERSATION] = {"tier": "gold"}
    async with text_of(job) as double:
        answer = double._calls
        write = next(one for one in answer if one[0] in {"PATCH", "PUT"})

        @texts.call
        def refused(_):
            double.scope_error = {"error": "insufficient_scope"}

        answer[write] = refused
        with pytest.raises(Misconfigured, match="conversation:write"):
            await run(job, event(EVENTS[job]), double, GENESYS_LOGIN_URL=double.url)


async def test_a_missing_scope_keeps_every_message_and_is_named_until_it_is_granted(
    emulators, start_worker, settled, eventually, records
):
    async with text_of("voice") as double:
        double.scope_error = {"error": "insufficient_scope"}
        settings = {k: v for k, v in settings_of(double).items() if v is not None}
        settings["GENESYS_LOGIN_URL"] = double.url
        async with start_worker(HANDLERS="voice", **settings) as worker:
            emulators.sqs.send(emulators.queue_url, json.dumps(event(EVENTS["voice"])))

            async def is_named():
                async with httpx.AsyncClient() as client:
                    reply = await client.get(f"{worker.url}/readyz")
                return reply.status_code == 503 and "data:actions:execute" in reply.text

            await eventually(is_named)
            assert sum(emulators.sqs.depth(emulators.dead_letter_url)) == 0
            double.scope_error = None
            await settled()

    assert sum(emulators.sqs.depth(emulators.dead_letter_url)) == 0
    [item] = await records()
    assert item["crmTier"] == {"S": "enterprise"}


async def test_a_token_that_one_text_is_refused_holds_up_no_other_job(
    emulators, start_worker, eventually
):
    """The server knows r1: the place where r3 asks is none to it."""
    async with text_of("workflow") as double:
        settings = {k: v for k, v in settings_of(double).items() if v is not None}
        settings |= {"GENESYS_LOGIN_URL": double.url, "HANDLERS": "workflow,sentiment"}
        async with start_worker(until_ready=False, **settings) as worker:
            emulators.sqs.send(emulators.queue_url, json.dumps(event(EVENTS["sentiment"])))

            async def is_refused():
                return "genesys login: 404" in await worker.page("/readyz")

            async def has_started():
                return len(await executions(emulators)) == 1

            await eventually(is_refused)
            emulators.sqs.send(emulators.queue_url, json.dumps(event(EVENTS["workflow"])))
            await eventually(has_started, 20)
            status = json.loads(await worker.page("/status"))

    states = {job["name"]: job["state"] for job in status["jobs"]}
    assert states["workflow"] == "open"
    assert states["sentiment"] != "open"
    assert sum(emulators.sqs.depth(emulators.dead_letter_url)) == 0


def prepare(emulators):
    """What the emulator has to know for one event of each job."""
    cloud, now = emulators.genesys, datetime.now(UTC)
    cloud.customers[PHONE] = CUSTOMER
    cloud.flows[FLOW] = a_flow(FLOW, {"vip": "boolean", "tier": "string"})
    cloud.conversations[CONVERSATION] = {"id": CONVERSATION}
    times = {"start": iso(now - timedelta(minutes=5)), "end": iso(now - AGO)}
    cloud.ended[CONVERSATION] = Ended(a_conversation(CONVERSATION, an_id(), **times))
    metrics = {one["name"]: one["value"] for one in SCORED}
    cloud.speech.conversations[CONVERSATION] = Spoken(metrics=metrics)
    cloud.empty_pages = 1
    cloud.history = History(pasts(250))
    emulators.crm.by_conversation[CONVERSATION] = {"tier": "gold", "vip": "yes"}


async def test_all_jobs_work_on_the_emulator_each_by_its_own_text(
    emulators, start_worker, settled, records
):
    """It grants a token for the calls of one text, and no other: nothing goes out under it."""
    prepare(emulators)
    settings = {"GENESYS_DIALECT": "reference", "GENESYS_FLOW_ID": FLOW}
    async with start_worker(HANDLERS=",".join(EVENTS), **settings) as worker:
        for name in EVENTS.values():
            emulators.sqs.send(emulators.queue_url, json.dumps(event(name)))
        await settled()
        readiness = await worker.page("/readyz")

    assert readiness == "ok\n"
    assert sum(emulators.sqs.depth(emulators.dead_letter_url)) == 0
    assert emulators.genesys.counts["token"] == 5
    assert emulators.genesys.counts["conversation"] == 0
    [item] = await records()
    assert item["crmTier"] == {"S": "enterprise"}
    [found] = await executions(emulators)
    assert found["callDetails"] == emulators.genesys.ended[CONVERSATION].record
    written = emulators.genesys.conversations[CONVERSATION]["attributes"]
    assert (written["vip"], written["tier"], written["forwardingStatus"]) == (
        True,
        "gold",
        "queued",
    )
    [ready] = emulators.sinks["report"].taken
    assert ready.body["conversationCount"] == 250


async def test_one_text_for_all_jobs_is_one_token(
    emulators, start_worker, settled, eventually, records
):
    """Of a gateway that takes one for all calls; this one does not, and says what is missing."""
    prepare(emulators)
    settings = {"GENESYS_DIALECT": "reference", "GENESYS_REFERENCE": "r0"}
    async with start_worker(HANDLERS="voice,workflow", **settings) as worker:
        emulators.sqs.send(emulators.queue_url, json.dumps(event(EVENTS["voice"])))
        await settled()
        emulators.sqs.send(emulators.queue_url, json.dumps(event(EVENTS["workflow"])))

        async def lacks_the_scope():
            return "analytics:query" in await worker.page("/readyz")

        await eventually(lacks_the_scope)

    assert emulators.genesys.counts["token"] == 1
    assert len(await records()) == 1

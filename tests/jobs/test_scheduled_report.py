"""From a due report to files, links and a notice: Genesys, S3 and bus over HTTP."""

import json
import re
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html import unescape
from importlib.resources import files
from random import Random
from typing import Any, NamedTuple

import httpx
import orjson
import pytest
from jsonschema import Draft202012Validator
from structlog.testing import capture_logs

from tests.support.aws import an_aws_client
from tests.support.factories import an_id
from tests.support.genesys import (
    DAY,
    DAY_MS,
    OTHER_QUEUE,
    QUEUE,
    a_cloud,
    a_day,
    a_past,
    a_reader,
    pasts,
)
from tests.support.s3 import a_bucket, a_guard
from worker.clients.aws.bus import Bus
from worker.clients.aws.session import AwsService
from worker.clients.genesys import Names
from worker.clients.http import HttpClient
from worker.clients.http_types import origin_of
from worker.clients.webhooks import WEBHOOK_LIMITS, Webhook
from worker.emulators import WebhookSink
from worker.emulators.genesys import GenesysCloud
from worker.emulators.genesys.replies import hang, missing_permission
from worker.errors import Permanent, Transient, Unavailable
from worker.events.origin import Result
from worker.jobs.reports import handler
from worker.jobs.reports.files import File
from worker.jobs.reports.handler import Subscribers, WriteReport
from worker.resilience import Cache, CachePolicy
from worker.resilience.work import OncePerKey
from worker.telemetry import metrics

FOLDER = "reports/daily-voice/20260301T000000Z/"
NEXT = "reports/daily-voice/20260302T000000Z/"
DAYS = timedelta(days=1)
READY_SCHEMA = Draft202012Validator(
    orjson.loads(files("worker.jobs.reports").joinpath("schemas/report_ready.json").read_bytes())
)
FILES = ["report.csv", "report.html", "report.json"]


def now():
    """Links are signed with the real time, or S3 would refuse them."""
    return datetime.now(UTC)


class Bench(NamedTuple):
    """A handler, and all it touches."""

    write: WriteReport
    cloud: GenesysCloud
    sink: WebhookSink
    sqs: Any
    queue: str

    async def events(self):
        """What arrived on the bus since the last look."""
        reply = await self.sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10)
        return [json.loads(message["Body"]) for message in reply.get("Messages", [])]

    async def stored(self, name, folder=FOLDER):
        return await self.write.bucket.get(folder + name)

    async def keys(self):
        bucket = self.write.bucket
        listed = await bucket._s3.client.list_objects_v2(Bucket=bucket.name)
        return sorted(entry["Key"] for entry in listed.get("Contents", []))


async def an_ear(events, sqs):
    """A bus whose every event goes to a queue; return both names."""
    name = f"bus-{an_id()[:8]}"
    queue = (await sqs.create_queue(QueueName=name))["QueueUrl"]
    arn = f"arn:aws:sqs:us-east-1:123456789012:{name}"
    await events.create_event_bus(Name=name)
    pattern = json.dumps({"account": ["123456789012"]})
    await events.put_rule(Name=name, EventBusName=name, EventPattern=pattern)
    await events.put_targets(Rule=name, EventBusName=name, Targets=[{"Id": "q", "Arn": arn}])
    return name, queue


@pytest.fixture
async def bench(moto, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto)
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        cloud = a_cloud([*pasts(120), a_past(23, queue_id=OTHER_QUEUE)])
        reader = await enter(a_reader(cloud))
        bucket = await enter(a_bucket(now))
        events = await enter(an_aws_client("events"))
        sqs = await enter(an_aws_client("sqs"))
        name, queue = await an_ear(events, sqs)
        bus = Bus(
            AwsService("events", events, a_guard("events"), "EVENT_BUS_NAME"),
            name,
            Random(1),
            wait_seconds=0,
        )
        stack.push_async_callback(bus.aclose)
        sink = await enter(WebhookSink())
        http = await enter(HttpClient("report", origin_of("report", sink.url), WEBHOOK_LIMITS))
        hook = Webhook("report", sink.url, None, a_guard("report"), http)
        listeners = Subscribers(bus=bus, hook=hook, once_per_key=OncePerKey())
        names = Names(reader._api, Cache("names", CachePolicy(100, 300, 300, 60), random=Random(1)))
        stack.push_async_callback(names.aclose)
        write = WriteReport(
            reader=reader, bucket=bucket, subscribers=listeners, now=now, names=names
        )
        yield Bench(write, cloud, sink, sqs, queue)


async def test_a_due_report_becomes_three_files_and_a_manifest(bench):
    result = await bench.write(a_day())

    assert result is Result.OK
    assert await bench.keys() == sorted(FOLDER + name for name in [*FILES, "manifest.json"])


async def test_the_figures_are_those_of_the_conversations(bench):
    await bench.write(a_day())

    rows = orjson.loads(await bench.stored("report.json"))["rows"]

    assert [(row["queueId"], row["conversation_count"]) for row in rows] == [
        (QUEUE, 120),
        (OTHER_QUEUE, 1),
    ]
    assert rows[0]["avg_duration_seconds"] == 60
    assert rows[0]["hold_ratio"] == 0.0833
    assert rows[0]["efficiency_score"] == 95.83


async def test_names_stand_beside_the_ids(bench):
    bench.cloud.names.queues = {QUEUE: "=Billing <b>", OTHER_QUEUE: "Sales"}

    await bench.write(a_day())

    rows = orjson.loads(await bench.stored("report.json"))["rows"]
    assert [row["queueName"] for row in rows] == ["=Billing <b>", "Sales"]
    assert f'"{QUEUE}","\'=Billing <b>"' in (await bench.stored("report.csv")).decode()
    assert "=Billing &lt;b&gt;" in (await bench.stored("report.html")).decode()


@pytest.mark.parametrize("answer", [missing_permission("routing:queue:view"), 404, 500, 429])
async def test_without_names_a_report_has_its_ids(bench, answer):
    bench.cloud.names.queues = {QUEUE: "Billing"}
    bench.cloud.fail_with("queues", answer, times=None if answer != 429 else 1)
    failed = metrics.best_effort_failures.labels("report_names")._value
    before = failed.get()

    result = await bench.write(a_day())

    rows = orjson.loads(await bench.stored("report.json"))["rows"]
    names = ["Billing", None] if answer == 429 else [None, None]
    assert result is Result.OK
    assert [(row["queueId"], row["queueName"]) for row in rows] == list(
        zip([QUEUE, OTHER_QUEUE], names, strict=True)
    )
    assert failed.get() - before == (0 if answer == 429 else 1)


@pytest.mark.parametrize("may_see_queues", [True, False])
async def test_the_page_has_one_share_in_card_and_bar_and_names_where_it_may(bench, may_see_queues):
    bench.cloud.names.queues = {QUEUE: "Billing", OTHER_QUEUE: "Sales"}
    if not may_see_queues:
        missing = missing_permission("routing:queue:view")
        bench.cloud.fail_with("queues", missing, times=None)

    await bench.write(a_day())

    page = (await bench.stored("report.html")).decode()
    card = re.findall(r"<dt>Hold</dt><dd>([^<]+)", page)[0]
    bars = re.findall(r"<title>hold: ([^<]+)</title>", page)
    shown = set(re.findall(r'data-label="Queue">([^<]+)</td>', page))
    assert card == "8.33\u202f%"
    assert set(bars) == {card}
    assert len(bars) == 2
    assert shown == ({"Billing", "Sales"} if may_see_queues else {short(QUEUE), short(OTHER_QUEUE)})


def short(uuid):
    return f"{uuid[:8]}…{uuid[-4:]}"


async def test_who_may_see_queues_and_not_users_has_the_names_of_queues(bench):
    bench.cloud.names.queues = {QUEUE: "Billing"}
    bench.cloud.fail_with("users", missing_permission("directory:user:view"))

    await bench.write(a_day(group_by=("queueId", "userId")))

    row = orjson.loads(await bench.stored("report.json"))["rows"][0]
    assert (row["queueName"], row["userName"]) == ("Billing", None)
    assert row["userId"]


async def test_a_list_of_names_that_does_not_answer_ends_with_its_time(bench, monkeypatch):
    monkeypatch.setattr(handler, "NAMES_SECONDS", 0.2)
    bench.cloud.fail_with("queues", hang)

    assert await bench.write(a_day()) is Result.OK


async def test_bus_and_webhook_are_notified_with_links_that_download(bench):
    await bench.write(a_day())

    (event,) = await bench.events()
    (delivery,) = bench.sink.deliveries
    assert (event["detail-type"], event["source"]) == ("report.ready", "genesys.report.writer")
    assert delivery.body == {"eventType": "report.ready", **event["detail"]}
    READY_SCHEMA.validate(event["detail"])
    async with httpx.AsyncClient() as browser:
        for file in event["detail"]["files"]:
            reply = await browser.get(file["url"])
            assert reply.content == await bench.stored(file["key"].removeprefix(FOLDER))


async def test_the_notification_says_what_the_report_is_of_and_how_long_the_links_live(bench):
    event = a_day()
    await bench.write(event)

    body = bench.sink.deliveries[0].body

    assert body["name"] == "daily-voice"
    assert body["interval"] == "2026-03-01T00:00:00Z/2026-03-02T00:00:00Z"
    assert (body["conversationCount"], body["rowCount"], body["complete"]) == (121, 2, True)
    assert not body["expiryLimitedByCredentials"]
    left = datetime.fromisoformat(body["expiresAt"]) - now()
    assert 86_300 < left.total_seconds() <= 86_400


async def test_the_same_event_again_has_the_same_ids_and_reads_nothing_again(bench):
    event = a_day()
    await bench.write(event)
    asked = bench.cloud.counts["details_query"]

    await bench.write(event)

    first, second = bench.sink.deliveries
    assert first.id == second.id == second.body["reportId"]
    assert bench.cloud.counts["details_query"] == asked


async def test_another_event_for_the_same_interval_replaces_the_files(bench):
    await bench.write(a_day())
    before = await bench.keys()
    bench.cloud.history.conversations = pasts(3)

    await bench.write(a_day())

    assert await bench.keys() == before
    assert orjson.loads(await bench.stored("manifest.json"))["conversationCount"] == 3


async def test_a_webhook_that_is_down_is_notified_later_and_the_bus_only_once(bench):
    event = a_day()
    bench.sink.status = 503
    with pytest.raises(Transient):
        await bench.write(event)
    asked, bench.sink.status = bench.cloud.counts["details_query"], 204

    assert await bench.write(event) is Result.OK

    assert bench.cloud.counts["details_query"] == asked
    assert len(await bench.events()) == 1
    assert bench.sink.deliveries[-1].status == 204


async def test_no_webhook_is_no_failure(bench):
    write = replace(bench.write, subscribers=replace(bench.write.subscribers, hook=None))

    assert await write(a_day()) is Result.OK
    assert len(await bench.events()) == 1


async def test_a_report_that_never_settled_is_degraded_and_says_so(bench):
    bench.cloud.history.spoil = lambda _, conversations: conversations[1:]

    result = await bench.write(a_day())

    assert result is Result.DEGRADED
    assert bench.sink.deliveries[0].body["complete"] is False


async def test_a_report_of_an_empty_day_is_written_too(bench):
    bench.cloud.history.conversations = []

    assert await bench.write(a_day()) is Result.OK
    assert bench.sink.deliveries[0].body["conversationCount"] == 0


async def test_no_manifest_is_left_behind_when_reading_fails(bench):
    bench.cloud.history.is_too_large = lambda _start, _end: True

    with pytest.raises(Unavailable):
        await bench.write(a_day())

    assert await bench.keys() == []


async def test_a_dimension_that_is_none_dead_letters_the_event(bench):
    with pytest.raises(Permanent):
        await bench.write(a_day(group_by=("colour",)))


async def test_no_link_is_in_any_log(bench):
    with capture_logs() as logs:
        await bench.write(a_day())

    assert "Signature" not in json.dumps(logs, default=str)
    assert any(entry["event"] == "report_written" for entry in logs)


async def test_the_period_before_is_taken_from_its_report_without_a_call(bench):
    await bench.write(a_day())
    bench.cloud.history.conversations = pasts(60)
    asked = bench.cloud.counts["details_query"]

    await replace(bench.write, reads_previous=True)(a_day(start=DAY + DAYS, end=DAY + 2 * DAYS))

    report = orjson.loads(await bench.stored("report.json", NEXT))
    assert report["previous"]["total"]["conversation_count"] == 121
    assert report["previous"]["interval"] == "2026-03-01T00:00:00Z/2026-03-02T00:00:00Z"
    assert bench.cloud.counts["details_query"] == asked + 1


async def test_the_period_before_is_read_where_it_has_no_report_and_that_is_asked_for(bench):
    write = replace(bench.write, reads_previous=True)

    await write(a_day(start=DAY + DAYS, end=DAY + 2 * DAYS))

    report = orjson.loads(await bench.stored("report.json", NEXT))
    assert report["total"]["conversation_count"] == 0
    assert report["previous"]["total"]["conversation_count"] == 121


@pytest.mark.parametrize("stored", [b"", b"[]", b'{"rows": [{}]}', b"NaN", "another"])
async def test_what_is_no_report_of_the_period_before_is_not_compared_with(bench, stored):
    if stored == "another":
        await bench.write(a_day(group_by=("queueId",)))
    else:
        await bench.write.bucket.put(FOLDER, File("report.json", "application/json", stored))

    assert await bench.write(a_day(start=DAY + DAYS, end=DAY + 2 * DAYS)) is Result.OK

    assert orjson.loads(await bench.stored("report.json", NEXT))["previous"] is None


async def test_a_report_does_not_fail_for_the_period_before(bench):
    failed = metrics.best_effort_failures.labels("report_previous")._value
    before = failed.get()
    bench.cloud.history.is_too_large = lambda start, _end: start < DAY_MS

    result = await replace(bench.write, reads_previous=True)(a_day())

    assert result is Result.OK
    assert failed.get() == before + 1
    assert orjson.loads(await bench.stored("report.json"))["previous"] is None


async def test_slack_is_sent_its_own_form_with_a_link_in_each_section(bench):
    listeners = replace(bench.write.subscribers, form="slack")
    await replace(bench.write, subscribers=listeners)(a_day())

    body = bench.sink.deliveries[0].body
    first, *links = [block["text"]["text"] for block in body["blocks"]]
    assert set(body) == {"text", "blocks", "unfurl_links", "unfurl_media"}
    assert not body["unfurl_links"]
    assert first.startswith("*daily-voice*\n1 March 2026 (UTC). 121 conversations in 2 groups.")
    assert [link.rpartition("|")[2] for link in links] == ["Page>", "CSV>", "JSON>"]
    url = unescape(links[1][1:].partition("|")[0])
    async with httpx.AsyncClient() as browser:
        assert (await browser.get(url)).content == await bench.stored("report.csv")


async def test_teams_is_sent_an_adaptive_card_with_a_button_for_each_file(bench):
    listeners = replace(bench.write.subscribers, form="teams")
    await replace(bench.write, subscribers=listeners)(a_day())

    (attachment,) = bench.sink.deliveries[0].body["attachments"]
    card = attachment["content"]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    assert card["type"] == "AdaptiveCard"
    assert [block["inlines"][0]["text"].partition(".")[0] for block in card["body"]] == [
        "daily-voice",
        "1 March 2026 (UTC)",
    ]
    assert [action["title"] for action in card["actions"]] == ["Page", "CSV", "JSON"]
    async with httpx.AsyncClient() as browser:
        reply = await browser.get(card["actions"][1]["url"])
    assert reply.content == await bench.stored("report.csv")


@pytest.mark.parametrize("form", ["slack", "teams"])
async def test_the_bus_has_its_own_form_whatever_the_webhook_takes(bench, form):
    listeners = replace(bench.write.subscribers, form=form)
    await replace(bench.write, subscribers=listeners)(a_day())

    (event,) = await bench.events()
    assert event["detail"]["conversationCount"] == 121


def test_a_message_escapes_for_slack_and_leaves_out_a_link_longer_than_a_section():
    files = [
        {"key": "a/report.html", "url": "https://x/?a=1&b=2"},
        {"key": "a/report.csv", "url": "https://x/" + "a" * 3_000},
    ]
    body = {
        "name": "daily",
        "interval": "2026-03-01T00:00:00Z/2026-03-02T00:00:00Z",
        "timezone": "UTC",
        "conversationCount": 1,
        "rowCount": 1,
        "expiresAt": "2026-03-03T00:00:00Z",
        "complete": False,
        "files": files,
    }

    first, *links = [block["text"]["text"] for block in handler.slack(body)["blocks"]]

    assert links == ["<https://x/?a=1&amp;b=2|Page>"]
    assert "not complete" in first

"""Runs the real worker on what Terraform made: events in by the buses, effects read back."""  # noqa: INP001  a script's folder

import asyncio
import json
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Self

import aioboto3
import own_job
import traffic
from aiohttp import web
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from tally import Tally, say

from worker.app.jobs import describe, wanted_events
from worker.demo.process import WorkerProcess
from worker.emulators import WebhookSink, serving
from worker.emulators.genesys import GenesysServer
from worker.emulators.genesys.cloud import GenesysCloud
from worker.events.reading import EventReader
from worker.jobs.reports.events import ReportDue

EFFECT_SECONDS = 60
FIND_SECONDS = 0.3
STOP_SECONDS = 60
SUBSCRIBER = "bus-subscriber"
KEYS = {
    "AWS_ACCESS_KEY_ID": "emulator",
    "AWS_SECRET_ACCESS_KEY": "emulator",
    "AWS_EC2_METADATA_DISABLED": "true",
}

OFTEN = {"OTEL_METRIC_EXPORT_INTERVAL": "1000"}
"""Milliseconds between two exports of metrics; a minute by default."""

SITE = "genesys-events"
"""Of the deployment, and so of its rules and of the service in its metrics."""

Outputs = Mapping[str, Any]


class Collector:
    """Stands in for the collector beside a task: takes metrics by OTLP over HTTP."""

    def __init__(self) -> None:
        self.url = ""
        self.batches: list[tuple[Any, Any]] = []
        """Of each, the resource and its scopes."""

        self._serving = AsyncExitStack()

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_post("/v1/metrics", self._take)
        self.url = await self._serving.enter_async_context(serving(app))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._serving.aclose()

    async def _take(self, request: web.Request) -> web.Response:
        for one in ExportMetricsServiceRequest.FromString(await request.read()).resource_metrics:
            self.batches.append((one.resource, one.scope_metrics))
        return web.Response(body=b"", content_type="application/x-protobuf")


class Site:
    """The resources, as the module's outputs name them, and clients for them."""

    def __init__(self, outputs: Outputs, url: str, region: str) -> None:
        self.outputs = outputs
        self.aws = {"AWS_ENDPOINT_URL": url, "AWS_REGION": region, **KEYS}
        self._session: Any = aioboto3.Session()

    def client(self, service: str) -> Any:
        """Return a client, to be entered."""
        return self._session.client(
            service,
            endpoint_url=self.aws["AWS_ENDPOINT_URL"],
            region_name=self.aws["AWS_REGION"],
            aws_access_key_id=KEYS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=KEYS["AWS_SECRET_ACCESS_KEY"],
        )

    def environment(self, genesys: GenesysCloud, crm_hook: str) -> dict[str, str]:
        """Return the environment of a task: as defined, its secrets, and the emulators' places."""
        return {
            **self.outputs["environment"],
            **self.aws,
            "GENESYS_CLIENT_ID": genesys.client_id,
            "GENESYS_CLIENT_SECRET": genesys.client_secret,
            "GENESYS_API_URL": genesys.url,
            "GENESYS_LOGIN_URL": genesys.url,
            "CRM_WEBHOOK_URL": crm_hook,
            "OPS_HOST": "127.0.0.1",
            "OPS_PORT": "0",
        }


async def check(tally: Tally, site: Site, folder: Path) -> None:
    """Run the worker on the resources and check everything it should have done."""
    _check_settings(tally, site.outputs["environment"], folder)
    _check_report_events(tally, site.outputs["report_events"])
    async with GenesysServer() as genesys, WebhookSink() as crm, Collector() as collector:
        traffic.furnish(genesys)
        environment = site.environment(genesys, crm.url) | own_job.path(folder)
        environment |= {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, **OFTEN}
        await _lift_bucket_policy(site)
        await _make_stream(site)
        await _check_preflight(tally, environment)
        await _check_own_job(tally, site)
        await _listen(site)
        worker = WorkerProcess(environment, folder / "worker.log")
        async with worker:
            sent = await _send(site)
            await _check_effects(tally, site, crm)
            received = _metric(await worker.page("/metrics"), "worker_messages_received_total")
            tally.equal("only what the rules and the schedule send arrived", received, float(sent))
            brought = await _found(lambda: _arrived(collector, float(sent)))
            tally.equal("metrics → collector, under the name that scaling asks for", brought, SITE)
            worker.signal(signal.SIGTERM)
            tally.equal("the worker drained and ended with 0", await worker.wait(STOP_SECONDS), 0)
        await _check_queues(tally, site)
    if tally.failed:
        say(worker.tail())


def _check_settings(tally: Tally, environment: Mapping[str, str], folder: Path) -> None:
    own = {name for job in own_job.catalogue(folder) for name in job["settings"]}
    known = {row.name for row in describe({})} | own | {"OTEL_SERVICE_NAME"}
    tally.that("every variable of the task definition is a setting", set(environment) - known)


def _check_report_events(tally: Tally, templates: Mapping[str, str]) -> None:
    for name, template in templates.items():
        events = EventReader(wanted_events())(traffic.as_sent_by_the_scheduler(template))
        due = events[0].event if isinstance(events, tuple) else None
        found = due.name if isinstance(due, ReportDue) else events
        tally.equal(f"the worker reads what the schedule {name} sends", found, name)


async def _check_preflight(tally: Tally, environment: Mapping[str, str]) -> None:
    command = (sys.executable, "-m", "worker", "check", "--json")
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=pipe)
    rows = json.loads((await process.communicate())[0])
    # A job that is off for want of settings is no fault of the resources, nor is what no harmless
    # call can show; and that an object was taken is one of moto's, which checks no checksum.
    bad = [
        row
        for row in rows
        if row["state"] not in {"ok", "untried"}
        and row["name"] not in {"settings", "job off"}
        and not row["found"].startswith("took an object")
    ]
    tally.that(f"worker check is content with the resources ({len(rows)} checks)", map(str, bad))


async def _make_stream(site: Site) -> None:
    async with site.client("kinesis") as kinesis:
        await kinesis.create_stream(StreamName=own_job.STREAM, ShardCount=1)


async def _check_own_job(tally: Tally, site: Site) -> None:
    """See what is there by the job's entry alone: rule, queue and permission."""
    bus, queue = site.outputs["event_bus_name"], site.outputs["queue_urls"][own_job.NAME]
    async with site.client("events") as events, site.client("iam") as iam:
        rules = (await events.list_rules(EventBusName=bus, NamePrefix=SITE))["Rules"]
        (rule,) = (one for one in rules if own_job.TOPIC in one["EventPattern"])
        targets = await events.list_targets_by_rule(Rule=rule["Name"], EventBusName=bus)
        role = site.outputs["task_role_arn"].rpartition("/")[2]
        policy = await iam.get_role_policy(RoleName=role, PolicyName="worker")
    arns = [target["Arn"].rpartition(":")[2] for target in targets["Targets"]]
    tally.equal("the own job's topic has a rule to its queue", arns, [queue.rpartition("/")[2]])
    found = {
        action: one["Resource"]
        for one in policy["PolicyDocument"]["Statement"]
        for action in one["Action"]
        if action.startswith("kinesis:")
    }
    stream = f"arn:aws:kinesis:{site.aws['AWS_REGION']}:123456789012:stream/{own_job.STREAM}"
    wanted = {"kinesis:PutRecord": [stream]}
    tally.equal("the own job may write to the stream that its setting names", found, wanted)


async def _listen(site: Site) -> None:
    """Make a queue that hears what the worker puts on its own bus."""
    async with site.client("sqs") as sqs, site.client("events") as bus:
        await sqs.create_queue(QueueName=SUBSCRIBER)
        pattern = {"source": ["genesys.sentiment.forwarder", "genesys.report.writer"]}
        await bus.put_rule(Name=SUBSCRIBER, EventPattern=json.dumps(pattern))
        arn = f"arn:aws:sqs:{site.aws['AWS_REGION']}:123456789012:{SUBSCRIBER}"
        await bus.put_targets(Rule=SUBSCRIBER, Targets=[{"Id": "1", "Arn": arn}])


async def _lift_bucket_policy(site: Site) -> None:
    """Remove the denial of plain HTTP, which is what the emulator speaks."""
    async with site.client("s3") as s3:
        await s3.delete_bucket_policy(Bucket=site.outputs["report_bucket"])
    say("NOT RUN: the bucket's TLS-only policy, taken off for the worker: moto speaks plain HTTP")


async def _send(site: Site) -> int:
    """Put events on both buses and act as the Scheduler; return how many must arrive."""
    bus_name = site.outputs["event_bus_name"]
    own = own_job.event(bus_name, 1)
    wanted = [*traffic.wanted(bus_name, bus_name), traffic.report_due("by-hand"), own]
    scheduled = traffic.as_sent_by_the_scheduler(site.outputs["report_events"]["daily"])
    async with site.client("events") as bus, site.client("sqs") as sqs:
        await bus.put_events(Entries=[*traffic.unwanted(bus_name, bus_name), *wanted])
        queue = site.outputs["queue_urls"]["reports"]
        await sqs.send_message(QueueUrl=queue, MessageBody=scheduled)
    # Of the two ends each goes to two queues: the workflow's and the chat sentiment's.
    return len(wanted) + 2 + 1


async def _check_effects(tally: Tally, site: Site, crm: WebhookSink) -> None:
    record = await _found(lambda: _record(site))
    tally.equal("voice score → bus → rule → queue → record in DynamoDB", record, "gold")
    for conversation in (traffic.CALL, traffic.CHAT):
        ran = await _found(lambda which=conversation: _execution(site, which))
        steps = {"crmContact": "not_configured", "sentiment": "not_configured"}
        wanted = ("SUCCEEDED", {**steps, "ticket": "not_configured"})
        tally.equal(f"conversation end → execution {conversation[:8]}…", ran, wanted)
    # 2 March begins an hour earlier in the time zone of the schedule.
    for name, start in (("daily", "20260301T230000Z"), ("by-hand", "20260301T000000Z")):
        key = f"reports/{name}/{start}/manifest.json"
        there = await _found(lambda which=key: _is_there(site, which))
        tally.that(f"report {name} → bucket", () if there else (f"no {key}",))
    heard = await _found(lambda: _heard(site, 3))
    expected = ["ChatSentimentAnalysis", "report.ready", "report.ready"]
    tally.equal("own events → own bus", heard, expected)
    put = await _found(lambda: _in_stream(site))
    tally.equal("own job: event → its queue → stream", put, 1)
    delivered = [one.body["data"]["conversationId"] for one in crm.taken]
    tally.equal("chat sentiment → CRM webhook", delivered, [traffic.CHAT])


async def _found(find: Callable[[], Awaitable[Any]]) -> Any:
    """Return what `find` returns, as soon as it finds anything; None in the end."""
    deadline = asyncio.get_running_loop().time() + EFFECT_SECONDS
    while True:
        found = await find()
        if found is not None or asyncio.get_running_loop().time() > deadline:
            return found
        await asyncio.sleep(FIND_SECONDS)


async def _record(site: Site) -> str | None:
    async with site.client("dynamodb") as dynamodb:
        page = await dynamodb.query(
            TableName=site.outputs["records_table"],
            KeyConditionExpression="conversationId = :c",
            ExpressionAttributeValues={":c": {"S": traffic.CALL}},
        )
    return page["Items"][0]["crmTier"]["S"] if page["Items"] else None


async def _execution(site: Site, conversation: str) -> tuple[str, Any] | None:
    async with site.client("stepfunctions") as workflows:
        arn = site.outputs["state_machine_arn"]
        executions = (await workflows.list_executions(stateMachineArn=arn))["executions"]
        for one in executions:
            run = await workflows.describe_execution(executionArn=one["executionArn"])
            if conversation in run["name"] and run["status"] != "RUNNING":
                output = json.loads(run.get("output", "{}"))
                steps = {**output.get("enrichment", {}), "ticket": output.get("ticket", {})}
                return run["status"], {step: value.get("status") for step, value in steps.items()}
    return None


async def _is_there(site: Site, key: str) -> bool | None:
    async with site.client("s3") as s3:
        page = await s3.list_objects_v2(Bucket=site.outputs["report_bucket"], Prefix=key)
    return True if page["KeyCount"] else None


async def _heard(site: Site, count: int) -> list[str] | None:
    async with site.client("sqs") as sqs:
        url = (await sqs.get_queue_url(QueueName=SUBSCRIBER))["QueueUrl"]
        page = await sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, VisibilityTimeout=0)
    bodies = [json.loads(message["Body"]) for message in page.get("Messages", [])]
    return sorted(body["detail-type"] for body in bodies) if len(bodies) >= count else None


async def _in_stream(site: Site) -> int | None:
    async with site.client("kinesis") as kinesis:
        shard = (await kinesis.list_shards(StreamName=own_job.STREAM))["Shards"][0]["ShardId"]
        begin = await kinesis.get_shard_iterator(
            StreamName=own_job.STREAM, ShardId=shard, ShardIteratorType="TRIM_HORIZON"
        )
        page = await kinesis.get_records(ShardIterator=begin["ShardIterator"])
    return len(page["Records"]) or None


async def _arrived(collector: Collector, received: float) -> str | None:
    """Return the service whose messages the collector knows all of, as soon as it does."""
    for resource, scopes in collector.batches:
        values = {
            one.name: sum(point.as_double for point in one.sum.data_points)
            for scope in scopes
            for one in scope.metrics
        }
        if values.get("worker_messages_received_total") == received:
            named = {entry.key: str(entry.value.string_value) for entry in resource.attributes}
            return named["service.name"]
    return None


async def _check_queues(tally: Tally, site: Site) -> None:
    left = {}
    urls = {**site.outputs["queue_urls"]}
    for queue in ("dead_letter_queue_url", "undelivered_queue_url"):
        urls[queue] = site.outputs[queue]
    async with site.client("sqs") as sqs:
        for queue, url in urls.items():
            reply = await sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
            names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
            left[queue] = sum(int(reply["Attributes"][name]) for name in names)
    tally.that("nothing is left on any queue", (name for name, some in left.items() if some))


def _metric(page: str, name: str) -> float | None:
    found = [line for line in page.splitlines() if line.startswith(f"{name} ")]
    return float(found[0].split()[1]) if found else None

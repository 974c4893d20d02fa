"""The environment of the demo: each emulator on its own port, the queues, the worker's settings.

And what the worker needs of AWS beside its queues: made on moto, and read back for the proof.
"""

import json
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any, Literal
from zlib import crc32

import aioboto3
import orjson

from worker.app.jobs import BUILT_IN, jobs_of, known_jobs
from worker.emulators import FREE_PORT, Address, CrmServer, CrmState, WebhookSink
from worker.emulators.genesys import GenesysCloud, GenesysServer
from worker.emulators.moto import moto_server
from worker.emulators.sqs import SqsServer
from worker.settings import Idempotency

Queues = Literal["one", "per-job"]
"""One queue for all jobs, or one for each."""

PREFIX = "genesys-"
"""Of the names of all queues."""

QUEUE = f"{PREFIX}events"
JOB_QUEUES = {
    name: f"{PREFIX}{name}" for name, job in known_jobs().items() if name in BUILT_IN or job.demo
}
DEAD_LETTERS = "genesys-events-dlq"
TABLE = "voice-records"
LEDGER_TABLE = "worker-ledger"
"""Made, and used by those who set LEDGER_TABLE to it."""

VISIBILITY_SECONDS = 30
FOURTEEN_DAYS = "1209600"
MAX_RECEIVE_COUNT = 1000
"""SQS's most: retries come seconds apart here, where fifty receives are over within minutes."""

REQUESTS_PER_MINUTE = 12_000
"""Budget of the emulated organisation."""

REPORT_BUCKET = "demo-reports"
FORWARD_BUCKET = "demo-forward"
FORWARD_TYPES = ("v2.users.*.activity", "v2.routing.queues.*", "callback.requested")
"""Types that are forwarded: none of them is another job's."""

STATE_MACHINE_ARN = "arn:aws:states:us-east-1:123456789012:stateMachine:enrich-conversation"
FLOW_ID = "f1000000-0000-4000-8000-000000000001"
SINKS = ("analytics", "crm", "alert", "report")
PORTS = ("page", "sqs", "aws", "genesys", "customers", *SINKS)
"""What listens, in the order of fixed ports; `page` is the emulators' own."""

WEBHOOK_SECRET = "whsec_ZGVtbyBzZWNyZXQgZm9yIGEgbG9vcGJhY2sgc2luaw=="  # noqa: S105  of the demo
PATHS = ("PATH", "PYTHONPATH")
"""Where programs and packages are found, installed jobs among them."""

AWS_KEYS = {
    "AWS_ACCESS_KEY_ID": "demo",
    "AWS_SECRET_ACCESS_KEY": "demo",
    "AWS_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the emulators listen: by default each on a free port of loopback."""

    host: str = FREE_PORT.host
    first_port: int = 0
    """With one, the emulators take this port and the next ones, in the order of `PORTS`."""

    def of(self, name: str) -> Address:
        """Return the address of one emulator."""
        return Address(self.host, self.first_port and self.first_port + PORTS.index(name))


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Everything the worker talks to."""

    sqs: SqsServer
    queue_url: str
    """The queue for all jobs, unless each has one of its own."""

    job_queues: Mapping[str, str] = field(default_factory=dict)
    """The URL of each job's queue."""

    dead_letter_url: str
    genesys: GenesysCloud
    aws_url: str
    """moto: all of AWS but SQS."""

    crm: CrmState
    sinks: Mapping[str, WebhookSink]
    """Sinks of webhooks, by what they are for."""

    extra: dict[str, str] = field(default_factory=dict)
    """Settings that jobs add."""

    def queue_urls(self) -> list[str]:
        """Return the queues that the worker takes messages from."""
        return list(self.job_queues.values()) or [self.queue_url]

    def put(self, body: str, queue_of: str | None = None) -> list[tuple[str, str]]:
        """Put a message on the queues it belongs on; return URL and message id of each."""
        return [(url, self.sqs.send(url, body)) for url in self.urls_of(body, queue_of)]

    def urls_of(self, body: str, queue_of: str | None = None) -> list[str]:
        """Return the URLs of the queues that a message belongs on.

        `queue_of`: the queue of this job instead, as by a rule with a wrong target.
        """
        if queue_of is not None:
            return [self.job_queues[queue_of]]
        return queues_of(body, self.job_queues) if self.job_queues else [self.queue_url]

    def waiting(self) -> int:
        """Return how many messages are on the queues, in flight or not."""
        return sum(sum(self.sqs.depth(url)) for url in self.queue_urls())

    def variables(self) -> dict[str, str]:
        """Return the whole environment of the worker: nothing of ours leaks in but the paths."""
        return {
            **{name: os.environ[name] for name in PATHS if name in os.environ},
            **AWS_KEYS,
            "AWS_ENDPOINT_URL": self.aws_url,
            "AWS_ENDPOINT_URL_SQS": self.sqs.endpoint_url,
            "SQS_QUEUE_URL": self._bindings() or self.queue_url,
            "SQS_DEAD_LETTER_QUEUE_URL": self.dead_letter_url,
            "SQS_WAIT_SECONDS": "1",
            "RETRY_BASE_SECONDS": "1",
            "RETRY_CAP_SECONDS": "5",
            "BREAKER_OPEN_SECONDS": "1",
            "BREAKER_MAX_OPEN_SECONDS": "4",
            "GENESYS_API_URL": self.genesys.url,
            "GENESYS_LOGIN_URL": self.genesys.url,
            "GENESYS_CLIENT_ID": self.genesys.client_id,
            "GENESYS_CLIENT_SECRET": self.genesys.client_secret,
            # An organisation with a raised limit: with the platform's 300 the demo would take long.
            "GENESYS_REQUESTS_PER_MINUTE": str(REQUESTS_PER_MINUTE * 8 // 10),
            "GENESYS_ACTION_ID": "custom_-_0c0ffee0-0000-4000-8000-000000000001",
            "DYNAMODB_TABLE": TABLE,
            "LOG_FORMAT": "json",
            "GENESYS_FLOW_ID": FLOW_ID,
            "CRM_API_ENDPOINT": self.crm.url,
            "ANALYTICS_WEBHOOK_URL": self.sinks["analytics"].url,
            "WEBHOOK_SECRET": WEBHOOK_SECRET,
            "STEP_FUNCTIONS_ARN": STATE_MACHINE_ARN,
            "CRM_WEBHOOK_URL": self.sinks["crm"].url,
            "ALERT_WEBHOOK_URL": self.sinks["alert"].url,
            "REPORT_BUCKET": REPORT_BUCKET,
            "REPORT_WEBHOOK_URL": self.sinks["report"].url,
            "FORWARD_TYPES": ",".join(FORWARD_TYPES),
            "FORWARD_TO": f"s3://{FORWARD_BUCKET}/events",
            "FORWARD_BATCH_SECONDS": "1",
            **self.extra,
        }

    def _bindings(self) -> str:
        return ",".join(f"{job}={url}" for job, url in self.job_queues.items())

    def aws(self, service: str) -> Any:
        """Return a client of an emulated AWS service, to be entered."""
        session: Any = aioboto3.Session()  # its stubs want literal service names
        return session.client(
            service,
            endpoint_url=self.aws_url,
            region_name=AWS_KEYS["AWS_REGION"],
            aws_access_key_id=AWS_KEYS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=AWS_KEYS["AWS_SECRET_ACCESS_KEY"],
        )


FREE_PORTS = Addresses()


@asynccontextmanager
async def open_environment(
    sqs: SqsServer | None = None, addresses: Addresses = FREE_PORTS, queues: Queues = "one"
) -> AsyncIterator[Environment]:
    """Start all emulators and make the queues."""
    async with AsyncExitStack() as stack:
        aws_url = stack.enter_context(moto_server(addresses.of("aws")))
        sqs = sqs or SqsServer()
        sqs.address = addresses.of("sqs")
        await stack.enter_async_context(sqs)
        cloud = GenesysCloud(requests_per_minute=REQUESTS_PER_MINUTE)
        dead_letter_url = sqs.create_queue(DEAD_LETTERS, MessageRetentionPeriod=FOURTEEN_DAYS)
        environment = Environment(
            sqs=sqs,
            dead_letter_url=dead_letter_url,
            **_make_queues(sqs, queues, dead_letter_url),
            genesys=await stack.enter_async_context(GenesysServer(cloud, addresses.of("genesys"))),
            aws_url=aws_url,
            crm=await stack.enter_async_context(CrmServer(address=addresses.of("customers"))),
            sinks={
                name: await stack.enter_async_context(
                    WebhookSink(WEBHOOK_SECRET, addresses.of(name))
                )
                for name in SINKS
            },
        )
        yield environment


def make_queue(
    sqs: SqsServer,
    name: str,
    dead_letters: str,
    *,
    max_receives: int,
    visibility_seconds: int,
    **attributes: str,
) -> str:
    """Make a queue and return its URL.

    `dead_letters`: URL of the queue that SQS moves a message to when it was received too often.
    """
    redrive = {"deadLetterTargetArn": sqs.arn(dead_letters), "maxReceiveCount": str(max_receives)}
    return sqs.create_queue(
        name,
        VisibilityTimeout=str(visibility_seconds),
        RedrivePolicy=json.dumps(redrive),
        **attributes,
    )


def _make_queues(sqs: SqsServer, queues: Queues, dead_letters: str) -> dict[str, Any]:
    """Make one queue or one a job, and return the fields of the environment that name them."""
    made = partial(
        make_queue,
        sqs,
        dead_letters=dead_letters,
        max_receives=MAX_RECEIVE_COUNT,
        visibility_seconds=VISIBILITY_SECONDS,
    )
    if queues == "one":
        return {"queue_url": made(QUEUE)}
    job_queues = {job: made(name) for job, name in JOB_QUEUES.items()}
    return {"queue_url": job_queues["voice"], "job_queues": job_queues}


def queues_of(body: str, job_queues: Mapping[str, str]) -> list[str]:
    """Return the URLs of the queues that a message is put on, by the rules of the event bus.

    An event that interests two jobs is on two queues. What no rule takes was put on some queue
    by another way than the bus: always the same one for the same body.
    """
    jobs = jobs_of(_detail_type(body), _settings_of_jobs())
    if found := [url for job, url in job_queues.items() if job in jobs]:
        return found
    urls = list(job_queues.values())
    return [urls[crc32(body.encode()) % len(urls)]]


@cache
def _settings_of_jobs() -> dict[str, Any]:
    # Kept: to make them takes a millisecond, and each of twenty thousand messages asks.
    groups = {name: job.settings() for name, job in known_jobs().items()}
    groups["forward"] = known_jobs()["forward"].settings(forward_types=FORWARD_TYPES)
    return groups


def _detail_type(body: str) -> str:
    try:
        event = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    return str(event.get("detail-type", "")) if isinstance(event, dict) else ""


SUBSCRIBER = "bus-subscriber"
SOURCES = ("genesys.sentiment.forwarder", "genesys.report.writer")
"""Sources of the worker's own events."""

PASS = {"StartAt": "Enrich", "States": {"Enrich": {"Type": "Pass", "End": True}}}
"""A workflow that ends at once: what it would do is not this demo's business."""


async def make_fixtures(environment: Environment) -> None:
    """Make tables, buckets, state machine, and a queue that hears what is put on the bus."""
    await _make_table(environment, TABLE, conversationId="HASH", eventTimestamp="RANGE")
    await _make_table(environment, LEDGER_TABLE, id="HASH")
    await _make_index(environment)
    async with environment.aws("s3") as s3, environment.aws("stepfunctions") as workflows:
        for bucket in (REPORT_BUCKET, FORWARD_BUCKET):
            await s3.create_bucket(Bucket=bucket)
        await workflows.create_state_machine(
            name=STATE_MACHINE_ARN.rpartition(":")[2],
            definition=orjson.dumps(PASS).decode(),
            roleArn="arn:aws:iam::123456789012:role/demo",
        )
    await _make_subscriber(environment)


async def put_events(environment: Environment, source: str) -> list[dict[str, Any]]:
    """Return the events of a source that came over the bus, and take them off its queue."""
    heard: list[dict[str, Any]] = []
    async with environment.aws("sqs") as sqs:
        url = (await sqs.get_queue_url(QueueName=f"{SUBSCRIBER}-{_name(source)}"))["QueueUrl"]
        while messages := await _taken(sqs, url):
            heard += [orjson.loads(message["Body"]) for message in messages]
    return heard


async def _taken(sqs: Any, url: str) -> list[dict[str, Any]]:
    """Return up to ten messages, none of which is on the queue any more."""
    page = await sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=0)
    messages: list[dict[str, Any]] = page.get("Messages", [])
    if messages:
        entries = [
            {"Id": str(i), "ReceiptHandle": m["ReceiptHandle"]} for i, m in enumerate(messages)
        ]
        await sqs.delete_message_batch(QueueUrl=url, Entries=entries)
    return messages


async def _make_table(environment: Environment, name: str, **keys: str) -> None:
    """Make a table whose keys, all of them strings, are of these kinds."""
    async with environment.aws("dynamodb") as dynamodb:
        await dynamodb.create_table(
            TableName=name,
            BillingMode="PAY_PER_REQUEST",
            KeySchema=[{"AttributeName": key, "KeyType": kind} for key, kind in keys.items()],
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
        )


async def _make_index(environment: Environment) -> None:
    """Make the index of the idempotency store by which `worker trace` finds a conversation."""
    key = "conversationId"
    index = {
        "IndexName": Idempotency.INDEX,
        "KeySchema": [{"AttributeName": key, "KeyType": "HASH"}],
        "Projection": {"ProjectionType": "KEYS_ONLY"},
    }
    async with environment.aws("dynamodb") as dynamodb:
        await dynamodb.update_table(
            TableName=LEDGER_TABLE,
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"}],
            GlobalSecondaryIndexUpdates=[{"Create": index}],
        )


async def _make_subscriber(environment: Environment) -> None:
    async with environment.aws("sqs") as sqs, environment.aws("events") as bus:
        for source in SOURCES:
            name = f"{SUBSCRIBER}-{_name(source)}"
            await sqs.create_queue(QueueName=name)
            await bus.put_rule(Name=name, EventPattern=orjson.dumps({"source": [source]}).decode())
            arn = f"arn:aws:sqs:us-east-1:123456789012:{name}"
            await bus.put_targets(Rule=name, Targets=[{"Id": "1", "Arn": arn}])


def _name(source: str) -> str:
    return source.replace(".", "-")

"""Events are forwarded as they came: to each kind of target, at least once, one by one at fault."""

import asyncio
import gzip
from contextlib import AsyncExitStack, asynccontextmanager
from hashlib import sha256
from itertools import pairwise

import orjson
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from tests.support.aws import sdk_client
from tests.support.factories import a_body, an_id
from tests.support.s3 import an_s3
from worker.app.context import JobContext, new_context
from worker.app.intake import build_handler
from worker.app.jobs import event_reader, known_jobs, load_settings
from worker.emulators import WebhookSink, serving
from worker.emulators.sqs import SqsServer
from worker.errors import (
    BreakerOpen,
    ConfigurationError,
    Misconfigured,
    Permanent,
    RateLimited,
    Rejected,
    Transient,
    Unavailable,
)
from worker.events.envelope import open_envelope
from worker.events.origin import Result
from worker.jobs.forward import ForwardSettings, build, destination_of
from worker.jobs.forward import targets as module
from worker.jobs.forward.checks import check_target
from worker.jobs.forward.handler import read
from worker.jobs.forward.targets import (
    FIREHOSE,
    KINESIS,
    Entry,
    folder_of,
    lines_of,
    name_of,
    within,
)

PRESENCE = "v2.users.{id}.presence"
BASE = {
    "SQS_QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/1/work",
    "FORWARD_TYPES": "v2.users.*,callback.*",
    "FORWARD_BATCH_SECONDS": "0.05",
}


def an_event(detail_type=PRESENCE, *, size=0, time="2026-03-02T12:59:59Z", **content):
    detail = {"eventBody": {"n": an_id(), "fill": "x" * size, **content}}
    return read(open_envelope(a_body(detail_type, detail, time=time)))


@pytest.fixture
def _moto(moto, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto)


@asynccontextmanager
async def forwarding(to, **environ):
    settings = load_settings({**BASE, "FORWARD_TO": to, **environ})
    async with AsyncExitStack() as stack:
        context = new_context(settings, stack)
        yield await build_handler(context, known_jobs()["forward"])


async def forwarded(handle, *events):
    return await asyncio.gather(*map(handle, events), return_exceptions=True)


@asynccontextmanager
async def a_bucket():
    async with sdk_client("s3") as s3:
        name = f"b-{an_id()}"
        await s3.create_bucket(Bucket=name)
        yield name, s3


async def objects_in(s3, bucket):
    """The lines of each object, by key."""
    listed = await s3.list_objects_v2(Bucket=bucket)
    found = {}
    for item in listed.get("Contents", []):
        stored = await s3.get_object(Bucket=bucket, Key=item["Key"])
        found[item["Key"]] = gzip.decompress(await stored["Body"].read()).splitlines()
    return found


@asynccontextmanager
async def answering(reply):
    """An AWS that answers each call by `reply(target, body)`; yields what it was asked."""
    asked = []

    async def answer(request):
        body = orjson.loads(await request.read())
        asked.append(body)
        status, content = reply(body)
        return web.Response(
            status=status, body=orjson.dumps(content), content_type="application/x-amz-json-1.1"
        )

    app = web.Application(client_max_size=16 << 20)
    app.router.add_post("/", answer)
    async with serving(app) as url:
        yield url, asked


# ---------------------------------------------------------------- S3


@pytest.mark.usefixtures("_moto")
async def test_events_that_come_together_are_one_object_of_their_exact_bytes():
    events = [an_event() for _ in range(5)]
    async with a_bucket() as (bucket, s3), forwarding(f"s3://{bucket}/raw/") as handle:
        assert await forwarded(handle, *events) == [Result.OK] * 5

        ((key, lines),) = (await objects_in(s3, bucket)).items()

    keys = "|".join(sorted(event.origin.dedupe_key for event in events))
    digest = sha256(keys.encode()).hexdigest()
    assert key == f"raw/v2.users._id_.presence/2026/03/02/12/{digest}.jsonl.gz"
    assert lines == [event.whole for event in events]


@pytest.mark.usefixtures("_moto")
async def test_each_type_and_hour_has_an_object_of_its_own():
    events = [
        an_event(),
        an_event("callback.requested"),
        an_event(time="2026-03-02T13:00:00Z"),
    ]
    async with a_bucket() as (bucket, s3), forwarding(f"s3://{bucket}") as handle:
        await forwarded(handle, *events)

        found = await objects_in(s3, bucket)

    assert {key.rpartition("/")[0]: lines for key, lines in found.items()} == {
        "v2.users._id_.presence/2026/03/02/12": [events[0].whole],
        "callback.requested/2026/03/02/12": [events[1].whole],
        "v2.users._id_.presence/2026/03/02/13": [events[2].whole],
    }


@pytest.mark.usefixtures("_moto")
async def test_a_batch_goes_at_its_size_and_does_not_wait_for_the_time():
    slow = {"FORWARD_BATCH_SECONDS": "60", "FORWARD_BATCH_BYTES": "5000"}
    async with a_bucket() as (bucket, s3), forwarding(f"s3://{bucket}", **slow) as handle:
        async with asyncio.timeout(20):
            await forwarded(handle, *(an_event(size=2000) for _ in range(3)))

        assert [len(lines) for lines in (await objects_in(s3, bucket)).values()] == [3]


@pytest.mark.usefixtures("_moto")
async def test_a_batch_never_waits_for_more_events_than_half_of_the_permits_bring():
    slow = {"FORWARD_BATCH_SECONDS": "60", "SQS_CONCURRENCY": "8"}
    async with a_bucket() as (bucket, s3), forwarding(f"s3://{bucket}", **slow) as handle:
        async with asyncio.timeout(20):
            await forwarded(handle, *(an_event() for _ in range(8)))

        assert sorted(map(len, (await objects_in(s3, bucket)).values())) == [4, 4]


@pytest.mark.usefixtures("_moto")
async def test_the_same_batch_again_replaces_its_own_object():
    events = [an_event() for _ in range(3)]
    async with a_bucket() as (bucket, s3), forwarding(f"s3://{bucket}") as handle:
        await forwarded(handle, *events)
        await forwarded(handle, *reversed(events))

        assert len(await objects_in(s3, bucket)) == 1


@pytest.mark.usefixtures("_moto")
async def test_an_event_is_done_only_once_it_is_written():
    async with forwarding(f"s3://missing-{an_id()}") as handle:
        (failure,) = await forwarded(handle, an_event())

    assert isinstance(failure, Misconfigured)
    assert failure.setting == "FORWARD_TO"


async def test_what_s3_refuses_is_no_fault_of_the_events(monkeypatch):
    async def refuse(_):
        text = "<Error><Code>InvalidRequest</Code><Message>no</Message></Error>"
        return web.Response(status=400, text=text, content_type="application/xml")

    app = web.Application()
    app.router.add_put("/{bucket}/{key:.+}", refuse)
    async with serving(app) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        async with forwarding("s3://bucket") as handle:
            failures = await forwarded(handle, an_event(), an_event())

    assert [type(failure) for failure in failures] == [Misconfigured] * 2


@pytest.mark.usefixtures("_moto")
async def test_what_waits_when_the_worker_ends_is_written():
    slow = {"FORWARD_BATCH_SECONDS": "60"}
    async with a_bucket() as (bucket, s3):
        async with forwarding(f"s3://{bucket}", **slow) as handle:
            event = an_event()
            waiting = asyncio.ensure_future(handle(event))
            await asyncio.sleep(0)  # until it waits

        async with asyncio.timeout(20):
            assert await waiting is Result.OK
        assert list((await objects_in(s3, bucket)).values()) == [[event.whole]]


# ---------------------------------------------------------------- the bytes


@pytest.mark.parametrize("line_break", [b"\n", b"\r\n", b"\r", b"\n\r\n"])
def test_a_line_break_between_tokens_is_no_second_line(line_break):
    body = orjson.dumps(
        orjson.loads(a_body("callback.x", {"t": "a\r\nb"})), option=orjson.OPT_INDENT_2
    ).replace(b"\n", line_break)
    event = read(open_envelope(body))

    (line,) = gzip.decompress(lines_of([event])).splitlines()
    assert event.whole == body
    assert orjson.loads(line) == orjson.loads(body)


def test_a_bare_detail_is_its_own_detail():
    body = b'{"topicName":"v2.users.x","eventBody":{"a":1},"timestamp":"2026-03-02T12:00:00Z"}'
    event = read(open_envelope(body))

    assert (event.whole, event.detail) == (body, body)


@pytest.mark.parametrize("detail_type", ["..", "a/../b", "Grüße, Welt", "v2.users.{id}"])
def test_a_type_is_one_folder_whatever_it_is_called(detail_type):
    folder = folder_of(an_event(detail_type)).split("/")

    assert len(folder) == 6
    assert folder[0].strip(".")
    assert folder[0].isascii()


@given(st.permutations([an_event(size=n) for n in range(5)]))
def test_the_name_of_a_batch_does_not_depend_on_its_order(events):
    assert name_of(events) == name_of(sorted(events, key=lambda one: one.origin.dedupe_key))


@given(st.lists(st.integers(0, 4)), st.integers(4, 9))
def test_every_entry_is_in_one_call_in_order_and_no_call_is_too_large(sizes, limit):
    batch = [Entry({"n": n}, size) for n, size in enumerate(sizes)]

    parts = within(batch, limit)

    assert [entry for part in parts for entry in part] == batch
    assert all(part and sum(entry.size for entry in part) <= limit for part in parts)


@given(st.lists(st.integers(0, 4), min_size=1), st.integers(4, 9))
def test_no_call_is_made_that_the_one_before_had_room_for(sizes, limit):
    parts = within([Entry({}, size) for size in sizes], limit)

    for before, after in pairwise(parts):
        assert sum(entry.size for entry in before) + after[0].size > limit


# ---------------------------------------------------------------- Kinesis, Firehose


@pytest.mark.usefixtures("_moto")
async def test_kinesis_has_the_exact_bytes_under_the_conversation():
    conversation_id, name = an_id(), f"s-{an_id()}"
    one, other = an_event(conversationId=conversation_id), an_event()
    async with sdk_client("kinesis") as kinesis, forwarding(f"kinesis:{name}") as handle:
        await kinesis.create_stream(StreamName=name, ShardCount=1)
        assert await forwarded(handle, one, other) == [Result.OK] * 2

        shards = (await kinesis.list_shards(StreamName=name))["Shards"]
        at = await kinesis.get_shard_iterator(
            StreamName=name, ShardId=shards[0]["ShardId"], ShardIteratorType="TRIM_HORIZON"
        )
        records = (await kinesis.get_records(ShardIterator=at["ShardIterator"]))["Records"]

    assert [(record["PartitionKey"], record["Data"]) for record in records] == [
        (conversation_id, one.whole),
        (other.origin.dedupe_key, other.whole),
    ]


@pytest.mark.usefixtures("_moto")
async def test_firehose_has_a_line_for_each_event():
    name, events = f"d-{an_id()}", [an_event() for _ in range(3)]
    async with a_bucket() as (bucket, s3), sdk_client("firehose") as firehose:
        await firehose.create_delivery_stream(
            DeliveryStreamName=name,
            S3DestinationConfiguration={
                "RoleARN": "arn:aws:iam::123456789012:role/demo",
                "BucketARN": f"arn:aws:s3:::{bucket}",
            },
        )
        async with forwarding(f"firehose:{name}") as handle:
            assert await forwarded(handle, *events) == [Result.OK] * 3

        (item,) = (await s3.list_objects_v2(Bucket=bucket))["Contents"]
        stored = await s3.get_object(Bucket=bucket, Key=item["Key"])
        content = await stored["Body"].read()

    assert content == b"".join(event.whole + b"\n" for event in events)


async def test_of_a_call_only_the_records_that_failed_come_back(monkeypatch):
    def reply(body):
        codes = ["", "ProvisionedThroughputExceededException", "InternalFailure"]
        records = [{"ErrorCode": code} if code else {"SequenceNumber": "1"} for code in codes]
        return 200, {"FailedRecordCount": 2, "Records": records[: len(body["Records"])]}

    async with answering(reply) as (url, asked):
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        async with forwarding("kinesis:s") as handle:
            results = await forwarded(handle, *(an_event() for _ in range(3)))

    assert [type(result) for result in results] == [Result, RateLimited, Unavailable]
    assert len(asked) == 1


async def test_a_call_none_of_whose_records_was_taken_is_a_failure_of_the_target(monkeypatch):
    def reply(body):
        return 200, {"Records": [{"ErrorCode": "InternalFailure"} for _ in body["Records"]]}

    async with answering(reply) as (url, asked):
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        async with forwarding("kinesis:s", BREAKER_MIN_CALLS="2") as handle:
            for _ in range(6):
                (failure,) = await forwarded(handle, an_event())

    assert isinstance(failure, BreakerOpen)
    assert len(asked) < 6


async def test_one_bad_record_fails_alone_when_the_whole_call_is_refused(monkeypatch):
    bad = an_event(conversationId="00000000-0000-4000-8000-000000000bad")

    def reply(body):
        if any(record["PartitionKey"].endswith("bad") for record in body["Records"]):
            return 400, {"__type": "InvalidArgumentException", "message": "no"}
        return 200, {
            "FailedRecordCount": 0,
            "Records": [{"SequenceNumber": "1"}] * len(body["Records"]),
        }

    async with answering(reply) as (url, _):
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        async with forwarding("kinesis:s") as handle:
            results = await forwarded(handle, an_event(), bad, an_event(), an_event())

    assert isinstance(results[1], Rejected)
    assert results[:1] + results[2:] == [Result.OK] * 3


@pytest.mark.parametrize(
    ("to", "limit"),
    [("kinesis:s", KINESIS.record_bytes), ("firehose:d", FIREHOSE.record_bytes)],
)
async def test_an_event_too_large_for_a_record_is_dead_lettered_with_its_size(to, limit):
    large = an_event()
    large = type(large)(
        **{name: getattr(large, name) for name in large.__struct_fields__ if name != "whole"},
        whole=b"x" * (limit + 1),
    )
    async with forwarding(to) as handle:
        (failure,) = await forwarded(handle, large)

    assert type(failure) is Permanent
    assert f"a record at most {limit}" in failure.reason


# ---------------------------------------------------------------- SQS


@asynccontextmanager
async def an_sqs(monkeypatch):
    async with SqsServer() as sqs:
        monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", sqs.endpoint_url)
        yield sqs


async def bodies_in(url, fetch=10):
    async with sdk_client("sqs") as sqs:
        page = await sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=fetch, AttributeNames=["All"]
        )
    return page.get("Messages", [])


async def test_a_queue_has_the_exact_bytes_in_calls_of_ten(monkeypatch):
    events = [an_event() for _ in range(25)]
    async with an_sqs(monkeypatch) as sqs:
        url = sqs.create_queue("copies")
        async with forwarding(f"sqs:{url}") as handle:
            assert await forwarded(handle, *events) == [Result.OK] * 25

        found = [one["Body"] for _ in range(3) for one in await bodies_in(url)]
        assert sqs.counts["SendMessageBatch"] == 3

    assert sorted(found) == sorted(event.whole.decode() for event in events)


async def test_a_fifo_queue_drops_the_repeat_of_an_event(monkeypatch):
    event = an_event(conversationId=(conversation_id := an_id()))
    async with an_sqs(monkeypatch) as sqs:
        url = sqs.create_queue("copies.fifo", FifoQueue="true")
        async with forwarding(f"sqs:{url}") as handle:
            assert await forwarded(handle, event) == [Result.OK]
            assert await forwarded(handle, event) == [Result.OK]

        (message,) = await bodies_in(url)

    assert message["Attributes"]["MessageGroupId"] == conversation_id
    assert message["Attributes"]["MessageDeduplicationId"] == event.origin.dedupe_key


async def test_calls_of_sqs_are_cut_where_they_would_be_too_large(monkeypatch):
    events = [an_event(size=400_000) for _ in range(3)]
    async with an_sqs(monkeypatch) as sqs:
        url = sqs.create_queue("copies")
        async with forwarding(f"sqs:{url}") as handle:
            assert await forwarded(handle, *events) == [Result.OK] * 3

        assert sqs.counts["SendMessageBatch"] == 2


async def test_a_message_at_fault_is_dead_lettered_and_one_that_failed_comes_back(monkeypatch):
    def reply(body):
        ids = [entry["Id"] for entry in body["Entries"]]
        return 200, {
            "Successful": [{"Id": ids[0], "MessageId": "m", "MD5OfMessageBody": ""}],
            "Failed": [
                {"Id": ids[1], "Code": "InvalidMessageContents", "SenderFault": True},
                {"Id": ids[2], "Code": "SomethingNew", "SenderFault": False},
            ],
        }

    async with answering(reply) as (url, _):
        monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", url)
        async with forwarding(f"sqs:{url}/1/q") as handle:
            results = await forwarded(handle, *(an_event() for _ in range(4)))

    assert [type(one) for one in results] == [Result, Rejected, Unavailable, Unavailable]


# ---------------------------------------------------------------- bus, webhook


@pytest.mark.usefixtures("_moto")
async def test_a_bus_has_the_type_and_the_exact_detail():
    event, name = an_event("callback.requested"), f"bus-{an_id()}"
    async with sdk_client("events") as events, sdk_client("sqs") as sqs:
        await events.create_event_bus(Name=name)
        queue = (await sqs.create_queue(QueueName=f"q-{an_id()}"))["QueueUrl"]
        asked = await sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
        pattern = orjson.dumps({"source": [module.SOURCE]}).decode()
        await events.put_rule(Name="all", EventBusName=name, EventPattern=pattern)
        target = {"Id": "1", "Arn": asked["Attributes"]["QueueArn"]}
        await events.put_targets(Rule="all", EventBusName=name, Targets=[target])
        async with forwarding(f"bus:{name}") as handle:
            assert await forwarded(handle, event) == [Result.OK]

        (message,) = (await sqs.receive_message(QueueUrl=queue))["Messages"]

    heard = orjson.loads(message["Body"])
    assert (heard["detail-type"], heard["time"]) == ("callback.requested", "2026-03-02T12:59:59Z")
    assert heard["detail"] == orjson.loads(event.whole)["detail"]


async def test_a_webhook_gets_the_exact_bytes_signed_under_the_dedupe_key():
    event, secret = an_event(), "whsec_c2VjcmV0"
    async with WebhookSink(secret) as sink:
        async with forwarding(sink.url, WEBHOOK_SECRET=secret) as handle:
            assert await forwarded(handle, event) == [Result.OK]

        (delivery,) = sink.taken

    assert (delivery.id, delivery.raw) == (event.origin.dedupe_key, event.whole)
    assert delivery.signed


async def test_a_webhook_that_is_down_leaves_the_event_undone():
    async with WebhookSink() as sink, forwarding(sink.url) as handle:
        sink.status = 503
        (failure,) = await forwarded(handle, an_event())

    assert isinstance(failure, Transient)


# ---------------------------------------------------------------- settings


@pytest.mark.parametrize(
    ("text", "kind", "name", "prefix"),
    [
        ("s3://bucket", "s3", "bucket", ""),
        ("s3://bucket/a/b/", "s3", "bucket", "a/b/"),
        ("kinesis:my_stream", "kinesis", "my_stream", ""),
        ("firehose:d-1", "firehose", "d-1", ""),
        ("bus:audit", "bus", "audit", ""),
        (
            "sqs:https://sqs.eu-west-1.amazonaws.com/1/q.fifo",
            "sqs",
            "https://sqs.eu-west-1.amazonaws.com/1/q.fifo",
            "",
        ),
        ("https://hooks.example/a?b=c", "webhook", "https://hooks.example/a?b=c", ""),
    ],
)
def test_each_form_of_a_target_is_read(text, kind, name, prefix):
    found = destination_of(text)

    assert (found.kind, found.name, found.prefix) == (kind, name, prefix)


@pytest.mark.parametrize(
    "text",
    [
        "nothing",
        "s3:bucket",
        "s3://Bucket",
        "kinesis:",
        "kinesis:my stream",
        "sqs:queue",
        "sqs:http://queues.example/canary",
        "http://hooks.example/canary?key=canary",
        "https://user:canary@hooks.example",
        "ftp://files.example/canary",
    ],
)
def test_a_target_of_no_form_is_refused_with_an_example_and_of_a_url_its_host_alone(text):
    with pytest.raises(ConfigurationError) as caught:
        load_settings({**BASE, "FORWARD_TO": text})

    problem = next(line for line in caught.value.problems if line.startswith("FORWARD_TO:"))
    assert "e.g. s3://my-bucket/genesys" in problem
    assert "canary" not in problem.lower()


VOICE = {
    "SQS_QUEUE_URL": BASE["SQS_QUEUE_URL"],
    "GENESYS_CLIENT_ID": "client",
    "GENESYS_CLIENT_SECRET": "secret",
    "GENESYS_ACTION_ID": "custom_-_1",
    "DYNAMODB_TABLE": "records",
}


def test_forward_is_off_and_wants_nothing_until_it_is_set():
    settings = load_settings(VOICE)

    assert settings.enabled_jobs() == ("voice",)
    assert "forward" not in event_reader(settings).jobs_of("v2.users.{id}.presence")


@pytest.mark.parametrize("name", ["FORWARD_TYPES", "FORWARD_TO"])
def test_half_of_its_settings_leaves_forward_off_and_says_so(name):
    both = {"FORWARD_TYPES": "v2.users.*", "FORWARD_TO": "kinesis:s"}

    settings = load_settings({**VOICE, **both, name: ""})

    assert settings.enabled_jobs() == ("voice",)
    assert settings.half_configured() == {"forward": f"job forward is off: {name} is not set"}


def test_an_event_of_another_job_is_forwarded_too():
    settings = load_settings({**VOICE, "FORWARD_TYPES": "voice.*", "FORWARD_TO": "kinesis:s"})

    assert event_reader(settings).jobs_of("voice.analytics") == {"voice", "forward"}


WORK = "https://sqs.us-east-1.amazonaws.com/1/work"


@pytest.mark.parametrize(
    ("queues", "to"),
    [
        (WORK, WORK),
        (f"{WORK}/", WORK),
        (f"voice={WORK}2,forward={WORK}", WORK),
        (WORK, "https://us-east-1.queue.amazonaws.com/1/work"),
        (WORK, "https://vpce-0a-1b.sqs.us-east-1.vpce.amazonaws.com/1/work"),
        (WORK, "https://queue.amazonaws.com/1/work"),
    ],
)
async def test_a_queue_of_the_workers_own_is_refused_as_a_target_that_would_never_end(queues, to):
    target = forwarding(f"sqs:{to}", **{**VOICE, "SQS_QUEUE_URL": queues})

    with pytest.raises(ConfigurationError, match="FORWARD_TO: names a queue of SQS_QUEUE_URL"):
        await target.__aenter__()


@pytest.mark.parametrize(
    "to", [f"{WORK}-copy", WORK.replace("us-east-1", "eu-west-1"), f"{WORK}.fifo"]
)
async def test_a_queue_that_only_looks_like_the_workers_own_is_a_target(to):
    async with forwarding(f"sqs:{to}"):
        pass


async def test_it_is_not_built_without_a_target():
    async with AsyncExitStack() as stack:
        context = JobContext("forward", new_context(load_settings(VOICE), stack))

        with pytest.raises(ConfigurationError, match="FORWARD_TO: is not set"):
            await build(context, ForwardSettings())


# ---------------------------------------------------------------- checks


async def target_rows(to, **environ):
    settings = load_settings({**BASE, "FORWARD_TO": to, **environ})
    async with AsyncExitStack() as stack:
        context = JobContext("forward", new_context(settings, stack))
        return await check_target(context, settings.jobs["forward"])


async def target_row(to, **environ):
    [row] = await target_rows(to, **environ)
    return row


async def test_a_bucket_is_checked_under_its_prefix_and_nothing_is_stored(monkeypatch):
    async with an_s3() as s3:
        monkeypatch.setenv("AWS_ENDPOINT_URL", s3.url)
        row = await target_row("s3://bucket/raw")

    assert (row.state, row.found, s3.stored) == ("ok", "writable under raw/", {})
    assert [key.startswith("raw/") for _, key in s3.asked] == [True]


async def test_a_bucket_that_may_not_be_written_to_fails_with_the_action(monkeypatch):
    async with an_s3() as s3:
        monkeypatch.setenv("AWS_ENDPOINT_URL", s3.url)
        s3.status, s3.code = 403, "AccessDenied"
        row = await target_row("s3://bucket")

    assert (row.state, row.found) == ("fail", "AccessDenied to s3:PutObject; AWS: no")


STREAMS = {"kinesis:s": "kinesis:PutRecords", "firehose:d": "firehose:PutRecordBatch"}


@pytest.mark.parametrize(("to", "action"), STREAMS.items())
async def test_a_stream_is_checked_by_a_batch_of_nothing(monkeypatch, to, action):
    def reply(body):
        if "Records" in body:
            return 400, {"__type": "ValidationException", "message": "at least 1"}
        return 200, {}

    async with answering(reply) as (url, asked):
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        row = await target_row(to)

    assert (row.state, row.found) == ("ok", f"exists, and {action} is allowed")
    assert asked[0]["Records"] == []


@pytest.mark.parametrize(("to", "action"), STREAMS.items())
async def test_a_stream_that_may_not_be_written_to_fails_with_the_action(monkeypatch, to, action):
    denied = 400, {"__type": "AccessDeniedException", "message": "no"}
    async with answering(lambda _: denied) as (url, _):
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        row = await target_row(to)

    assert (row.state, row.found) == ("fail", f"AccessDeniedException to {action}; AWS: no")


@pytest.mark.parametrize("to", STREAMS)
@pytest.mark.usefixtures("_moto")
async def test_a_stream_that_does_not_exist_fails_and_names_the_setting(to):
    row = await target_row(f"{to}-{an_id()}")

    assert (row.state, row.found) == ("fail", "ResourceNotFoundException")
    assert "FORWARD_TO" in row.remedy


async def test_a_queue_that_takes_messages_is_ok_and_gets_none(monkeypatch):
    async with an_sqs(monkeypatch) as sqs:
        url = sqs.create_queue("copies")
        row = await target_row(f"sqs:{url}")

        assert (row.state, row.found) == ("ok", "exists, and sqs:SendMessage is allowed")
        assert sum(sqs.depth(url)) == 0


async def test_a_queue_that_does_not_exist_fails_and_names_the_setting(monkeypatch):
    async with an_sqs(monkeypatch) as sqs:
        row = await target_row(f"sqs:{sqs.create_queue('copies')}-2")

    assert (row.state, "FORWARD_TO" in row.remedy) == ("fail", True)


async def test_a_queue_of_the_workers_own_fails_as_a_loop():
    row = await target_row(f"sqs:{WORK}")

    assert (row.state, "come back for ever" in row.found) == ("fail", True)


@asynccontextmanager
async def a_bus_with_a_rule_to(queue_name):
    name = f"bus-{an_id()}"
    async with sdk_client("events") as events, sdk_client("sqs") as sqs:
        url = (await sqs.create_queue(QueueName=queue_name))["QueueUrl"]
        asked = await sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        await events.create_event_bus(Name=name)
        await events.put_rule(Name="back", EventBusName=name, EventPattern='{"source": ["x"]}')
        target = {"Id": "1", "Arn": asked["Attributes"]["QueueArn"]}
        await events.put_targets(Rule="back", EventBusName=name, Targets=[target])
        yield name, url


@pytest.mark.usefixtures("_moto")
async def test_a_bus_that_feeds_the_workers_own_queue_is_a_warning_with_its_rule():
    async with a_bus_with_a_rule_to(f"q-{an_id()}") as (bus, url):
        target, loop = await target_rows(f"bus:{bus}", SQS_QUEUE_URL=url)

    assert target.state == "ok"
    assert (loop.state, loop.found) == ("warn", "feeds the worker's own queue by the rules back")


@pytest.mark.usefixtures("_moto")
async def test_a_bus_that_feeds_another_queue_is_no_warning():
    async with a_bus_with_a_rule_to(f"q-{an_id()}") as (bus, url):
        async with sdk_client("sqs") as sqs:
            own = (await sqs.create_queue(QueueName=f"q-{an_id()}"))["QueueUrl"]
        rows = await target_rows(f"bus:{bus}", SQS_QUEUE_URL=own)

    assert url != own
    assert [row.state for row in rows] == ["ok"]


@pytest.mark.usefixtures("_moto")
async def test_a_bus_whose_rules_may_not_be_read_is_a_warning():
    async with a_bus_with_a_rule_to(f"q-{an_id()}") as (bus, url):
        _, loop = await target_rows(f"bus:{bus}", SQS_QUEUE_URL=f"{url}-2")

    assert (loop.state, "is not verified" in loop.found) == ("warn", True)


async def test_a_webhook_is_reached_and_not_called():
    async with WebhookSink() as sink:
        row = await target_row(sink.url)

    assert (row.name, row.state, sink.deliveries) == ("FORWARD_TO", "ok", [])

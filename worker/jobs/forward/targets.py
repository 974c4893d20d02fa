"""Where events go: what writes to each kind of target, with the limits of its service.

All of them write at least once: an event whose reply was lost is written again, by its message.
"""

import asyncio
import gzip
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import Any

import orjson

from worker.api import (
    AwsService,
    Batcher,
    Bus,
    Misconfigured,
    Permanent,
    Rejected,
    Transient,
    Unavailable,
    Webhook,
    WorkerError,
)
from worker.jobs.forward.handler import Forwarded

SETTING = "FORWARD_TO"
SOURCE = "genesys.event.forwarder"
"""Of events that are put on a bus: the source of a partner is reserved for it."""

WAIT_SECONDS = 0.1
"""How long an event waits for others to share a call; S3 has a setting."""

MIB = 1_048_576


@dataclass(frozen=True, slots=True, kw_only=True)
class CallLimits:
    """What a service takes."""

    record_bytes: int
    records: int
    content_bytes: int
    """Of all records of a call."""


KINESIS = CallLimits(record_bytes=MIB, records=500, content_bytes=5 * MIB)
"""A record counts with its partition key; a stream may be set to take larger ones.

A call may have 10 MiB by now; half of it was the limit before, and holds everywhere.
https://docs.aws.amazon.com/streams/latest/dev/large-records.html
https://docs.aws.amazon.com/kinesis/latest/APIReference/API_PutRecords.html"""

FIREHOSE = CallLimits(record_bytes=1_024_000, records=500, content_bytes=4 * MIB)
"""A record has at most 1,000 KiB, before base64.

https://docs.aws.amazon.com/firehose/latest/APIReference/API_Record.html
https://docs.aws.amazon.com/firehose/latest/APIReference/API_PutRecordBatch.html"""

SQS = CallLimits(record_bytes=MIB, records=10, content_bytes=MIB)
"""https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessageBatch.html"""

_UNFIT = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchLimits:
    """When the events that wait are written to S3."""

    events: int
    content_bytes: int
    seconds: float


class ToS3:
    """Objects of JSON lines, each of one type and hour; the same batch has the same key."""

    def __init__(self, s3: AwsService, bucket: str, prefix: str, limits: BatchLimits) -> None:
        """`prefix`: empty, or text that ends in a slash."""
        self._s3 = s3
        self._bucket = bucket
        self._prefix = prefix
        self._batch_bytes = limits.content_bytes
        self._batcher: Batcher[Forwarded, None] = Batcher(
            self._flush,
            max_items=limits.events,
            max_wait_seconds=limits.seconds,
            waits_for="batch",
        )

    async def put(self, event: Forwarded) -> None:
        """Write an event with those that wait; see `Target`."""
        # Soon: once `submit` has put it among those that wait.
        asyncio.get_running_loop().call_soon(self._flush_if_large)
        await self._batcher.submit(event)

    async def aclose(self) -> None:
        """Write what is waiting."""
        await self._batcher.close()

    def _flush_if_large(self) -> None:
        if sum(len(event.whole) for event in self._batcher.waiting()) >= self._batch_bytes:
            self._batcher.flush_now()

    async def _flush(self, batch: Sequence[Forwarded]) -> list[WorkerError | None]:
        folders: dict[str, list[int]] = {}
        for place, event in enumerate(batch):
            folders.setdefault(folder_of(event), []).append(place)
        results: list[WorkerError | None] = [None] * len(batch)
        # Side by side: one object's failure is none of the others'.
        written = [
            self._write(folder, [batch[place] for place in places])
            for folder, places in folders.items()
        ]
        for places, failure in zip(folders.values(), await asyncio.gather(*written), strict=True):
            for place in places:
                results[place] = failure
        return results

    async def _write(self, folder: str, events: Sequence[Forwarded]) -> WorkerError | None:
        key = f"{self._prefix}{folder}{name_of(events)}"
        # In a thread: some megabytes take long enough to hold up all other work.
        body = await asyncio.to_thread(lines_of, events)
        try:
            await self._s3.call(
                "put_object",
                Bucket=self._bucket,
                Key=key,
                Body=body,
                ContentType="application/gzip",
            )
        except Rejected as refusal:
            # Whatever S3 has against an object of ours, no event is the cause of it.
            remedy = f"check the bucket of {SETTING}, its policy and its encryption"
            return Misconfigured(refusal.reason, setting=SETTING, remedy=remedy)
        except WorkerError as error:
            return error
        return None


def folder_of(event: Forwarded) -> str:
    """Return where an event of its type and hour is kept; it ends in a slash."""
    kind = _UNFIT.sub("_", event.origin.detail_type)
    kind = kind if kind.strip(".") else "_"
    return f"{kind}/{event.origin.occurred_at:%Y/%m/%d/%H}/"


def name_of(events: Sequence[Forwarded]) -> str:
    """Return the name of the object of these events, in whatever order they came."""
    keys = sorted(event.origin.dedupe_key for event in events)
    return f"{sha256('|'.join(keys).encode()).hexdigest()}.jsonl.gz"


def lines_of(events: Sequence[Forwarded]) -> bytes:
    """Return the events as gzip JSON lines, in their order; the same bytes at any time."""
    return gzip.compress(b"".join(event.line + b"\n" for event in events), mtime=0)


@dataclass(frozen=True, slots=True)
class Entry:
    """An event as a service takes it."""

    fields: Mapping[str, Any]
    size: int
    """As the service counts it."""


Results = list[WorkerError | None]
"""Of each entry of a call, in order: what it failed with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchCall:
    """A call that carries several events and answers for each."""

    limits: CallLimits
    entry: Callable[[Forwarded], Entry]
    write: Callable[[Sequence[Entry]], Awaitable[Results]]
    """Calls the service once; raises what its client raises."""


class Records:
    """Events in calls of many, each with its own result."""

    def __init__(self, aws: AwsService, call: BatchCall) -> None:
        self._aws = aws
        self._call = call
        self._batcher: Batcher[Entry, None] = Batcher(
            self._flush, max_items=call.limits.records, max_wait_seconds=WAIT_SECONDS
        )

    async def put(self, event: Forwarded) -> None:
        """Write an event with others; see `Target`."""
        entry, most = self._call.entry(event), self._call.limits.record_bytes
        if entry.size > most:
            raise Permanent(
                f"{self._aws.name}: the event has {entry.size} bytes, a record at most {most}"
            )
        await self._batcher.submit(entry)

    async def aclose(self) -> None:
        """Write what is waiting."""
        await self._batcher.close()

    async def _flush(self, batch: Sequence[Entry]) -> Results:
        parts = within(batch, self._call.limits.content_bytes)
        results = await asyncio.gather(*map(self._send, parts))
        return [result for part in results for result in part]

    async def _send(self, part: Sequence[Entry]) -> Results:
        """Send once: what fails for the moment comes back as its message does, and nothing else."""
        try:
            return await self._aws.guard.call(partial(self._write, part))
        except Permanent as error:
            if len(part) == 1:
                return [error]
        except WorkerError as error:
            return [error] * len(part)
        # One entry may be why all are refused: by halves, so that it fails alone.
        middle = len(part) // 2
        return [*await self._send(part[:middle]), *await self._send(part[middle:])]

    async def _write(self, part: Sequence[Entry]) -> Results:
        with self._aws.errors():
            results = await self._call.write(part)
        if len(results) != len(part):
            raise Unavailable(f"{self._aws.name}: reply does not fit the call")
        failures = [result for result in results if isinstance(result, Transient)]
        if len(failures) == len(part):
            raise failures[0]  # a call that wrote nothing has failed, as the breaker must know
        return results


def within(batch: Sequence[Entry], content_bytes: int) -> list[list[Entry]]:
    """Cut a batch, in order, into calls that are not too large."""
    parts: list[list[Entry]] = []
    bytes_left = 0
    for entry in batch:
        if not parts or entry.size > bytes_left:
            parts.append([])
            bytes_left = content_bytes
        parts[-1].append(entry)
        bytes_left -= entry.size
    return parts


def _failure(aws: AwsService, code: str | None, *, ours: bool = False) -> WorkerError | None:
    """Return what an entry's error code means; `ours`: the service says who is at fault."""
    if not code:
        return None
    failure = aws.failure(code)
    if isinstance(failure, Rejected) and not ours:
        return Unavailable(failure.reason)
    return failure


def to_kinesis(kinesis: AwsService, stream: str) -> Records:
    """Return what writes to a Kinesis data stream."""

    async def write(entries: Sequence[Entry]) -> Results:
        records = [entry.fields for entry in entries]
        reply = await kinesis.client.put_records(StreamName=stream, Records=records)
        return [_failure(kinesis, record.get("ErrorCode")) for record in reply["Records"]]

    return Records(kinesis, BatchCall(limits=KINESIS, entry=_kinesis_entry, write=write))


def _kinesis_entry(event: Forwarded) -> Entry:
    size = len(event.whole) + len(event.group.encode())
    return Entry({"Data": event.whole, "PartitionKey": event.group}, size)


def to_firehose(firehose: AwsService, stream: str) -> Records:
    """Return what writes to a Firehose stream."""

    async def write(entries: Sequence[Entry]) -> Results:
        reply = await firehose.client.put_record_batch(
            DeliveryStreamName=stream, Records=[entry.fields for entry in entries]
        )
        return [_failure(firehose, answer.get("ErrorCode")) for answer in reply["RequestResponses"]]

    return Records(firehose, BatchCall(limits=FIREHOSE, entry=_firehose_entry, write=write))


def _firehose_entry(event: Forwarded) -> Entry:
    # Firehose joins its records: a line break ends each.
    data = event.line + b"\n"
    return Entry({"Data": data}, len(data))


def _sqs_results(sqs: AwsService, reply: Mapping[str, Any]) -> dict[str, WorkerError | None]:
    """Return what became of each entry, by its id."""
    failed = {
        failure["Id"]: _failure(sqs, failure["Code"], ours=bool(failure.get("SenderFault")))
        for failure in reply.get("Failed", [])
    }
    return failed | {answer["Id"]: None for answer in reply.get("Successful", [])}


def to_sqs(sqs: AwsService, url: str) -> Records:
    """Return what sends to a queue; one of kind FIFO drops repeats within its five minutes."""

    async def write(entries: Sequence[Entry]) -> Results:
        messages = [{"Id": str(place), **entry.fields} for place, entry in enumerate(entries)]
        reply = await sqs.client.send_message_batch(QueueUrl=url, Entries=messages)
        results = _sqs_results(sqs, reply)
        lost = Unavailable("sqs: reply does not fit the call")
        return [results.get(message["Id"], lost) for message in messages]

    entry = partial(_sqs_entry, fifo=url.endswith(".fifo"))
    return Records(sqs, BatchCall(limits=SQS, entry=entry, write=write))


def _sqs_entry(event: Forwarded, *, fifo: bool) -> Entry:
    fields = {"MessageBody": event.whole.decode()}
    if fifo:
        fields["MessageGroupId"] = event.group
        fields["MessageDeduplicationId"] = event.origin.dedupe_key
    return Entry(fields, len(event.whole))


class ToBus:
    """An event bus: the same type and the very bytes of `detail`, under a source of our own."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def put(self, event: Forwarded) -> None:
        """Put an event on the bus; see `Target`."""
        origin = event.origin
        detail = orjson.Fragment(event.detail)
        await self._bus.put(origin.detail_type, detail, source=SOURCE, time=origin.occurred_at)

    async def aclose(self) -> None:
        """Write what is waiting."""
        await self._bus.aclose()


class ToWebhook:
    """A webhook: each event as the body of a POST of its own, its dedupe key as delivery id."""

    def __init__(self, hook: Webhook) -> None:
        self._hook = hook

    async def put(self, event: Forwarded) -> None:
        """Post an event; see `Target`."""
        body = orjson.Fragment(event.whole)
        await self._hook.post(body, delivery_id=event.origin.dedupe_key)

    async def aclose(self) -> None:
        """Return at once: nothing waits here."""

"""The commands on dead letters, from settings to plain data."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from worker.cli.dlq_letters import Causes, DeadLetter, NotDecoded, iso, name_of
from worker.cli.dlq_moving import Order, Tally, Tell, start_native, work_off
from worker.cli.dlq_reading import reading
from worker.clients.aws.errors import setting_errors
from worker.clients.aws.session import AwsSession, ClientLimits
from worker.clients.aws.sqs import MAX_BATCH, Queue
from worker.errors import ConfigurationError
from worker.intake.body_encoding import DecodedBody, sendable
from worker.settings import Aws, Sqs, load_group
from worker.settings.bindings import is_fifo

LIMITS = ClientLimits(pool=20, read_seconds=15, attempts=4)


@dataclass(frozen=True, slots=True)
class Urls:
    """The queues and the dead-letter queues."""

    queues: tuple[str, ...]
    dead_letters: tuple[str, ...]

    def native(self, to: str | None) -> tuple[str, str]:
        """Return the dead-letter queue of which SQS is to move everything, and where to.

        Raises ValueError where the one or the other is not named.
        """
        if to is None and len(self.queues) > 1:
            raise ValueError("SQS moves everything to one queue: name it by --to")
        to = to or self.queues[0]
        sources = [url for url in self.dead_letters if is_fifo(url) == is_fifo(to)]
        if not sources:
            raise ValueError("no dead-letter queue is of the kind of that queue")
        return sources[0], to


def urls() -> Urls:
    """Return the queues of the settings; ConfigurationError when one is both kinds."""
    sqs = load_group(Sqs)
    if not sqs.dead_letter_queue_urls:
        raise ConfigurationError(["SQS_DEAD_LETTER_QUEUE_URL: is missing"])
    if set(sqs.dead_letter_queue_urls) & set(sqs.queue_urls):
        raise ConfigurationError(["SQS_DEAD_LETTER_QUEUE_URL: is in SQS_QUEUE_URL, too"])
    return Urls(sqs.queue_urls, sqs.dead_letter_queue_urls)


@dataclass(frozen=True, slots=True)
class Overview:
    """What was found on all dead-letter queues."""

    causes: Causes
    approximate: int
    """How many SQS says there are, those in flight elsewhere included."""

    def as_dict(self) -> dict[str, Any]:
        """Return it for machines."""
        return {
            "seen": self.causes.total,
            "approximate": self.approximate,
            "causes": [cause.as_dict() for cause in self.causes.most_first()],
        }


async def overview(
    dead_letters: Sequence[str], *, limit: int | None, wait_seconds: int
) -> Overview:
    """Count the dead letters by cause; with `limit`, of that many at most. Raises QueueError."""
    causes, approximate = Causes(), 0
    for url in dead_letters:
        async with _open(url) as queue:
            now = await queue.attributes()
            approximate += now.visible + now.in_flight + now.delayed
            await _count(queue, causes, limit, wait_seconds)
    return Overview(causes, approximate)


async def _count(queue: Queue, causes: Causes, limit: int | None, wait_seconds: int) -> None:
    async with reading(queue, wait_seconds=wait_seconds) as reader:
        while limit is None or causes.total < limit:
            room = MAX_BATCH if limit is None else limit - causes.total
            letters = await reader.next(min(MAX_BATCH, room))
            if not letters:
                break
            causes.add(letters)


async def samples(
    dead_letters: Sequence[str], name: str, *, count: int, wait_seconds: int
) -> list[DeadLetter]:
    """Return letters of that fingerprint, or the one of that message id. Raises QueueError."""
    found: list[DeadLetter] = []
    for url in dead_letters:
        async with _open(url) as queue, reading(queue, wait_seconds=wait_seconds) as reader:
            while len(found) < count and (letters := await reader.next(MAX_BATCH)):
                found += [letter for letter in letters if _is_called(letter, name)]
    return found[:count]


async def carry_out(dead_letters: Sequence[str], order: Order, tell: Tell) -> Tally:
    """Redrive or delete. Raises QueueError."""
    tally = Tally()
    for url in dead_letters:
        async with _open(url) as queue:
            await work_off(queue, order, tally, tell)
    return tally


async def carry_out_native(source: str, destination: str, rate: float) -> str:
    """Start a move task of SQS; return the ARN by which it is followed. Raises QueueError."""
    async with _client() as client:
        return await start_native(client, source, destination, rate)


def letter_as_dict(letter: DeadLetter, *, with_body: bool) -> dict[str, Any]:
    """Return a letter for people and machines; its body is personal data, so only if asked for."""
    message, original = letter.message, _readable(letter)
    queue = letter.queue_url or message.moved_from
    told = {
        "messageId": message.id,
        "fingerprint": letter.fingerprint,
        "reason": letter.reason,
        "queue": None if queue is None else name_of(queue),
        "sentAt": iso(letter.sent_at),
        "receiveCount": message.receive_count,
        "groupId": message.group_id,
        "attributes": sorted(original.attributes),
        "bodyBytes": len(original.body.encode()),
        "failure": dict(letter.record),
    }
    return told | ({"body": original.body} if with_body else {})


def _readable(letter: DeadLetter) -> DecodedBody:
    try:
        return letter.original()
    except NotDecoded:
        return DecodedBody(letter.message.body, sendable(letter.message.attributes))


def tally_as_dict(order: Order, tally: Tally) -> dict[str, Any]:
    """Return what was done, or would be, for machines."""
    return {
        "action": order.action,
        "applied": order.apply,
        "meant": tally.causes.total,
        "done": tally.done,
        "notSent": tally.not_sent,
        "notDeleted": tally.not_deleted,
        "problems": sorted(tally.problems),
        "destinations": dict(sorted(tally.destinations.items())),
        "unaddressed": tally.unaddressed.total(),
        "others": tally.others,
        "newer": tally.newer,
        "causes": [cause.as_dict() for cause in tally.causes.most_first()],
    }


def _is_called(letter: DeadLetter, name: str) -> bool:
    return name in {letter.fingerprint, letter.message.id, letter.record.get("messageId")}


@asynccontextmanager
async def _open(queue_url: str) -> AsyncIterator[Queue]:
    async with _client() as client:
        yield Queue(queue_url, polls=client, acks=client)


@asynccontextmanager
async def _client() -> AsyncIterator[Any]:
    with setting_errors():
        async with AwsSession(load_group(Aws)).client("sqs", LIMITS) as client:
            yield client

"""The commands on dead letters, from settings to plain data."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from worker.cli.dlq_letters import Causes, DeadLetter, NotUnpacked, iso
from worker.cli.dlq_moving import Order, Tally, Tell, start_native, work_off
from worker.cli.dlq_reading import reading
from worker.clients.aws.errors import setting_errors
from worker.clients.aws.session import AwsSession, ClientLimits
from worker.clients.aws.sqs import MAX_BATCH, Queue
from worker.errors import ConfigurationError
from worker.intake.dead_letters import ATTRIBUTE
from worker.settings import Aws, Sqs, load_group

LIMITS = ClientLimits(pool=20, read_seconds=15, attempts=4)


@dataclass(frozen=True, slots=True)
class Urls:
    """The two queues."""

    events: str
    dead_letters: str


def urls() -> Urls:
    """Return the queues of the settings; ConfigurationError when they are not two."""
    sqs = load_group(Sqs)
    if sqs.dead_letter_queue_url is None:
        raise ConfigurationError(["SQS_DEAD_LETTER_QUEUE_URL: is missing"])
    if sqs.dead_letter_queue_url == sqs.queue_url:
        raise ConfigurationError(["SQS_DEAD_LETTER_QUEUE_URL: is the same as SQS_QUEUE_URL"])
    return Urls(str(sqs.queue_url), str(sqs.dead_letter_queue_url))


@dataclass(frozen=True, slots=True)
class Overview:
    """What a look at the whole queue found."""

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


async def overview(queue_url: str, *, limit: int | None) -> Overview:
    """Count the dead letters by cause; with `limit`, of that many at most. Raises QueueError."""
    causes = Causes()
    async with _open(queue_url) as queue:
        now = await queue.attributes()
        async with reading(queue) as reader:
            while limit is None or causes.total < limit:
                room = MAX_BATCH if limit is None else limit - causes.total
                letters = await reader.next(min(MAX_BATCH, room))
                if not letters:
                    break
                causes.add(letters)
    return Overview(causes, now.visible + now.in_flight + now.delayed)


async def samples(queue_url: str, name: str, *, count: int) -> list[DeadLetter]:
    """Return letters of that fingerprint, or the one of that message id. Raises QueueError."""
    found: list[DeadLetter] = []
    async with _open(queue_url) as queue, reading(queue) as reader:
        while len(found) < count and (letters := await reader.next(MAX_BATCH)):
            found += [letter for letter in letters if _is_called(letter, name)]
    return found[:count]


async def carry_out(queue_url: str, order: Order, tell: Tell) -> Tally:
    """Redrive or delete. Raises QueueError."""
    async with _open(queue_url) as queue:
        return await work_off(queue, order, tell)


async def carry_out_native(both: Urls, rate: float) -> str:
    """Start a move task of SQS; return the ARN by which it is followed. Raises QueueError."""
    async with _client() as client:
        return await start_native(client, both.dead_letters, both.events, rate)


def letter_as_dict(letter: DeadLetter, *, with_body: bool) -> dict[str, Any]:
    """Return a letter for people and machines; its body is personal data, so only if asked for."""
    message, body = letter.message, _readable_body(letter)
    told = {
        "messageId": message.id,
        "fingerprint": letter.fingerprint,
        "reason": letter.reason,
        "sentAt": iso(letter.sent_at),
        "receiveCount": message.receive_count,
        "groupId": message.group_id,
        "attributes": sorted(name for name in message.attributes if name != ATTRIBUTE),
        "bodyBytes": len(body.encode()),
        "failure": dict(letter.note),
    }
    return told | ({"body": body} if with_body else {})


def _readable_body(letter: DeadLetter) -> str:
    try:
        return letter.original_body()
    except NotUnpacked:
        return letter.message.body


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
        "others": tally.others,
        "newer": tally.newer,
        "causes": [cause.as_dict() for cause in tally.causes.most_first()],
    }


def _is_called(letter: DeadLetter, name: str) -> bool:
    return name in {letter.fingerprint, letter.message.id, letter.note.get("messageId")}


@asynccontextmanager
async def _open(queue_url: str) -> AsyncIterator[Queue]:
    async with _client() as client:
        yield Queue(queue_url, polls=client, acks=client)


@asynccontextmanager
async def _client() -> AsyncIterator[Any]:
    with setting_errors():
        async with AwsSession(load_group(Aws)).client("sqs", LIMITS) as client:
            yield client

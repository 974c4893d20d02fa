"""Reads the conversations that ended in an interval, each once; sends the events that were missed.

The details query finds conversations by the day they started on, the details jobs find those that
went on in an interval. So a long interval is read by jobs, as far as these are complete, at a tenth
of the requests; and the rest by queries, from some days before it on. All of it gives way to live
requests, which share the budget. Facts and URLs: worker/clients/genesys/README.md, "Analytics".

A claim is what keeps a second run from sending again what is on its queue still. It is made before
the sending, under a lease, and completed after it: a run that is killed between the two leaves a
lease that ends, and an event that may be sent twice, which its key makes harmless. The other way
round, or without the lease, it would leave one that is never sent.
"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import inf
from uuid import NAMESPACE_URL, uuid4, uuid5

from worker.cli.dlq.redrive import SendRate
from worker.clients.aws import AwsService, Queue, QueueError
from worker.clients.aws.idempotency import DONE, Claim, IdempotencyTable
from worker.clients.genesys import (
    MIN_AGE,
    DetailsJobs,
    DetailsQuery,
    Failures,
    Filters,
    GenesysClients,
    Json,
    Page,
    Slice,
    SliceTooLarge,
)
from worker.errors import ConfigurationError, Permanent, WorkerError
from worker.events import Interval, Lost, instant, read_id, utc_text

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
PAGE_SIZE = 100
PAGES_AT_ONCE = 4
READINGS = 3
"""Times a slice is read that changes while it is read."""

Batches = AsyncGenerator[list[Json], None]


@dataclass(slots=True)
class Reading:
    """How far it is, and what was found."""

    slices: int = 0
    slices_done: int = 0
    conversations: int = 0
    """Those that ended in the interval."""

    unreadable: int = 0
    """Those without an id or with times that are none."""

    unsettled: list[str] = field(default_factory=list)
    """Slices that changed each time they were read: some of theirs may be missing."""


class Reader:
    """Reads an interval once."""

    def __init__(
        self, genesys: GenesysClients, interval: Interval, open_days: int, reading: Reading
    ) -> None:
        """`open_days`: for which conversations may have been open. Raises ConfigurationError."""
        if "details_jobs" not in genesys.dialect.features:
            text = "its queries list no conversation with its end: only the platform's do"
            raise ConfigurationError([f"GENESYS_DIALECT: reference: {text}"])
        self._jobs = DetailsJobs(genesys.api)
        pages = genesys.dialect.pages(PAGE_SIZE)
        self._query = DetailsQuery(genesys.api, pages, PAGES_AT_ONCE)
        self._interval = interval
        self._open = timedelta(days=open_days)
        self._reading = reading
        self._seen: set[str] = set()

    async def batches(self, now: datetime) -> Batches:
        """Yield the conversations, some at a time. Raises what the calls raise."""
        start, end = self._interval.start, self._interval.end
        until = await self._jobs_until(now)
        by_job = list(days(start, until))
        by_query = list(days(midnight(until - self._open), end)) if until < end else []
        self._reading.slices = len(by_job) + len(by_query)
        for parts, read in ((by_job, self._by_job), (by_query, self._by_query)):
            for part in parts:
                async with aclosing(read(part)) as found:
                    async for batch in found:
                        yield batch
                self._reading.slices_done += 1

    async def _jobs_until(self, now: datetime) -> datetime:
        """Return up to when jobs are to be used: the start where they are not."""
        start, end = self._interval.start, self._interval.end
        if end - start < DAY or start + DAY > now - MIN_AGE:
            return start
        until = min(end, await self._jobs.available_until(), now - MIN_AGE)
        return until if until - start >= DAY else start

    async def _by_job(self, part: Slice) -> Batches:
        async with aclosing(self._jobs.pages(Filters(), part)) as pages:
            async for page in pages:
                yield self._new([page])
                # Not kept while the next one is waited for: it may be megabytes.
                del page

    async def _by_query(self, part: Slice) -> Batches:
        parts: Sequence[Slice] = ()
        try:
            async with aclosing(self._settled(part)) as batches:
                async for batch in batches:
                    yield batch
        except SliceTooLarge as error:
            if part.end - part.start <= HOUR:
                raise error.reason from error
            parts = list(hours(part))
        # One after the other: an upstream that cannot answer a day is not asked for all its hours.
        for hour in parts:
            async with aclosing(self._by_query(hour)) as batches:
                async for batch in batches:
                    yield batch

    async def _settled(self, part: Slice) -> Batches:
        """Read until nothing changed meanwhile: what comes late moves all after it by a place."""
        failures = Failures(can_split=part.end - part.start > HOUR)
        for _ in range(READINGS):
            ids: set[str] = set()
            total = 0.0
            pages = self._query.page_batches(Filters(), part, failures)
            async with aclosing(pages) as batches:
                async for batch in batches:
                    ids |= {
                        str(one.get("conversationId")) for p in batch for one in p.conversations
                    }
                    total = next((p.total for p in reversed(batch) if p.total is not None), -inf)
                    yield self._new(batch)
                    del batch
            if len(ids) >= total:
                return
        self._reading.unsettled.append(str(part))

    def _new(self, pages: Sequence[Page]) -> list[Json]:
        """Return those that ended in the interval and were not there before."""
        found = [one for page in pages for one in page.conversations if self._is_wanted(one)]
        self._reading.conversations += len(found)
        return found

    def _is_wanted(self, conversation: Json) -> bool:
        key, ended = conversation.get("conversationId"), conversation.get("conversationEnd")
        if ended is None or key in self._seen:
            return False
        try:
            key, moment = read_id(key, "conversationId"), instant(ended)
        except (ValueError, Permanent):
            self._reading.unreadable += 1
            return False
        if is_inside := self._interval.start <= moment < self._interval.end:
            self._seen.add(key)
        return is_inside


def midnight(moment: datetime) -> datetime:
    """Return the beginning of its day, in UTC as it is."""
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def days(start: datetime, end: datetime) -> Iterator[Slice]:
    """Cut at each UTC midnight: analytics matches by UTC days."""
    while start < end:
        following = min(midnight(start) + DAY, end)
        yield Slice(start, following)
        start = following


def hours(part: Slice) -> Iterator[Slice]:
    """Cut at each full hour."""
    start = part.start
    while start < part.end:
        following = start.replace(minute=0, second=0, microsecond=0) + HOUR
        yield Slice(start, min(following, part.end))
        start = following


CLAIM_SECONDS = 20.0
"""Lease of a claim: one SendMessage, with its attempts."""

CLAIMS_AT_ONCE = 10
MOST_FRUITLESS = 3
"""Batches without any success after which the rest is left: a missing permission stops all."""


@dataclass(slots=True)
class Tally:
    """What became of the events of one job."""

    sent: int = 0
    queued: int = 0
    """Sent by an earlier run, and without an effect yet."""

    failed: Counter[str] = field(default_factory=Counter)
    """Not sent, by the reason."""

    def count(self) -> int:
        """Return how many were tried."""
        return self.sent + self.queued + self.failed.total()


class Sender:
    """Sends the events of one job to its queue, each once, at a rate."""

    def __init__(
        self, queue: Queue, job: str, source: str, claims: IdempotencyTable | None, rate: float
    ) -> None:
        """`source`: of the events. `rate`: events per second. `claims`: None makes none."""
        self._queue = queue
        self._job = job
        self._source = source
        self._claims = claims
        self._rate = SendRate(rate)
        self._owner = f"backfill-{uuid4().hex}"

    async def send(self, lost: Sequence[Lost], tally: Tally) -> None:
        """Send all that no earlier run has sent. What cannot be sent is counted, not raised."""
        fruitless = 0
        for first in range(0, len(lost), self._rate.burst):
            if fruitless == MOST_FRUITLESS:
                tally.failed["not tried: those before failed"] += len(lost) - first
                return
            await self._rate.wait()
            batch, failed = lost[first : first + self._rate.burst], tally.failed.total()
            await asyncio.gather(*(self._send(one, tally) for one in batch))
            self._rate.used(len(batch))
            has_failed = tally.failed.total() - failed == len(batch)
            fruitless = fruitless + 1 if has_failed else 0

    async def _send(self, lost: Lost, tally: Tally) -> None:
        claim = Claim(claim_id(self._job, lost), self._owner, lost.conversation_id)
        try:
            if not await self._claim(claim):
                tally.queued += 1
                return
            await self._queue.send_to(self._queue.url, **self._message(lost))
            tally.sent += 1
        except (QueueError, WorkerError) as error:
            tally.failed[str(error)] += 1
            await self._end(claim, is_sent=False)
        else:
            await self._end(claim, is_sent=True)

    async def _end(self, claim: Claim, *, is_sent: bool) -> None:
        """Complete the claim, or take it back; one that is left as it is ends with its lease."""
        if self._claims is not None:
            with suppress(WorkerError):
                await (self._claims.complete if is_sent else self._claims.release)(claim)

    async def _claim(self, claim: Claim) -> bool:
        """Return whether it is to be sent; waits for another run's, or until its lease ends."""
        if self._claims is None:
            return True
        while (taken := await self._claims.claim(claim)) is not None:
            if taken.done:
                return False
            await asyncio.sleep(taken.free_in_seconds)
        return True

    def _message(self, lost: Lost) -> dict[str, str]:
        body = json.dumps(self._event(lost), separators=(",", ":"))
        if not self._queue.url.endswith(".fifo"):
            return {"MessageBody": body}
        # SQS itself drops a repeat of the next five minutes.
        group = {"MessageGroupId": lost.conversation_id}
        return {"MessageBody": body, "MessageDeduplicationId": self._id_of(lost), **group}

    def _event(self, lost: Lost) -> dict[str, object]:
        return {
            "version": "0",
            "id": self._id_of(lost),
            "detail-type": lost.detail_type,
            "source": self._source,
            "time": utc_text(lost.time),
            "resources": [],
            "detail": lost.detail,
        }

    def _id_of(self, lost: Lost) -> str:
        """Return the event's id, the same in every run."""
        return str(uuid5(NAMESPACE_URL, claim_id(self._job, lost)))


def claim_id(job: str, lost: Lost) -> str:
    """Return the key of a claim; no job's name has a space, so it is no event's."""
    return f"backfill {job}|{lost.key}"


async def queued(dynamodb: AwsService, table: str, job: str, lost: Sequence[Lost]) -> int:
    """Return how many an earlier run has sent, as far as that is remembered."""

    async def is_queued(one: Lost) -> bool:
        key = {"id": {"S": claim_id(job, one)}}
        item = (await dynamodb.call("get_item", TableName=table, Key=key)).get("Item", {})
        is_kept = float(item.get("expiresAt", {}).get("N", 0)) > time.time()
        return is_kept and item.get("status") == {"S": DONE}

    count = 0
    for first in range(0, len(lost), CLAIMS_AT_ONCE):
        batch = lost[first : first + CLAIMS_AT_ONCE]
        count += sum(await asyncio.gather(*map(is_queued, batch)))
    return count


Find = Callable[[Sequence[Json]], Awaitable[Sequence[Lost]]]

IN_WORK = timedelta(hours=1)
"""What ended since may be in work: its jobs wait for analytics, and its events are not lost."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked for."""

    start: datetime
    end: datetime
    jobs: tuple[str, ...]
    rate: float
    open_days: int
    again: bool
    apply: bool

    def interval(self, now: datetime) -> Interval:
        """Return it without what may be in work still. Raises ConfigurationError."""
        if not self.start < self.end:
            raise ConfigurationError(["--from: is not before --to"])
        if self.start >= now - IN_WORK:
            raise ConfigurationError(["--from: what ended within the last hour may be in work"])
        return Interval(self.start, min(self.end, now - IN_WORK))


@dataclass(slots=True)
class JobRun:
    """One job: what it has missed, and what became of that."""

    job: str
    queue: str
    """URL of its queue."""

    tally: Tally
    find: Find | None = None
    lost: list[Lost] = field(default_factory=list)
    shared_with: tuple[str, ...] = ()
    """Other jobs that take its events from that queue."""

    problem: str = ""
    """Why it could not be asked."""

    unreachable: bool = False


@dataclass(slots=True)
class Outcome:
    """The whole run; what it is at, while it runs."""

    order: Order
    interval: Interval
    runs: list[JobRun]
    reading: Reading
    sends: bool = False
    notes: list[str] = field(default_factory=list)

    @property
    def problems(self) -> list[JobRun]:
        """The jobs that could not be asked."""
        return [one for one in self.runs if one.problem]

"""Details of conversations that ended, by id: many lookups in one request.

The platform grants 300 requests a minute, so a request per event would be the product's limit.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from worker.clients.genesys import wire
from worker.clients.genesys.api import Api
from worker.clients.genesys.details_by_id import Details, DetailsDialect, Wanted
from worker.errors import Permanent, Rejected, TooHeavy, Transient, Unavailable, WorkerError
from worker.resilience.batcher import Batcher
from worker.resilience.work import Work, current_work, waiting_for, working_for

MOST_REQUESTS = 20
"""Requests one batch may cost: enough to find one bad id among a hundred by halving."""

MOST_IN_VAIN = 3
"""Conversations that fail alone, and none of the batch does not, before the rest is not asked for:
then it is not for their number, nor for one of them."""

CONCURRENT = 2
"""Requests under way at once, while later lookups gather. One each, where ids go singly."""

CONCURRENT_SINGLE = 16

SHARE = 0.5
"""Part of the request budget that batches which are not full may use."""

LONGEST_GAP_SECONDS = 5.0
"""Handlers wait through the gap, so a tiny budget must not stretch it to their deadline."""

Answer = Details | None | WorkerError


@dataclass(frozen=True, slots=True)
class _Lookup:
    """One look-up, and the messages it is made for."""

    wanted: Wanted
    works: tuple[Work, ...]

    @property
    def id(self) -> str:
        return self.wanted.conversation_id


@dataclass(frozen=True, slots=True, kw_only=True)
class Batching:
    """How long lookups wait for each other."""

    wait_seconds: float = 0.05
    """Time the first lookup of a batch waits for others."""

    gap_seconds: float = 0.0
    """Least time between the starts of two requests; lookups in between gather for the next."""

    @classmethod
    def within(cls, requests_per_minute: float, *, wait_seconds: float = 0.05) -> "Batching":
        """Return the batching that leaves half of such a budget to others, however thin it flows.

        Without the gap a steady trickle would fill each window with an event or two and spend the
        whole budget on them. A lone lookup after a pause does not wait for it.
        """
        gap_seconds = min(LONGEST_GAP_SECONDS, 60 / (requests_per_minute * SHARE))
        return cls(wait_seconds=wait_seconds, gap_seconds=gap_seconds)


class ConversationDetails:
    """Looks conversations up in analytics."""

    def __init__(
        self,
        api: Api,
        dialect: DetailsDialect,
        batching: Batching,
        clock: Callable[[], float] | None = None,
    ) -> None:
        """`clock`: monotonic seconds; the running loop's by default."""
        self._api = api
        self._dialect = dialect
        self._clock = clock or asyncio.get_running_loop().time
        self._is_single = dialect.ids_per_request == 1
        self._gap_seconds = 0.0 if self._is_single else batching.gap_seconds
        self._next_at = 0.0
        self._batcher: Batcher[_Lookup, Details | None] = Batcher(
            self._flush,
            max_items=dialect.ids_per_request,
            max_wait_seconds=batching.wait_seconds,
            max_concurrent=CONCURRENT_SINGLE if self._is_single else CONCURRENT,
            waits_for="budget",
        )

    async def by_id(self, conversation_id: str, ended_at: datetime) -> Details | None:
        """Return what analytics knows of the conversation; None: nothing (yet).

        `ended_at`, roughly: where the dialect needs a span of time to look in. An id that is
        refused fails its own caller only. Raises Permanent for what is no UUID, before any request.
        """
        wanted = Wanted(wire.conversation_id_in_path(conversation_id), ended_at)
        # Before joining a batch, not inside of one: all who wait here make the next batch together.
        if (wait := self._next_at - self._clock()) > 0:
            with waiting_for("budget", asyncio.get_running_loop().time):
                await asyncio.sleep(wait)
        return await self._batcher.submit(_Lookup(wanted, current_work()))

    async def aclose(self) -> None:
        """End the lookups under way: whoever asked has gone, and an exit must not wait for them."""
        await self._batcher.abandon()

    async def _flush(self, batch: Sequence[_Lookup]) -> list[Answer]:
        self._next_at = self._clock() + self._gap_seconds
        unique: dict[str, _Lookup] = {}
        for one in batch:
            before = unique.get(one.id)
            unique[one.id] = _Lookup(one.wanted, (before.works if before else ()) + one.works)
        answers = await _Questions(self._api, self._dialect).ask(list(unique.values()))
        return [answers[one.id] for one in batch]


class _Questions:
    """The requests that one batch costs."""

    def __init__(self, api: Api, dialect: DetailsDialect) -> None:
        self._api = api
        self._dialect = dialect
        self._answers: dict[str, Answer] = {}
        self._requests = self._in_vain = 0
        self._any_was_found = False

    async def ask(self, batch: list[_Lookup]) -> dict[str, Answer]:
        """Ask for all; what fails for one of them, or for their number, is asked for in halves.

        The first half of a half goes first, so that soon one is asked for alone: what one alone
        meets is told to the breaker, and is no question of weight.
        """
        parts = deque([batch])
        while parts:
            part = parts.popleft()
            failure = self._given_up() or await self._ask(part)
            if failure is None:
                continue
            if len(part) > 1 and isinstance(failure, Permanent | TooHeavy):
                half = len(part) // 2
                parts.extendleft((part[half:], part[:half]))
            else:
                self._answers |= dict.fromkeys((one.id for one in part), _answer(failure))
        return self._answers

    async def _ask(self, part: list[_Lookup]) -> WorkerError | None:
        """Ask in one request; return its failure."""
        self._requests += 1
        call = self._dialect.details([one.wanted for one in part])
        try:
            with working_for(work for one in part for work in one.works):
                found = await self._api.run(wire.halvable(call) if len(part) > 1 else call)
        except WorkerError as error:
            self._in_vain += len(part) == 1 and isinstance(error, Unavailable)
            return error
        self._any_was_found = True
        self._answers |= {one.id: found.get(one.wanted.key) for one in part}
        return None

    def _given_up(self) -> WorkerError | None:
        if self._requests >= MOST_REQUESTS:
            return Transient("genesys refuses too many parts of a batch")
        if self._in_vain >= MOST_IN_VAIN and not self._any_was_found:
            return Unavailable("genesys answers no part of a batch")
        return None


def _answer(failure: WorkerError) -> WorkerError | None:
    """Take a 404 for an answer: analytics shows a conversation seconds to minutes late."""
    return None if isinstance(failure, Rejected) and failure.status == 404 else failure

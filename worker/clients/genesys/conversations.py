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
from worker.errors import Permanent, Rejected, Transient, WorkerError
from worker.resilience.batcher import Batcher

MOST_REQUESTS = 20
"""Requests one batch may cost: enough to find one bad id among a hundred by halving."""

CONCURRENT = 2
"""Requests under way at once, while later lookups gather. One each, where ids go singly."""

CONCURRENT_SINGLE = 16

SHARE = 0.5
"""Part of the request budget that batches which are not full may use."""

LONGEST_GAP_SECONDS = 5.0
"""Handlers wait through the gap, so a tiny budget must not stretch it to their deadline."""

Answer = Details | None | WorkerError


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
        self._batcher: Batcher[Wanted, Details | None] = Batcher(
            self._flush,
            max_items=dialect.ids_per_request,
            max_wait_seconds=batching.wait_seconds,
            max_concurrent=CONCURRENT_SINGLE if self._is_single else CONCURRENT,
        )

    async def by_id(self, conversation_id: str, ended_at: datetime) -> Details | None:
        """Return what analytics knows of the conversation; None: nothing (yet).

        `ended_at`, roughly: where the dialect needs a span of time to look in. An id that is
        refused fails its own caller only. Raises Permanent for what is no UUID, before any request.
        """
        wanted = Wanted(wire.conversation_id_in_path(conversation_id), ended_at)
        # Before joining a batch, not inside of one: all who wait here make the next batch together.
        if (wait := self._next_at - self._clock()) > 0:
            await asyncio.sleep(wait)
        return await self._batcher.submit(wanted)

    async def aclose(self) -> None:
        """End the lookups under way: whoever asked has gone, and an exit must not wait for them."""
        await self._batcher.abandon()

    async def _flush(self, batch: Sequence[Wanted]) -> list[Answer]:
        self._next_at = self._clock() + self._gap_seconds
        unique = list({one.conversation_id: one for one in batch}.values())
        answers = await self._ask(unique)
        return [answers[one.conversation_id] for one in batch]

    async def _ask(self, batch: list[Wanted]) -> dict[str, Answer]:
        """Ask for all; what is refused is asked for again in halves, until the culprit is alone."""
        answers: dict[str, Answer] = {}
        parts, requests = deque([batch]), 0
        while parts:
            part, requests = parts.popleft(), requests + 1
            if requests > MOST_REQUESTS:
                answers |= _failed(part, Transient("genesys refuses too many parts of a batch"))
                continue
            try:
                found = await self._api.run(self._dialect.details(part))
            except Permanent as error:
                # Not only a 400: a reply may be too large for us, and half of it is not.
                if len(part) > 1:
                    half = len(part) // 2
                    parts += [part[:half], part[half:]]
                else:
                    answers |= _refused(part, error)
            except WorkerError as error:
                answers |= _failed(part, error)
            else:
                answers |= {one.conversation_id: found.get(one.key) for one in part}
        return answers


def _refused(part: Sequence[Wanted], error: Permanent) -> dict[str, Answer]:
    """Take a 404 for an answer: analytics shows a conversation seconds to minutes late."""
    if isinstance(error, Rejected) and error.status == 404:
        return {one.conversation_id: None for one in part}
    return _failed(part, error)


def _failed(part: Sequence[Wanted], error: WorkerError) -> dict[str, Answer]:
    return {one.conversation_id: error for one in part}

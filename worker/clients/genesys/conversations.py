"""Conversations: live, and after their end by id, many lookups in one request.

A live one is at `GET /api/v2/conversations/{id}`, which no reference text has. Details come from
analytics, seconds to minutes after the end. The platform grants 300 requests a minute, so a request
per event would be the product's limit.
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, TypeVar

from msgspec import Struct, structs

from worker.clients.genesys import wire
from worker.clients.genesys.api import Api
from worker.clients.genesys.details_query import (
    CUSTOMER_PURPOSES,
    Details,
    Found,
    OfPage,
    Wanted,
    first_found,
)
from worker.clients.genesys.wire import Call
from worker.clients.http_types import Reply, Request
from worker.errors import (
    Permanent,
    Rejected,
    RequestTooLarge,
    Transient,
    Unavailable,
    Unreadable,
    WorkerError,
)
from worker.resilience import Batcher, Work, current_work, waiting_for, working_for

T = TypeVar("T")


MEDIA = frozenset(
    {
        "calls",
        "callbacks",
        "chats",
        "cobrowsesessions",
        "emails",
        "internalMessages",
        "messages",
        "screenshares",
        "socialExpressions",
        "videos",
    }
)
"""A participant's legs, by the names of the lists that hold them."""


@dataclass(frozen=True, slots=True)
class Caller:
    """The customer of a live conversation, and what it is made of."""

    address: str | None = field(default=None, repr=False)
    """Raw (`tel:+1555...`, `sip:...`); None: none is known."""

    media: frozenset[str] = frozenset()
    """Which of `MEDIA` its participants have; empty: the conversation is gone, or does not say."""


def live_caller(conversation_id: str) -> Call[Caller]:
    """Ask who the customer is, and by which media."""
    return Call(live_conversation(conversation_id), _caller, wire.CONVERSATIONS)


def live_conversation(conversation_id: str) -> Request:
    """Return the request for a live conversation."""
    return Request(
        method="GET",
        path=f"/api/v2/conversations/{wire.conversation_id_in_path(conversation_id)}",
        template="/api/v2/conversations/{conversationId}",
    )


def customers_of(reply: Reply) -> list[Mapping[str, Any]]:
    """Return the customers of a live conversation, the one who called first.

    Transfers and conferences add customers.
    """
    return _customers(wire.objects_in(wire.object_of(reply).get("participants")))


def _customers(participants: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return sorted(filter(_is_customer, participants), key=_joined)


class LiveConversations:
    """Asks for conversations that are under way."""

    def __init__(self, api: Api, *, can_ask: bool = True) -> None:
        """`can_ask`: False where the call does not exist, and so nothing is known of them."""
        self._api = api
        self._can_ask = can_ask

    async def caller(self, conversation_id: str) -> Caller:
        """Return the conversation's customer, and its media."""
        call = live_caller(conversation_id)
        return await self._api.run(call) if self._can_ask else Caller()


def _caller(reply: Reply) -> Caller:
    if reply.status == 404:
        # Not NotYet: it has left the live store, or is another division's; waiting shows neither.
        return Caller()
    participants = wire.objects_in(wire.object_of(reply).get("participants"))
    customers = _customers(participants)
    media = frozenset(
        name for who in participants for name in MEDIA & who.keys() if wire.objects_in(who[name])
    )
    # The first one's or none: of the others, some are parties whom the agent consulted.
    return Caller(next(map(_address, customers), None), media)


def _is_customer(participant: Mapping[str, Any]) -> bool:
    purpose = participant.get("purpose")
    return isinstance(purpose, str) and purpose.lower() in CUSTOMER_PURPOSES


def _address(participant: Mapping[str, Any]) -> str | None:
    callbacks = wire.objects_in(participant.get("callbacks"))
    called_back = (number for one in callbacks for number in _listed(one.get("callbackNumbers")))
    addresses = (wire.text_of(participant.get(name)) for name in ("address", "ani"))
    return next(filter(None, addresses), None) or next(called_back, None)


def _listed(value: object) -> list[str]:
    return [one for one in value if isinstance(one, str) and one] if isinstance(value, list) else []


def _joined(participant: Mapping[str, Any]) -> str:
    """Return the ISO 8601 time in UTC, which sorts as text; participants without one come last."""
    times = (participant.get("startTime"), participant.get("connectedTime"))
    return min((t for t in times if isinstance(t, str) and t), default="~")


class DetailsDialect(Protocol):
    """How details are asked for."""

    @property
    def ids_per_request(self) -> int:
        """Conversations one request may ask for."""

    def details(self, wanted: Sequence[Wanted], token: str | None = None) -> Call[Found]:
        """Ask for the conversations; the answer holds those there are, by lower-case id.

        `token`: of the page before, where an answer has several.
        """


class PlatformDetails(Struct, frozen=True):
    """`GET /api/v2/analytics/conversations/details?id=` (README.md, "Analytics")."""

    ids_per_request: int = 100
    """The cap is unpublished; 100 is what integrators use."""

    def details(self, wanted: Sequence[Wanted], token: str | None = None) -> Call[Found]:
        """Ask for up to a hundred at once; all answers are of one page."""
        del token
        path = "/api/v2/analytics/conversations/details"
        ids = ",".join(one.conversation_id for one in wanted)
        request = Request(method="GET", path=f"{path}?id={ids}", template=f"{path}?id={{ids}}")
        return Call(request, _conversations, wire.ANALYTICS)


def _conversations(reply: Reply) -> Found:
    return OfPage(_by_id(wire.object_of(reply).get("conversations")))


def _by_id(records: object) -> Mapping[str, Details]:
    """Key the records by conversation; an answer without any may leave the list out."""
    if records is None:
        return {}
    if not isinstance(records, list):
        raise Unreadable("genesys: conversation details are not a list")
    found = (record for record in records if isinstance(record, dict))
    return {
        record["conversationId"].lower(): record
        for record in found
        if isinstance(record.get("conversationId"), str)
    }


MOST_REQUESTS = 20
"""Requests one batch may cost: enough to find one bad id among a hundred by halving."""

MOST_UNAVAILABLE = 3
"""Conversations that fail alone, and none of the batch does not, before the rest is not asked for:
then it is not for their number, nor for one of them."""

FAILED_ALONE = 1_000
"""Conversations remembered that failed when they were asked for alone: the newest."""

CONCURRENT = 2
"""Requests under way at once, while later lookups gather. One each, where ids go singly."""

CONCURRENT_SINGLE = 16

SHARE = 0.5
"""Part of the request budget that batches which are not full may use."""

LONGEST_GAP_SECONDS = 5.0
"""Handlers wait through the gap, so a tiny budget must not stretch it to their deadline."""

Answer = Details | None | WorkerError


class _Lookup(Struct, frozen=True):
    """One look-up, and the messages it is made for."""

    wanted: Wanted
    works: tuple[Work, ...]

    @property
    def id(self) -> str:
        return self.wanted.conversation_id


class Batching(Struct, frozen=True, kw_only=True):
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
        self._failed_alone: OrderedDict[str, None] = OrderedDict()
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
        """End the lookups under way: their callers have gone, and an exit must not wait."""
        await self._batcher.abandon()

    async def _flush(self, batch: Sequence[_Lookup]) -> list[Answer]:
        self._next_at = self._clock() + self._gap_seconds
        unique: dict[str, _Lookup] = {}
        for one in batch:
            before = unique.get(one.id)
            unique[one.id] = _Lookup(one.wanted, (before.works if before else ()) + one.works)
        questions = _Questions(self._api, self._dialect)
        answers = await questions.ask(self._others_first(list(unique.values())))
        for answered in answers:
            self._failed_alone.pop(answered, None)
        self._failed_alone |= dict.fromkeys(questions.failed_alone)
        while len(self._failed_alone) > FAILED_ALONE:
            self._failed_alone.popitem(last=False)
        return [answers[one.id] for one in batch]

    def _others_first(self, lookups: list[_Lookup]) -> list[list[_Lookup]]:
        # With them in one request, a few that always fail would cost all that a batch may, each
        # time that they come back, and a healthy one that met them be answered by none of it.
        failed_before = [one for one in lookups if one.id in self._failed_alone]
        others = [one for one in lookups if one.id not in self._failed_alone]
        return [part for part in (others, failed_before) if part]


def halvable(call: Call[T]) -> Call[T]:
    """Return a call for several things, whose failure may be due to one of them or to their number.

    Its reader raises RequestTooLarge for a 500, a 504 and what cannot be read.
    """

    def read(reply: Reply) -> T:
        if reply.status in wire.TOO_LARGE:
            raise RequestTooLarge(str(wire.failure_of(reply)))
        try:
            return call.read(reply)
        except Unreadable as error:
            raise RequestTooLarge(error.reason) from None

    return structs.replace(call, read=read)


class _Questions:
    """The requests that one batch costs."""

    def __init__(self, api: Api, dialect: DetailsDialect) -> None:
        self._api = api
        self._dialect = dialect
        self._answers: dict[str, Answer] = {}
        self._requests = self._unavailable = 0
        self._any_was_found = False
        self.failed_alone: list[str] = []

    async def ask(self, batches: list[list[_Lookup]]) -> dict[str, Answer]:
        """Ask for all; what fails for one of them, or for their number, is asked for in halves.

        The first half of a half goes first, so that soon one is asked for alone: what one alone
        meets is reported to the breaker, and is not a matter of size.
        """
        parts = deque(batches)
        while parts:
            part = parts.popleft()
            failure = self._given_up() or await self._ask(part)
            if failure is None:
                continue
            if len(part) > 1 and isinstance(failure, Permanent | RequestTooLarge | Unreadable):
                half = len(part) // 2
                parts.extendleft((part[half:], part[:half]))
            else:
                self._answers |= dict.fromkeys((one.id for one in part), _answer(failure))
        return self._answers

    async def _ask(self, part: list[_Lookup]) -> WorkerError | None:
        """Ask in one request; return its failure."""
        self._requests += 1
        wanted = [one.wanted for one in part]

        def ask(token: str | None) -> Call[Found]:
            call = self._dialect.details(wanted, token)
            return halvable(call) if len(part) > 1 else call

        try:
            with working_for(work for one in part for work in one.works):
                found = await first_found(self._api, ask) or {}
        except WorkerError as error:
            if len(part) == 1 and isinstance(error, Unavailable):
                self._unavailable += 1
                self.failed_alone.append(part[0].id)
            return error
        self._any_was_found = True
        self._answers |= {one.id: found.get(one.wanted.key) for one in part}
        return None

    def _given_up(self) -> WorkerError | None:
        if self._requests >= MOST_REQUESTS:
            return Transient("genesys refuses too many parts of a batch")
        if self._unavailable >= MOST_UNAVAILABLE and not self._any_was_found:
            return Unavailable("genesys answers no part of a batch")
        return None


def _answer(failure: WorkerError) -> WorkerError | None:
    """Take a 404 for an answer: analytics shows a conversation seconds to minutes late."""
    return None if isinstance(failure, Rejected) and failure.status == 404 else failure

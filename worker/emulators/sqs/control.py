"""What tests do to the server and ask of it: faults on purpose, and a journal of all it did.

A server that runs in another process takes both by plain HTTP beside SQS's own:

POST   /faults   {"action": "DeleteMessageBatch", "fault": "Drip", "with": {"seconds": 1},
                  "when": {"seconds": 20}}       `*` is any action; `with` and `when` are optional
DELETE /faults   all of them; ?action=… those of one action
GET    /counts   calls received by action, and outcomes by action
"""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from io import FileIO
from pathlib import Path
from random import Random
from typing import Any, NamedTuple, get_args

import orjson
from aiohttp import web


@dataclass(frozen=True, slots=True)
class Refuse:
    """The call is answered with an error."""

    shape: str = "InternalFailure"
    status: int = 500
    after_effect: bool = False
    """True: the action takes effect, and only its answer is lost."""


@dataclass(frozen=True, slots=True)
class Deny:
    """The call is answered as by a policy that lacks its action, in AWS's own words."""

    action: str = ""
    """Of IAM, e.g. `kms:Decrypt`; by default the call's own, in lower case as SQS writes it."""


@dataclass(frozen=True, slots=True)
class Silence:
    """The call is taken, and never answered; its connection stays open."""

    after_effect: bool = False
    """True: the action takes effect."""


@dataclass(frozen=True, slots=True)
class Drip:
    """The answer comes byte by byte."""

    seconds: float = 1.0
    """Between two bytes."""

    head: bool = False
    """True: from the status line on; else the head comes at once, and the body drips."""


@dataclass(frozen=True, slots=True)
class Say:
    """The call takes effect, and is answered with this body in place of its own, and status 200."""

    body: str


@dataclass(frozen=True, slots=True)
class InFlight:
    """A queue says of itself that so many messages are in flight."""

    count: int


@dataclass(frozen=True, slots=True)
class Reset:
    """The connection is reset instead of an answer."""

    after_effect: bool = False
    """True: the action takes effect, and only its answer is lost."""


@dataclass(frozen=True, slots=True)
class Slow:
    """The call takes this much longer, before it takes effect."""

    seconds: float


@dataclass(frozen=True, slots=True)
class FailEntries:
    """Some entries of a batch fail; the answer is HTTP 200 nevertheless."""

    count: int = 1
    shape: str = "InternalFailure"
    sender_fault: bool = False


@dataclass(frozen=True, slots=True)
class FewerMessages:
    """A receive gives out at most so many, however many there are and are asked for."""

    at_most: int = 1


@dataclass(frozen=True, slots=True)
class DeliverAgain:
    """What a receive gives out is visible again at once, so that another consumer gets it too."""


Fault = (
    Refuse
    | Deny
    | Reset
    | Silence
    | Drip
    | Say
    | Slow
    | FailEntries
    | FewerMessages
    | DeliverAgain
    | InFlight
)
Refusal = Refuse | Deny | Reset | Silence

HTTP_500 = Refuse()
HTTP_503 = Refuse("ServiceUnavailable", 503)
THROTTLED = Refuse("RequestThrottled", 400)
ACCESS_DENIED = Refuse("AccessDeniedException", 403)


@dataclass(frozen=True, slots=True)
class When:
    """Which of the calls a rule is for, counted from 1 since the rule was added."""

    probability: float = 1.0
    every: int = 1
    first: int = 1
    last: int | None = None
    queue: str | None = None
    """Name of the only queue meant."""

    seconds: float | None = None
    """For how long from when the rule was added: an outage that ends by itself."""


@dataclass(slots=True)
class _Rule:
    action: str
    fault: Fault
    when: When
    random: Random
    added_at: float
    calls: int = 0

    def hits(self, action: str, queue: str, now: float) -> bool:
        """Count the call if it is one of ours; True when it shall go wrong."""
        if self.action not in ("*", action) or self.when.queue not in (None, queue):
            return False
        if self.when.seconds is not None and now >= self.added_at + self.when.seconds:
            return False
        self.calls += 1
        when = self.when
        in_range = when.first <= self.calls <= (when.last or self.calls)
        turn = (self.calls - when.first) % when.every == 0
        # Drawn at every call, so that a changed range leaves the later draws as they were.
        return (self.random.random() < when.probability) and in_range and turn


@dataclass(slots=True)
class Injected:
    """The faults of one call."""

    faults: list[tuple[Fault, Random]] = field(default_factory=list)

    @property
    def delay_seconds(self) -> float:
        """Return how much longer the call takes."""
        return sum(fault.seconds for fault, _ in self.faults if isinstance(fault, Slow))

    def refusal(self, *, after_effect: bool) -> Refusal | None:
        """Return how the call is refused before, or its answer lost after, its effect."""
        for fault, _ in self.faults:
            if isinstance(fault, Refusal) and after_effect is getattr(fault, "after_effect", False):
                return fault
        return None

    @property
    def drip(self) -> Drip | None:
        """Return how slowly the answer comes."""
        return next((fault for fault, _ in self.faults if isinstance(fault, Drip)), None)

    @property
    def says(self) -> str | None:
        """Return what is answered in place of the action's own answer."""
        return next((fault.body for fault, _ in self.faults if isinstance(fault, Say)), None)

    @property
    def in_flight(self) -> int | None:
        """Return how many messages the queue shall say that are in flight."""
        return next((fault.count for fault, _ in self.faults if isinstance(fault, InFlight)), None)

    def failing(self, ids: Sequence[str]) -> dict[str, FailEntries]:
        """Return which entries of a batch fail."""
        return {
            entry_id: fault
            for fault, random in self.faults
            if isinstance(fault, FailEntries)
            for entry_id in random.sample(list(ids), min(fault.count, len(ids)))
        }

    def at_most(self, asked: int) -> int:
        """Return how many messages a receive may give out."""
        caps = [fault.at_most for fault, _ in self.faults if isinstance(fault, FewerMessages)]
        return min([asked, *caps])

    @property
    def delivers_again(self) -> bool:
        """Return True when what is received shall be received by another, too."""
        return any(isinstance(fault, DeliverAgain) for fault, _ in self.faults)


class FaultPlan:
    """Rules by action; they can be added and cleared while the server runs."""

    def __init__(self, seed: int = 0, clock: Callable[[], float] = time.monotonic) -> None:
        self._seed = seed
        self._clock = clock
        self._added = 0
        self._rules: list[_Rule] = []

    def add(self, action: str, fault: Fault, when: When | None = None) -> None:
        """Let calls of the action (`*`: of any) go wrong, all of them unless `when` says less."""
        # A generator per rule: calls of one action do not shift the draws of another.
        random = Random(f"{self._seed}/{self._added}")  # noqa: S311  repeatable, not secret
        self._added += 1
        self._rules.append(_Rule(action, fault, when or When(), random, self._clock()))

    def clear(self, action: str | None = None) -> None:
        """Drop the rules of one action (`*`: those for any); all without one."""
        self._rules = [rule for rule in self._rules if action not in (None, rule.action)]

    def draw(self, action: str, queue: str) -> Injected:
        """Return what goes wrong with this call."""
        now = self._clock()
        hits = [rule for rule in self._rules if rule.hits(action, queue, now)]
        return Injected([(rule.fault, rule.random) for rule in hits])


class Record(NamedTuple):
    """One outcome of one call; a batch with failures makes a record per outcome."""

    time: float
    """Wall clock, seconds since 1970: journals of several servers are joined on it."""

    action: str
    queue: str
    """Name of the queue; empty for calls about none."""

    message_ids: tuple[str, ...]
    outcome: str
    """`ok`, `redriven`, an error code of SQS, or the name of an injected fault."""


class Journal:
    """An append-only list of records; also written to a file, one JSON object a line."""

    def __init__(
        self, path: Path | None = None, *, wall_clock: Callable[[], float] = time.time
    ) -> None:
        self.records: list[Record] = []
        self.receives: Counter[str] = Counter()
        """How often each message id was given out."""

        self.deletes: Counter[str] = Counter()
        """How often a delete of each message id was accepted, also without effect."""

        self._wall_clock = wall_clock
        # Unbuffered: the last lines before a kill are the ones that are wanted.
        self._file: FileIO | None = FileIO(str(path), "a") if path else None

    def write(
        self, action: str, queue: str, message_ids: Sequence[str] = (), outcome: str = "ok"
    ) -> None:
        """Append a record."""
        record = Record(self._wall_clock(), action, queue, tuple(message_ids), outcome)
        self.records.append(record)
        if outcome == "ok":
            self._count(record)
        if self._file:
            self._file.write(orjson.dumps(record._asdict(), option=orjson.OPT_APPEND_NEWLINE))

    def find(self, action: str | None = None, *, message_id: str | None = None) -> list[Record]:
        """Return the records of an action, of a message, or of both."""
        return [
            record
            for record in self.records
            if action in (None, record.action)
            and (message_id is None or message_id in record.message_ids)
        ]

    def outcomes(self, action: str) -> Counter[str]:
        """Return how often the action ended in which way."""
        return Counter(record.outcome for record in self.records if record.action == action)

    def close(self) -> None:
        """Close the file; the records stay."""
        if self._file:
            self._file.close()
            self._file = None

    def _count(self, record: Record) -> None:
        if record.action == "ReceiveMessage":
            self.receives.update(record.message_ids)
        elif record.action.startswith("DeleteMessage"):
            self.deletes.update(record.message_ids)


KINDS: dict[str, Any] = {kind.__name__: kind for kind in get_args(Fault)}


class Control:
    """Answers requests that are not SQS's."""

    def __init__(self, faults: FaultPlan, journal: Journal, counts: Counter[str]) -> None:
        self._faults = faults
        self._journal = journal
        self._counts = counts

    async def __call__(self, request: web.BaseRequest) -> web.Response | None:
        """Return the answer; None for a call of SQS."""
        if "X-Amz-Target" in request.headers:
            return None
        match request.method, request.path:
            case "POST", "/faults":
                return self._add(await request.content.read())
            case "DELETE", "/faults":
                self._faults.clear(request.query.get("action"))
                return _said(200, {})
            case "GET", "/counts":
                return _said(200, {"calls": self._counts, "outcomes": self._outcomes()})
        return None

    def _add(self, content: bytes) -> web.Response:
        try:
            asked = orjson.loads(content)
            fault = KINDS[asked["fault"]](**asked.get("with", {}))
            self._faults.add(asked["action"], fault, When(**asked.get("when", {})))
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            return _said(400, {"error": repr(error), "faults": sorted(KINDS)})
        return _said(200, {})

    def _outcomes(self) -> dict[str, Counter[str]]:
        outcomes: dict[str, Counter[str]] = defaultdict(Counter)
        for record in self._journal.records:
            outcomes[record.action][record.outcome] += 1
        return outcomes


def _said(status: int, content: Any) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(content), content_type="application/json")

"""What the emulated Genesys Cloud holds, counts, and gets wrong on demand."""

import asyncio
import secrets
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from worker.emulators.genesys.history import History

PLATFORM = "platform"
"""What a token belongs to that was asked for by none of r0, r1, r3, r4. Text r2 asks as the SDK."""


@dataclass(slots=True)
class Ended:
    """A conversation in analytics. Times are those of the event loop, in seconds."""

    record: dict[str, Any] = field(repr=False)
    """As it is in the end, `conversationEnd` included."""

    listed_at: float = 0.0
    """Not found before."""

    closed_at: float = 0.0
    """Found without its end before."""

    def at(self, now: float) -> dict[str, Any] | None:
        """Return the record as it is at that time."""
        if now < self.listed_at:
            return None
        if now < self.closed_at:
            return {name: value for name, value in self.record.items() if name != "conversationEnd"}
        return self.record


@dataclass(slots=True)
class Spoken:
    """What speech and text analytics finds in a conversation."""

    score: float | None = None
    """`sentimentScore`, -1..1."""

    transcripts: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)
    """Transcript files by the customer's session."""

    metrics: dict[str, float] = field(default_factory=dict)
    """r3's metrics by name."""

    analysed_at: float = 0.0
    """Time of the event loop, in seconds; not found before."""


@dataclass(slots=True)
class Speech:
    """Speech and text analytics, and the signed links it gave out."""

    conversations: dict[str, Spoken] = field(default_factory=dict)
    link_seconds: float = 600
    """Life of a link."""

    links: dict[str, tuple[dict[str, Any], float]] = field(default_factory=dict, repr=False)
    """File and end of life, by signature."""


@dataclass(slots=True)
class ActionRuns:
    """Data actions under way, and the organization's limit for them."""

    limit: int | None = None
    """`actions.concurrent.executions.max`; None: without end."""

    seconds: float = 0
    """Time that each takes."""

    under_way: int = 0
    most: int = 0
    """Most that ever were under way at once, those that were refused included."""


@dataclass(slots=True)
class Named:
    """What has a name in the organization, by id in lower case."""

    queues: dict[str, str] = field(default_factory=dict)
    users: dict[str, str] = field(default_factory=dict)
    inactive: set[str] = field(default_factory=set)
    """Users who are listed only if asked for."""

    divisions: dict[str, str] = field(default_factory=dict)
    wrapup_codes: dict[str, str] = field(default_factory=dict)


def default_limits() -> dict[str, dict[str, int]]:
    """Return limits of an organization by namespace and key, as far as they are known."""
    return {
        "platform.api": {
            "token.rate.per.minute": 300,
            "client.credentials.token.rate.per.minute": 300,
            "org.app.user.rate.per.minute": 3000,
            "request.bytes.max": 512_000,
        },
        "dataactions": {"actions.concurrent.executions.max": 50, "requests.volume.max": 900},
    }


def a_conversation(
    conversation_id: str, session_id: str, *, media_type: str = "voice", start: str, end: str
) -> dict[str, Any]:
    """Return a details record: one customer, one session."""
    segment = {"segmentType": "interact", "segmentStart": start, "segmentEnd": end}
    session = {
        "sessionId": session_id,
        "mediaType": media_type,
        "direction": "inbound",
        "metrics": [{"name": "nConnected", "value": 1, "emitDate": start}],
        "segments": [{**segment, "disconnectType": "endpoint", "conference": False}],
    }
    return {
        "conversationId": conversation_id,
        "conversationStart": start,
        "conversationEnd": end,
        "originatingDirection": "inbound",
        "divisionIds": ["dd000000-0000-4000-8000-000000000001"],
        "participants": [
            {"participantId": session_id, "purpose": "customer", "sessions": [session]}
        ],
    }


def a_transcript(*phrases: tuple[int, float | None]) -> dict[str, Any]:
    """Return a transcript file of the customer's phrases: sentiment and confidence of each.

    Typed text may have no confidence: None leaves it out.
    """
    texts = [
        {
            "text": "some words",
            "decoratedText": "Some words.",
            "participantPurpose": "external",
            "phraseIndex": index,
            **({} if confidence is None else {"confidence": confidence}),
            "words": [],
        }
        for index, (_, confidence) in enumerate(phrases)
    ]
    scores = [
        {"participant": "external", "phrase": "...", "sentiment": score, "phraseIndex": index}
        for index, (score, _) in enumerate(phrases)
    ]
    return {
        "mediaType": "message",
        "transcripts": [{"phrases": texts, "analytics": {"sentiment": scores}}],
    }


TRANSPORTS = {
    "v2.detail.events.conversation.{id}.acw": ["EventBridge", "ProcessAutomation"],
    "v2.detail.events.conversation.{id}.customer.end": ["EventBridge", "ProcessAutomation"],
    "v2.detail.events.conversation.{id}.customer.start": ["EventBridge", "ProcessAutomation"],
    "v2.speechandtextanalytics.conversation.{id}.sentiment": ["All"],
}
"""Topics with their transports."""

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
"""Stands in for an endpoint's own handler; see `replies.hang`."""


@dataclass(slots=True)
class Fault:
    """What an endpoint answers instead of the truth."""

    answer: int | Answer
    """A status, answered with its ErrorBody; or the whole answer."""

    times: int | None = None
    """Requests still to be spoiled; None: all of them."""

    retry_after: str | None = None


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request, as it came in."""

    endpoint: str
    at: float
    """Time of the event loop, in seconds."""


@dataclass(slots=True)
class Window:
    """Requests of one token, or of one client, within one minute."""

    started: float
    used: int = 0


@dataclass(frozen=True, slots=True)
class Exceeded:
    """A limit that allows no request now."""

    key: str
    most: int
    seconds_left: float
    """Of its window."""


@dataclass(slots=True, kw_only=True)
class GenesysCloud:
    """State and knobs; all may be changed while the server runs."""

    client_id: str = "demo-client"
    client_secret: str = field(default="demo-secret", repr=False)
    token_lifetime_seconds: int = 86_400
    reject_client: bool = False
    """Answer every token request with `invalid_client`."""

    latency_seconds: float = 0
    requests_per_minute: int | None = None
    """Budget of each token, per minute from its first request; None: without end."""

    client_requests_per_minute: int | None = None
    """The same for all tokens of the client together."""

    customers: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)
    """Output of every data action, by the phone number among its inputs."""

    action_ids: set[str] | None = None
    """Data actions there are; None: any id is one."""

    action_runs: ActionRuns = field(default_factory=ActionRuns)
    """How many data actions may run at once, and for how long each does."""

    conversations: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)
    """Live conversations by id, as `GET /api/v2/conversations/{id}` answers them."""

    history: History = field(default_factory=History, repr=False)
    """What the details queries and jobs of analytics find."""

    ended: dict[str, Ended] = field(default_factory=dict, repr=False)
    """Conversations by id, as analytics answers lookups of them; see `a_conversation`."""

    empty_pages: int = 0
    """Pages without entities that come before the one that has some, in the texts r1 and r3."""

    refused_ids: set[str] = field(default_factory=set)
    """Conversations that no request for details by id may name."""

    speech: Speech = field(default_factory=Speech, repr=False)
    """What speech and text analytics knows."""

    flows: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)
    """Flows by id, as `GET /api/v2/flows/{id}` answers them; see `flows.a_flow`."""

    integrations: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)
    """Integrations by id, each with its current configuration as `config`."""

    organization_id: str = "0a900000-0000-4000-8000-000000000001"
    names: Named = field(default_factory=Named, repr=False)
    limits: dict[str, dict[str, int]] = field(default_factory=default_limits, repr=False)

    permissions: set[str] | None = None
    """What the roles of the client grant, as `domain:entity:action`; None: everything."""

    transports: dict[str, list[str]] = field(default_factory=lambda: dict(TRANSPORTS))
    """What carries the events of each notification topic."""

    url: str = ""
    """Base URL of API and login, while served."""

    counts: Counter[str] = field(default_factory=Counter)
    """Requests by endpoint: `token`, `data_action`, `conversation`, ...; `unknown` for others."""

    arrivals: deque[Arrival] = field(default_factory=lambda: deque(maxlen=10_000), repr=False)
    """The latest requests, in order."""

    exceeded: Counter[str] = field(default_factory=Counter)
    """Requests that were answered with 429, by the limit's key."""

    _tokens: dict[str, float] = field(default_factory=dict, repr=False)
    _texts: dict[str, str] = field(default_factory=dict, repr=False)
    _windows: dict[str, Window] = field(default_factory=dict, repr=False)
    _faults: dict[str, Fault] = field(default_factory=dict, repr=False)

    def fail_with(
        self,
        endpoint: str,
        answer: int | Answer,
        times: int | None = None,
        retry_after: float | str | None = None,
    ) -> None:
        """Spoil the next `times` requests to the endpoint (None: all, until `heal`)."""
        header = None if retry_after is None else str(retry_after)
        self._faults[endpoint] = Fault(answer, times, header)

    def heal(self, endpoint: str) -> None:
        """Let the endpoint answer normally again."""
        self._faults.pop(endpoint, None)

    def revoke_tokens(self) -> None:
        """Refuse every token issued so far."""
        self._tokens.clear()

    def arrived(self, endpoint: str) -> None:
        """Count one request."""
        self.counts[endpoint] += 1
        self.arrivals.append(Arrival(endpoint, asyncio.get_running_loop().time()))

    def fault_of(self, endpoint: str) -> Fault | None:
        """Return the fault the present request is to be spoiled with, and use it up by one."""
        fault = self._faults.get(endpoint)
        if fault is None or fault.times is None:
            return fault
        if fault.times == 0:
            return None
        fault.times -= 1
        return fault

    def issue_token(self, text: str = PLATFORM) -> str:
        """Make a token that lives `token_lifetime_seconds`; `text`: what it was asked for by."""
        token = secrets.token_urlsafe(32)
        self._texts[token] = text
        now = asyncio.get_running_loop().time()
        self._tokens[token] = now + self.token_lifetime_seconds
        return token

    def knows_token(self, token: str) -> bool:
        """Return whether the token was issued here, lives, and was not revoked."""
        return asyncio.get_running_loop().time() < self._tokens.get(token, float("-inf"))

    def text_of(self, token: str | None) -> str:
        """Return the reference text that the token was asked for by, or `PLATFORM`."""
        return self._texts.get(token or "", PLATFORM)

    def limit_exceeded(self, token: str) -> Exceeded | None:
        """Charge one request to the token and to its client; None while both allow it."""
        now = asyncio.get_running_loop().time()
        limits = {
            token: ("token.rate.per.minute", self.requests_per_minute),
            self.client_id: (
                "client.credentials.token.rate.per.minute",
                self.client_requests_per_minute,
            ),
        }
        charged = []
        for holder, (key, most) in limits.items():
            if most is None:
                continue
            window = self._windows.get(holder)
            if window is None or now >= window.started + 60:
                window = self._windows[holder] = Window(now)
            if window.used >= most:
                self.exceeded[key] += 1
                return Exceeded(key, most, window.started + 60 - now)
            charged.append(window)
        for window in charged:
            window.used += 1
        return None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One route of one family."""

    name: str
    method: str
    path: str
    """aiohttp form: `{name}` for one segment."""

    answer: Callable[[GenesysCloud, web.Request], Awaitable[web.StreamResponse]]
    needs_token: bool = True
    texts: frozenset[str] = frozenset((PLATFORM,))
    """By whose tokens it may be called; text r2 has the platform's."""

"""What the emulated Genesys Cloud holds, counts and may be told to get wrong."""

import asyncio
import secrets
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from worker.emulators.genesys.ended import Ended, Speech
from worker.emulators.genesys.history import History

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
"""Stands in for an endpoint's own handler; see `faults.py`."""


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
    """Requests of one token within one minute."""

    started: float
    used: int = 0


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

    customers: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)
    """Output of every data action, by the phone number among its inputs."""

    action_ids: set[str] | None = None
    """Data actions there are; None: any id is one."""

    conversations: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)
    """Live conversations by id, as `GET /api/v2/conversations/{id}` answers them."""

    history: History = field(default_factory=History, repr=False)
    """What the details queries and jobs of analytics find."""

    ended: dict[str, Ended] = field(default_factory=dict, repr=False)
    """Conversations by id, as analytics answers look-ups of them; see `ended.a_conversation`."""

    refused_ids: set[str] = field(default_factory=set)
    """Conversations that no request for details by id may name."""

    speech: Speech = field(default_factory=Speech, repr=False)
    """What speech and text analytics knows."""

    flows: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)
    """Flows by id, as `GET /api/v2/flows/{id}` answers them; see `flows.a_flow`."""

    integrations: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)
    """Integrations by id, each with its current configuration as `config`."""

    organization_id: str = "0a900000-0000-4000-8000-000000000001"

    url: str = ""
    """Base URL of API and login, while served."""

    counts: Counter[str] = field(default_factory=Counter)
    """Requests by endpoint: `token`, `data_action`, `conversation`, ...; `unknown` for others."""

    arrivals: deque[Arrival] = field(default_factory=lambda: deque(maxlen=10_000), repr=False)
    """The latest requests, in order."""

    _tokens: dict[str, float] = field(default_factory=dict, repr=False)
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
        """Let the endpoint tell the truth again."""
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

    def issue_token(self) -> str:
        """Make a token that lives `token_lifetime_seconds`."""
        token = secrets.token_urlsafe(32)
        now = asyncio.get_running_loop().time()
        self._tokens[token] = now + self.token_lifetime_seconds
        return token

    def knows_token(self, token: str) -> bool:
        """Tell whether the token was issued here, lives, and was not revoked."""
        return asyncio.get_running_loop().time() < self._tokens.get(token, float("-inf"))

    def seconds_over_budget(self, token: str) -> float:
        """Charge one request to the token; return the seconds it has to wait, 0 if none."""
        if self.requests_per_minute is None:
            return 0
        now = asyncio.get_running_loop().time()
        window = self._windows.get(token)
        if window is None or now >= window.started + 60:
            window = self._windows[token] = Window(now)
        if window.used >= self.requests_per_minute:
            return window.started + 60 - now
        window.used += 1
        return 0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One route of one family."""

    name: str
    method: str
    path: str
    """aiohttp form: `{name}` for one segment."""

    answer: Callable[[GenesysCloud, web.Request], Awaitable[web.StreamResponse]]
    needs_token: bool = True

"""/status: why is this queue moving, or not? Ids of nobody, numbers and words only."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from worker import __version__
from worker.ops.health import Health

STALLED_SECONDS = 60.0
"""Silence of all receives from which polling counts as stalled: three of the longest polls."""

STUCK_SECONDS = 300.0
"""Time without a success, with a full house, from which that is worth saying."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """What the worker knew of itself at one moment."""

    draining: bool = False
    in_flight: int = 0
    """Messages in hand."""

    concurrency: int = 1
    paused: str = ""
    """Why intake is held back, if it is."""

    suspect_alone: bool = False
    """Whether a message that may have killed a process runs now, and nothing beside it."""

    hidden: Mapping[str, int] = field(default_factory=dict)
    """Messages hidden until their upstream is back, by handler."""

    hidden_on_queue: int = 0
    """Messages nobody can receive now and we do not hold, at the last look at the queue: they wait
    for their retry, or are in the hands of others."""

    blocked_groups: Mapping[str, str] = field(default_factory=dict)
    """FIFO groups that wait for a failed head: group id to message id, some of them."""

    uptime_seconds: float = 0.0
    pollers: int = 0
    last_receive_seconds_ago: float | None = None
    """Since a receive succeeded, with messages or without; None: none did yet."""

    last_message_seconds_ago: float | None = None
    """Since a receive brought a message."""

    receive_error: str | None = None
    """Class or code of the error of the last receive, when it failed."""

    open_breakers: tuple[str, ...] = ()
    asked_pauses: Mapping[str, float] = field(default_factory=dict)
    """Seconds left of the pauses that upstreams asked for (Retry-After), by upstream; for the one
    with a request budget it is `rate_limited_seconds`."""

    rate_limited_seconds: float = 0.0
    """How long the request budget is spent from now on."""

    token_problem: str | None = None
    last_success_seconds_ago: float | None = None


class Status:
    """Makes the /status document; called from the server's thread."""

    def __init__(self, snapshot: Callable[[], Snapshot], health: Health) -> None:
        """`snapshot` only reads."""
        self._snapshot = snapshot
        self._health = health
        self._started_at = datetime.now(UTC).isoformat(timespec="seconds")

    def __call__(self) -> dict[str, Any]:
        """Return the document."""
        snapshot = self._snapshot()
        reasons = self._health.ready()
        return {
            "version": __version__,
            "started": self._started_at,
            "live": self._health.live(),
            "ready": not reasons,
            "not_ready_because": reasons,
            "why": why(snapshot),
            "queue": queue_state(snapshot),
            **_rounded(snapshot),
        }


def queue_state(now: Snapshot) -> str:
    """Return the queue's state in one word."""
    return _judge(now)[0]


def why(now: Snapshot) -> str:
    """Return one sentence that says why this queue moves, or does not."""
    return _judge(now)[1]


def _judge(now: Snapshot) -> tuple[str, str]:
    """Return the first verdict that holds, worst cause first."""
    for verdicts in (_refused, _held_back, _working):
        for verdict in verdicts(now):
            return verdict
    since = f"in the {now.uptime_seconds:.0f} s since the start"
    return "starting", f"Starting: no receive has ended {since}."


def _refused(now: Snapshot) -> Iterator[tuple[str, str]]:
    if now.draining:
        yield "draining", f"Draining: nothing is received, {_in_hand(now)} to be finished."
    if now.receive_error:
        yield "error", f"Not moving: receiving fails with {now.receive_error}."
    if now.token_problem:
        yield "token", f"Not moving: no Genesys token ({now.token_problem})."


def _held_back(now: Snapshot) -> Iterator[tuple[str, str]]:
    if now.paused:
        yield "paused", f"Paused: {now.paused}; {_in_hand(now)}."
    if now.in_flight >= now.concurrency:
        yield "full", f"Full: {_in_hand(now)}{_slowed(now)}."
    if now.suspect_alone:
        yield "suspect", "Careful: a message that may have killed a process runs alone."
    if (silence := _silence(now)) > STALLED_SECONDS:
        pollers = f"{now.pollers} pollers run"
        yield "stalled", f"Stalled: {pollers}, but no receive has ended for {silence:.0f} s."
    if now.rate_limited_seconds > 0:
        yield "limited", f"Slow: {_in_hand(now)}{_slowed(now)}."
    if not_called := ", ".join(_not_called(now)):
        yield "degraded", f"Partly moving: {not_called}; {_in_hand(now)}{_hidden(now)}."


def _working(now: Snapshot) -> Iterator[tuple[str, str]]:
    if now.blocked_groups:
        groups = ", ".join(f"{group} by {head}" for group, head in now.blocked_groups.items())
        yield "blocked", f"Moving, but FIFO groups wait for their heads: {groups}."
    if now.in_flight:
        yield "moving", f"Moving: {_in_hand(now)}."
    if now.last_receive_seconds_ago is None:
        return
    yield _idle(now)


def _idle(now: Snapshot) -> tuple[str, str]:
    """Not «everything is done»: what failed and waits for its retry is hidden, and still there."""
    last = now.last_message_seconds_ago
    came = "" if last is None else f"; the last message came {last:.0f} s ago"
    if now.hidden_on_queue:
        hidden = f"{now.hidden_on_queue} messages of the queue are hidden"
        why = f"nothing in hand, {hidden}: for their retry, or in other hands{came}."
        return "waiting", f"Waiting: {why}"
    if last is None:
        return "empty", "Idle: the queue has brought no message since the start."
    return "empty", f"Idle: the queue shows no message{came}."


def _in_hand(now: Snapshot) -> str:
    return f"{now.in_flight} of {now.concurrency} messages in hand"


def _hidden(now: Snapshot) -> str:
    return "".join(f", {count} of {name} hidden until then" for name, count in now.hidden.items())


def _slowed(now: Snapshot) -> str:
    parts = []
    if now.rate_limited_seconds > 0:
        parts.append(f"the request budget is spent for {now.rate_limited_seconds:.0f} s")
    parts += _not_called(now)
    if (silence := _since(now.last_success_seconds_ago)) > STUCK_SECONDS:
        parts.append(f"none was done for {silence:.0f} s")
    return "".join(f", {part}" for part in parts)


def _not_called(now: Snapshot) -> Iterator[str]:
    if now.open_breakers:
        yield f"the breaker is open for {', '.join(now.open_breakers)}"
    for upstream, seconds in now.asked_pauses.items():
        yield f"{upstream} asked for a pause, {seconds:.0f} s left"


def _silence(now: Snapshot) -> float:
    """Return the seconds without an answer to a receive; before the first one, since the start."""
    last = now.last_receive_seconds_ago
    return now.uptime_seconds if last is None else last


def _since(seconds: float | None) -> float:
    return 0.0 if seconds is None else seconds


def _rounded(snapshot: Snapshot) -> dict[str, Any]:
    return {name: _tenths(value) for name, value in asdict(snapshot).items()}


def _tenths(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _tenths(entry) for name, entry in value.items()}
    return round(value, 1) if isinstance(value, float) else value

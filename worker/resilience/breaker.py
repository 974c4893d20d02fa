"""A circuit breaker: stops calling an upstream that fails, and asks now and then if it is back.

                 too many failed or slow calls                 pause is over
        closed ───────────────────────────────▶ open ◀─────────────────────────▶ half-open
           ▲                                            a probe failed or was slow   │
           └─────────────────────────── two good probes ─────────────────────────────┘

No library fits: those there are let every caller through when half-open, count consecutive
failures in place of a rate, or take a cancelled call for a failed one. The semantics here are those
of Genesys's own mollitia.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from types import TracebackType
from typing import Final, Literal, Self

import structlog

from worker.errors import BreakerOpen
from worker.resilience.window import Window
from worker.telemetry import metrics

log = structlog.get_logger()

State = Literal["closed", "half_open", "open"]
Verdict = Literal["succeeded", "failed", "alive", "neutral"]

GAUGE: Final[dict[State, int]] = {"closed": 0, "half_open": 1, "open": 2}
PROBES_TO_CLOSE = 2
PAUSE_JITTER = 0.2
"""A pause is cut by up to this share, so that replicas do not probe in step."""


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """When to open and for how long; the fields are those of `settings.Breaker`."""

    enabled: bool = True
    """False lets every call through."""

    window_seconds: float = 30
    """Span over which calls are judged."""

    min_calls: int = 10
    """Calls in the window before anything is judged."""

    failure_ratio: float = 0.5
    """Share of failed calls that opens."""

    slow_seconds: float = 8
    """A call that takes longer counts as slow, whatever its end."""

    slow_ratio: float = 0.8
    """Share of slow calls that opens."""

    open_seconds: float = 5
    """First pause; doubled each time a probe fails."""

    max_open_seconds: float = 60
    """Longest pause."""


class Permit:
    """Leave for one call. Use it in `with`: a permit left without a verdict is neutral.

    Only the first verdict counts.
    """

    __slots__ = ("_settle", "_settled", "generation")

    def __init__(self, generation: int, settle: "Callable[[Permit, Verdict, float], None]") -> None:
        self.generation: Final = generation
        self._settle = settle
        self._settled = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.neutral()

    def succeeded(self, duration: float) -> None:
        """Tell that the call did what it should, in `duration` seconds."""
        self._say("succeeded", duration)

    def failed(self, duration: float) -> None:
        """Tell that the upstream failed: 5xx, time-out, broken connection."""
        self._say("failed", duration)

    def alive(self, duration: float) -> None:
        """Tell that the upstream refused for reasons of its own (4xx).

        That closes a half-open breaker as a success does, but is not weighed while closed: a row of
        404s must not hide that every other call fails.
        """
        self._say("alive", duration)

    def neutral(self) -> None:
        """Tell nothing: the call was cancelled, never made, or met a rate limit."""
        self._say("neutral", 0)

    def _say(self, verdict: Verdict, duration: float) -> None:
        if not self._settled:
            self._settled = True
            self._settle(self, verdict, duration)


class Breaker:
    """The breaker of one upstream. `clock` must be monotonic; nothing here waits."""

    def __init__(
        self,
        upstream: str,
        policy: BreakerPolicy,
        *,
        clock: Callable[[], float],
        random: Random,
    ) -> None:
        self.upstream: Final = upstream
        self._policy = policy
        self._clock = clock
        self._random = random
        self._window = Window(policy.window_seconds)
        self._state: State = "closed"
        self._generation = 0
        self._failed_probes = 0
        self._good_probes = 0
        self._probe: Permit | None = None
        self._probe_at = 0.0
        metrics.breaker_state.labels(upstream).set(0)

    @property
    def state(self) -> State:
        """The state now: a pause that is over reads as `half_open`, even before anyone calls.

        Otherwise intake, which waits for this very word, and the breaker, which waits for a call,
        would wait for each other.
        """
        if self._state == "open" and self._clock() >= self._probe_at:
            self._half_open()
        return self._state

    def retry_after(self) -> float:
        """Return the seconds until a call may pass: 0 when closed or when a probe is wanted.

        While a probe is under way nobody knows; then it is the first pause, `open_seconds`.
        """
        match self.state:
            case "open":
                return self._probe_at - self._clock()
            case "half_open" if self._probe:
                return self._policy.open_seconds
        return 0.0

    def permit(self) -> Permit:
        """Return leave for one call; raise BreakerOpen, with `retry_after`, if there is none."""
        permit = Permit(self._generation, self._settle)
        if self._state == "closed":  # as mostly; the words below cost more than the answer
            return permit
        match self.state:
            case "half_open" if self._probe is None:
                self._probe = permit
            case "half_open" | "open":
                raise self._refusal()
        return permit

    def confirm(self, permit: Permit) -> None:
        """Raise BreakerOpen if the breaker opened since `permit()`; for use after a wait."""
        if permit.generation != self._generation:
            raise self._refusal()

    def _refusal(self) -> BreakerOpen:
        return BreakerOpen(f"breaker of {self.upstream} is open", retry_after=self.retry_after())

    def _settle(self, permit: Permit, verdict: Verdict, duration: float) -> None:
        if not self._policy.enabled or permit.generation != self._generation:
            return  # begun before the breaker opened: it says nothing about now
        if permit is self._probe:
            self._probe = None
            self._judge_probe(verdict, duration)
        elif verdict in ("succeeded", "failed"):
            self._judge_window(failed=verdict == "failed", duration=duration)

    def _judge_probe(self, verdict: Verdict, duration: float) -> None:
        if verdict == "neutral":
            return
        # A slow probe is a failed one: closing on it would only open again a window later.
        if verdict == "failed" or duration > self._policy.slow_seconds:
            self._failed_probes += 1
            self._open()
            return
        self._good_probes += 1
        if self._good_probes >= PROBES_TO_CLOSE:
            self._close()

    def _judge_window(self, *, failed: bool, duration: float) -> None:
        policy, now = self._policy, self._clock()
        self._window.add(now, failed=failed, slow=duration > policy.slow_seconds)
        tally = self._window.tally(now)
        if tally.calls < policy.min_calls or not (tally.failed or tally.slow):
            return
        if (
            tally.failed / tally.calls >= policy.failure_ratio
            or tally.slow / tally.calls >= policy.slow_ratio
        ):
            self._open()

    def _open(self) -> None:
        policy = self._policy
        longest = min(
            policy.max_open_seconds, policy.open_seconds * 2.0 ** min(self._failed_probes, 64)
        )
        pause = longest * self._random.uniform(1 - PAUSE_JITTER, 1)
        self._generation += 1
        self._probe_at = self._clock() + pause
        self._enter("open")
        log.warning("breaker_opened", upstream=self.upstream, pause_seconds=round(pause, 3))

    def _half_open(self) -> None:
        self._good_probes = 0
        self._probe = None
        self._enter("half_open")
        log.info("breaker_half_open", upstream=self.upstream)

    def _close(self) -> None:
        self._failed_probes = 0
        self._window.clear()
        self._enter("closed")
        log.info("breaker_closed", upstream=self.upstream)

    def _enter(self, state: State) -> None:
        self._state = state
        metrics.breaker_state.labels(self.upstream).set(GAUGE[state])
        metrics.breaker_transitions.labels(self.upstream, state).inc()

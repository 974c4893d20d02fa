"""A circuit breaker: stops calling an upstream that fails, and asks now and then if it is back.

              several messages meet failures                pause is over
        closed ───────────────────────────────▶ open ◀─────────────────────────▶ half-open
           ▲                                            a probe failed               │
           └─────────────────────────── two good probes ─────────────────────────────┘

It counts messages, not calls: one message whose own lookup always fails is no outage, however
often it tries. What a call is made for, `worker.resilience.work` knows; a call made for no message
(a command, a token) counts as a message of its own.

No library fits: those there are let every caller through when half-open, count consecutive
failures in place of a rate, or take a cancelled call for a failed one. The semantics here are those
of Genesys's own mollitia, but for the slow calls: permits and deadlines bound those.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterable
from random import Random
from types import TracebackType
from typing import Final, Literal, Self

import structlog
from msgspec import Struct

from worker.errors import BreakerOpen
from worker.resilience.work import Work, current_work
from worker.telemetry import metrics

BUCKETS = 10

MOST_MESSAGES = 1000
"""Of more messages in one window the latest count: memory does not grow with the rate."""


class Tally(Struct):
    """What the window holds."""

    calls: int = 0
    messages: int = 0
    failing: int = 0
    """Messages whose latest call failed."""


class Window:
    """A sliding time window over calls; each message counts once, by its latest outcome.

    The span counted is between nine and ten tenths of `seconds`.
    """

    def __init__(self, seconds: float) -> None:
        self._bucket_seconds = seconds / BUCKETS
        self._buckets: deque[list[int]] = deque()
        """Number of the bucket, calls in it."""
        self._latest: OrderedDict[Hashable, tuple[int, bool]] = OrderedDict()
        """Bucket and failure of each message's latest call, the oldest first."""
        self._sums = Tally()
        self._expired_for = -1
        """Number of the bucket for which the window was last cut: within it, nothing expires."""

    def add(self, now: float, messages: Iterable[Hashable], *, failed: bool) -> None:
        """Count one call that ended at `now` and was made for these messages."""
        number = self._expire(now)
        if not self._buckets or self._buckets[-1][0] != number:
            self._buckets.append([number, 0])
        self._buckets[-1][1] += 1
        self._sums.calls += 1
        for message in messages:
            if (before := self._latest.pop(message, None)) is not None:
                self._drop(before)
            self._latest[message] = (number, failed)
            self._sums.messages += 1
            self._sums.failing += failed
        while len(self._latest) > MOST_MESSAGES:
            self._drop_oldest()

    def tally(self, now: float) -> Tally:
        """Return the sums over the window that ends at `now`; they change with the next call."""
        self._expire(now)
        return self._sums

    def clear(self) -> None:
        """Forget all calls."""
        self._buckets.clear()
        self._latest.clear()
        self._sums = Tally()

    def _expire(self, now: float) -> int:
        number = int(now // self._bucket_seconds)
        if number == self._expired_for:
            return number
        self._expired_for = number
        while self._buckets and self._buckets[0][0] <= number - BUCKETS:
            self._sums.calls -= self._buckets.popleft()[1]
        while self._latest and next(iter(self._latest.values()))[0] <= number - BUCKETS:
            self._drop_oldest()
        return number

    def _drop_oldest(self) -> None:
        self._drop(self._latest.popitem(last=False)[1])

    def _drop(self, outcome: tuple[int, bool]) -> None:
        self._sums.messages -= 1
        self._sums.failing -= outcome[1]


log = structlog.get_logger()

State = Literal["closed", "half_open", "open"]
CallResult = Literal["succeeded", "failed", "alive", "neutral"]

GAUGE: Final[dict[State, int]] = {"closed": 0, "half_open": 1, "open": 2}
PROBES_TO_CLOSE = 2
FEWEST_FAILING = 3
"""Messages that must be failing before anything opens: fewer may have only themselves to blame."""

REMEMBERED = 1000
"""Messages that failed here and are remembered for it, the latest ones."""

PAUSE_JITTER = 0.2
"""A pause is cut by up to this share, so that replicas do not probe in step."""


class BreakerPolicy(Struct, frozen=True):
    """When to open and for how long; the fields are those of `settings.Breaker`."""

    enabled: bool = True
    """False lets every call through."""

    window_seconds: float = 30
    """Window over which failures are counted."""

    min_calls: int = 10
    """Fewest calls in the window for the breaker to open."""

    failure_ratio: float = 0.5
    """Share of failing messages that opens; a message counts once, by its latest call."""

    open_seconds: float = 5
    """First pause; doubled each time the probe of a message that had not failed before fails."""

    max_open_seconds: float = 30
    """Longest pause."""


class Permit:
    """Permission for one call. Use it in `with`: without a reported result it is neutral.

    Only the first result counts.
    """

    __slots__ = ("_settle", "_settled", "generation", "probe", "works")

    def __init__(
        self,
        generation: int,
        works: tuple[Work, ...],
        settle: "Callable[[Permit, CallResult], None]",
    ) -> None:
        self.generation: Final = generation
        self.works: Final = works
        self.probe = False
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

    def succeeded(self) -> None:
        """Report success."""
        self._say("succeeded")

    def failed(self) -> None:
        """Report that the upstream failed: 5xx, time-out, broken connection."""
        self._say("failed")

    def alive(self) -> None:
        """Report that the upstream refused for reasons of its own (4xx).

        That closes a half-open breaker as a success does, but is not weighed while closed: a row of
        404s must not hide that every other call fails.
        """
        self._say("alive")

    def neutral(self) -> None:
        """Report nothing: the call was cancelled, never made, too large, or rate-limited."""
        self._say("neutral")

    def _say(self, result: CallResult) -> None:
        if not self._settled:
            self._settled = True
            self._settle(self, result)


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
        self._failed: OrderedDict[str, None] = OrderedDict()
        """Messages whose latest call failed here."""
        self._state: State = "closed"
        self._generation = 0
        self._failed_probes = 0
        self._good_probes = 0
        self._probes: set[Permit] = set()
        self._probe_at = 0.0
        metrics.breaker_state.labels(upstream).set(0)

    @property
    def state(self) -> State:
        """The state now: a pause that is over reads as `half_open`, even before anyone calls.

        Otherwise intake, which waits for this state, and the breaker, which waits for a call,
        would wait for each other.
        """
        if self._state == "open" and self._clock() >= self._probe_at:
            self._half_open()
        return self._state

    def retry_after(self) -> float:
        """Return the seconds until a call may pass: 0 when closed or when a probe is wanted.

        While a probe is under way it is unknown; then it is the first pause, `open_seconds`.
        """
        match self.state:
            case "open":
                return self._probe_at - self._clock()
            case "half_open" if self._probes:
                return self._policy.open_seconds
        return 0.0

    def permit(self) -> Permit:
        """Return a permit for one call; raise BreakerOpen, with `retry_after`, if there is none.

        Half-open, the intake chooses who probes (`Work.probe`); of calls made for no message, one
        at a time does.
        """
        permit = Permit(self._generation, current_work(), self._settle)
        if self._state == "closed":  # the common case, without the cost below
            return permit
        state = self.state
        if state == "open" or (state == "half_open" and not self._may_probe(permit.works)):
            raise self._refusal()
        if state == "half_open":
            permit.probe = True
            self._probes.add(permit)
        return permit

    def confirm(self, permit: Permit) -> None:
        """Raise BreakerOpen if the breaker opened since `permit()`; for use after a wait."""
        if permit.generation != self._generation:
            raise self._refusal()

    def _may_probe(self, works: tuple[Work, ...]) -> bool:
        if works:
            return any(work.probe for work in works)
        return all(probe.works for probe in self._probes)

    def _refusal(self) -> BreakerOpen:
        wait = self.retry_after() or self._policy.open_seconds
        return BreakerOpen(f"breaker of {self.upstream} is open", retry_after=wait)

    def _settle(self, permit: Permit, result: CallResult) -> None:
        if not self._policy.enabled or permit.generation != self._generation:
            return  # begun before the breaker opened: it says nothing about now
        self._probes.discard(permit)
        if result == "neutral":
            return
        if permit.probe and self._state == "half_open":
            self._count_probe(permit, failed=result == "failed")
        elif result != "alive":
            self._count_window(permit, failed=result == "failed")

    def _count_probe(self, permit: Permit, *, failed: bool) -> None:
        if failed:
            # Nothing new: it may be the message, and the upstream healthy for all others.
            again = bool(permit.works) and all(map(self._has_failed, permit.works))
            self._remember(permit.works, failed=True)
            if not again:
                self._failed_probes += 1
                self._good_probes = 0
            self._open()
            return
        self._remember(permit.works, failed=False)
        self._good_probes += 1
        if self._good_probes >= PROBES_TO_CLOSE:
            self._close()

    def _count_window(self, permit: Permit, *, failed: bool) -> None:
        policy, now = self._policy, self._clock()
        self._remember(permit.works, failed=failed)
        self._window.add(now, [work.message_id for work in permit.works] or [permit], failed=failed)
        tally = self._window.tally(now)
        if tally.failing < FEWEST_FAILING or tally.calls < policy.min_calls:
            return
        if tally.failing / tally.messages >= policy.failure_ratio:
            self._good_probes = 0
            self._open()

    def _has_failed(self, work: Work) -> bool:
        return work.failed_before or work.message_id in self._failed

    def _remember(self, works: tuple[Work, ...], *, failed: bool) -> None:
        for work in works:
            self._failed.pop(work.message_id, None)
            if failed:
                self._failed[work.message_id] = None
        while len(self._failed) > REMEMBERED:
            self._failed.popitem(last=False)

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
        self._probes.clear()
        self._enter("half_open")
        log.info("breaker_half_open", upstream=self.upstream)

    def _close(self) -> None:
        self._failed_probes = 0
        self._good_probes = 0
        self._window.clear()
        self._enter("closed")
        log.info("breaker_closed", upstream=self.upstream)

    def _enter(self, state: State) -> None:
        self._state = state
        metrics.breaker_state.labels(self.upstream).set(GAUGE[state])
        metrics.breaker_transitions.labels(self.upstream, state).inc()

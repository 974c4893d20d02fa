"""One request budget for all replicas: leases of slots, drawn from a table that they share.

A minute of the budget is divided into slots, evenly spaced, one call each. A replica whose callers
wait draws the next few by one conditional write, and makes each call at its slot's time: so the
fleet as a whole is paced, however many replicas there are. A slot that is not used soon after its
time is lost, as saved ones would be a burst on top of the next minute's. Hence in any 60 seconds,
and not only in a minute of the table, there are at most as many calls as the budget has, less half
the margin: that is for clocks, and for requests that take a longer way than others.

Time is the table's, by the `Date` of its replies. How far ahead of its time a slot may be drawn
decides who goes first: live work before background, and who has waited long before who was just
served. What a killed replica had drawn is lost, seconds' worth.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import Context
from math import ceil, floor, inf
from random import Random
from typing import Final, NamedTuple, Protocol

import structlog
from msgspec import Struct

from worker.errors import Misconfigured, Permanent, WorkerError
from worker.telemetry import metrics

log = structlog.get_logger(__name__)

MARGIN = 0.02
"""Share of the budget that has no slots. Half of it covers slots used late, half clocks that differ
and requests that take a longer way than others."""

LEASES_PER_MINUTE = 30
"""Ten calls a lease at 300 a minute: as many as the messages of one receive may need."""

ROUNDING = 1e-6  # seconds that a time since the epoch may be off as a float

SHORTEST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.01, 60.0
"""A replica that was refused asks again within that time, and never at the same instant."""

ANSWER_SECONDS = 3.0  # longest wait for the table
MOST_TRIES = 4  # writes of one draw: the first ones may only show how far the others are

UNAVAILABLE_PAUSE_SECONDS = 8.0
"""Longest for which a table is left alone that did not answer: a second at first, then doubled."""

AVERAGE_SECONDS = 300
"""While the table is down, a replica goes on at its average use of that time before."""

AVERAGE_SHARE = 0.95  # of it is used: some lose the table, and find it again, before others
UNKNOWN_SHARE = 0.1  # of the budget is used by one that never reached the table


class Pacing(Struct, frozen=True):
    """The slots of a budget, numbered from the epoch on: slot `k` is a call at `k * spacing`."""

    per_minute: int

    @property
    def margin(self) -> int:
        """Return the calls a minute that have no slot."""
        return max(1, round(self.per_minute * MARGIN))

    @property
    def slots(self) -> int:
        """Return the slots of a minute."""
        return self.per_minute - self.margin

    @property
    def spacing(self) -> float:
        """Return the seconds from one slot to the next."""
        return 60 / self.slots

    @property
    def late_seconds(self) -> float:
        """Return the seconds after its time for which a slot may be used."""
        return self.margin / 2 * self.spacing

    @property
    def lease(self) -> int:
        """Return the most slots of one draw."""
        return max(1, round(self.slots / LEASES_PER_MINUTE))

    def draw(self, now: float, known: "Position", ahead: float) -> "Draw":
        """Return where a draw may begin at `now`, as far as the last `known` position says.

        `ahead`: slots that the first one may lie in the future.
        """
        earliest = ceil((now - self.late_seconds / 2) / self.spacing)
        minute = max(floor(now / 60), earliest // self.slots)
        if minute <= known.minute <= minute + 1:
            minute = known.minute + (known.used >= self.slots)
        first = max(0, earliest - minute * self.slots)
        latest = floor(now / self.spacing + ahead) - minute * self.slots
        skips = known.minute == minute and known.used < first
        return Draw(minute, first, min(self.slots - 1, latest), skips)


class Position(NamedTuple):
    """How far a minute's slots are drawn."""

    minute: int  # since the epoch
    used: int  # number of the next free slot; from the minute's last on: none is free
    waited: float = 0.0  # seconds that the replica had waited which drew last


NOWHERE = Position(-1, 0)


class Draw(NamedTuple):
    """Where in a minute a draw may begin."""

    minute: int
    first: int  # earlier slots are over
    last: int  # before `first`: not yet
    skips: bool  # the next free slot is over: begin at `first`


class Answer(NamedTuple):
    """What the table says to a draw."""

    granted: bool
    position: Position


class BudgetTable(Protocol):
    """The item that replicas share, one for each minute. Calls raise WorkerError."""

    def now(self) -> float:
        """Return the time that all replicas go by, in seconds since the epoch."""

    async def draw(self, draw: Draw, slots: int, waited: float) -> Answer:
        """Draw that many slots, if the next free one is where the draw may begin."""

    async def release(self, minute: int, first: int, after: int) -> None:
        """Make the slots from `first` up to `after` free again, unless more have been drawn.

        Sent once: a second time could free what another has drawn meanwhile.
        """


class RecentUse:
    """Calls of the last five minutes, counted by periods of ten seconds."""

    PERIOD_SECONDS: Final = 10

    def __init__(self) -> None:
        self._counts: deque[list[int]] = deque(maxlen=AVERAGE_SECONDS // self.PERIOD_SECONDS)

    def add(self, now: float, calls: int) -> None:
        """Count calls at `now`, or take them back."""
        period = int(now // self.PERIOD_SECONDS)
        if not self._counts or self._counts[-1][0] != period:
            self._counts.append([period, 0])
        self._counts[-1][1] += calls

    def per_second(self, now: float) -> float:
        """Return the average; never none, as one call in the time would be."""
        since = (now - AVERAGE_SECONDS) // self.PERIOD_SECONDS
        return max(1, sum(n for period, n in self._counts if period > since)) / AVERAGE_SECONDS


class FleetBudget:
    """The part of one replica in the budget of the fleet.

    The limiter says by `want` how many callers wait, and takes what is granted by `take`;
    `changed` is called when there may be something to take.
    """

    def __init__(
        self,
        table: BudgetTable,
        per_minute: int,
        *,
        random: Random,
        clock: Callable[[], float] | None = None,
    ) -> None:
        """`clock`: monotonic; the running loop's by default."""
        self.changed: Callable[[], None] = lambda: None
        self._table = table
        self._pacing: Final = Pacing(per_minute)
        self._clock = clock or asyncio.get_running_loop().time
        self._random = random
        self._slots: deque[int] = deque()  # drawn and not used, in order
        self._last_used: int | None = None
        self._known = NOWHERE
        self._live = self._background = self._most = 0
        self._hungry_since, self._refused, self._failures = self._clock(), 0, 0
        self._ask_live_at = self._ask_background_at = -inf
        self._use = RecentUse()
        self._fallback_per_second: float | None = None  # while the table does not answer
        self._fallback_next_at, self._owed = 0.0, 0
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._is_closed = False
        metrics.fleet_budget_shared.set(1)

    def take(self) -> bool:
        """Use a grant whose time has come, if there is one."""
        self._drop_lost()
        now = self._clock()
        if self._slots and self._until(self._slots[0]) <= ROUNDING:
            self._last_used = self._slots.popleft()
        elif self._fallback_per_second is not None and now >= self._fallback_next_at:
            step = 1 / self._fallback_per_second
            self._fallback_next_at = max(self._fallback_next_at + step, now)
            self._last_used, self._owed = None, self._owed + 1
        else:
            return False
        self._use.add(now, 1)
        return True

    def refund(self) -> None:
        """Return the last grant: no call was made. It can be used until its slot is lost."""
        self._use.add(self._clock(), -1)
        if self._last_used is not None:
            self._slots.appendleft(self._last_used)
            self._last_used = None

    def wait(self) -> float:
        """Return the seconds until the next grant that is known; infinite when none is.

        It only reads: /status asks, too, from another thread.
        """
        late = self._pacing.late_seconds
        slot = next((w for w in map(self._until, tuple(self._slots)) if w >= -late), inf)
        slot = slot if slot > ROUNDING else 0.0
        if self._fallback_per_second is None:
            return slot
        return min(slot, max(0.0, self._fallback_next_at - self._clock()))

    def asks_in(self) -> float:
        """Return the seconds until the table is asked again, when no grant is known."""
        at = self._ask_live_at if self._live else self._ask_background_at
        return max(0.0, at - self._clock())

    def want(self, live: int, background: int, most: int) -> None:
        """Say how many callers wait, of live work and of the rest, and draw at most so many."""
        if live and not self._live:
            self._hungry_since = max(self._hungry_since, self._clock())
        self._live, self._background, self._most = live, background, most
        if not (live or background or self._task or self._is_closed) and self._slots:
            self._start(self._release())
        self._schedule()

    async def aclose(self) -> None:
        """Release what was drawn for nothing, and stop asking."""
        self._is_closed = True
        self._schedule()
        if self._task:
            self._task.cancel()  # what it was to draw is lost within seconds
            await asyncio.wait({self._task})
        await self._release()

    def _until(self, slot: int) -> float:
        return slot * self._pacing.spacing - self._table.now()

    def _drop_lost(self) -> None:
        while self._slots and self._until(self._slots[0]) < -self._pacing.late_seconds:
            self._slots.popleft()

    def _schedule(self) -> None:
        """Draw when it is time to; one draw at a time, and none over grants not used yet."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        # On the fallback it asks in any case: what it uses meanwhile is on no account.
        is_wanted = self._most and (self._live or self._background)
        is_wanted = is_wanted or self._fallback_per_second is not None
        if self._task or self._slots or self._is_closed or not is_wanted:
            return
        if pause := self.asks_in():
            self._timer = asyncio.get_running_loop().call_later(pause, self._schedule)
        else:
            self._start(self._draw())

    def _start(self, work: Coroutine[object, object, None]) -> None:
        # A context of its own: it is done for no message.
        self._task = asyncio.create_task(work, name="fleet-budget", context=Context())
        self._task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._task = None
        if task.cancelled():
            return
        if error := task.exception():
            log.error("fleet_budget_failed", exc_info=error)
            self._unavailable(error)
        self.changed()
        self._schedule()

    async def _draw(self) -> None:
        """Ask the table, and at once again where the answer shows a better place to begin."""
        wanted = max(1, min(self._pacing.lease, self._most, self._live or self._background))
        for _ in range(MOST_TRIES):
            draw = self._pacing.draw(self._table.now(), self._known, self._ahead())
            if self._is_taken(draw):
                break
            answer = await self._asked(draw, wanted)
            if answer is None:
                return
            if answer.granted:
                self._granted(answer.position, wanted)
                return
        self._wait_for_turn()

    def _is_taken(self, draw: Draw) -> bool:
        """Return whether nothing can be drawn now, as far as is known."""
        is_here = self._known.minute == draw.minute
        return draw.last < draw.first or (is_here and self._known.used > draw.last)

    async def _asked(self, draw: Draw, wanted: int) -> Answer | None:
        waited = self._clock() - self._hungry_since if self._live else self._known.waited
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                answer = await self._table.draw(draw, wanted, waited)
        except (WorkerError, TimeoutError) as error:
            self._unavailable(error)
            return None
        self._known = answer.position
        self._refused += not answer.granted
        metrics.fleet_budget_draws.labels("granted" if answer.granted else "refused").inc()
        if self._fallback_per_second is not None:
            self._fallback_per_second, self._failures = None, 0
            metrics.fleet_budget_shared.set(1)
            log.info("fleet_budget_restored")
        return answer

    def _granted(self, position: Position, drawn: int) -> None:
        slots, begin = self._pacing.slots, position.minute * self._pacing.slots
        # Calls since the table was last seen down may be beside the others' slots: they are paid.
        paid = min(drawn, self._owed)
        self._owed -= paid
        drawn_ones = range(position.used - drawn + paid, min(position.used, slots))
        # None of a minute that is far off by the table's clock: ours was wrong when we asked.
        horizon = self._table.now() / self._pacing.spacing + 4 * self._pacing.lease
        self._slots.extend(begin + n for n in drawn_ones if begin + n <= horizon)
        self._hungry_since, self._refused = self._clock(), 0
        self._ask_live_at = self._ask_background_at = -inf

    def _ahead(self) -> float:
        """Return how many slots ahead of time to draw: the more, the earlier it is served."""
        if not self._live:
            return 0.0
        waited, longest = self._clock() - self._hungry_since, self._known.waited
        return self._pacing.lease * (1 + (min(1.0, waited / longest) if longest else 1.0))

    def _wait_for_turn(self) -> None:
        """Ask again when there may be a free slot: the more rarely the more often it was refused.

        Those at the front of the queue, by the wait of the last that was served, ask more often.
        """
        lease_seconds = self._pacing.lease * self._pacing.spacing
        next_slot = self._known.minute * self._pacing.slots + self._known.used
        opens = (next_slot - self._ahead()) * self._pacing.spacing
        left = self._known.waited - (self._clock() - self._hungry_since)
        spread = lease_seconds * self._refused
        if self._live:
            spread = max(lease_seconds + spread / 8, min(spread, left))
        pause = max(SHORTEST_PAUSE_SECONDS, opens - self._table.now())
        pause += spread * self._random.random()
        at = self._clock() + min(pause, LONGEST_PAUSE_SECONDS)
        if self._live:
            self._ask_live_at = at
        else:
            self._ask_background_at = at

    def _unavailable(self, error: BaseException) -> None:
        now = self._clock()
        metrics.fleet_budget_draws.labels("unavailable").inc()
        if self._fallback_per_second is None:
            share = self._pacing.per_minute / 60 * UNKNOWN_SHARE
            rate = share if self._known is NOWHERE else AVERAGE_SHARE * self._use.per_second(now)
            self._fallback_per_second = rate
            # Not at once: others still have slots that were drawn ahead.
            first = max(1 / rate, 2 * self._pacing.lease * self._pacing.spacing)
            self._fallback_next_at = now + first * self._random.random()
            metrics.fleet_budget_shared.set(0)
            report = log.error if isinstance(error, Misconfigured | Permanent) else log.warning
            reason, per_minute = str(error) or type(error).__name__, round(60 * rate, 1)
            report("fleet_budget_unavailable", reason=reason, requests_per_minute=per_minute)
        self._failures, self._owed = self._failures + 1, 0
        pause = min(2.0**self._failures, UNAVAILABLE_PAUSE_SECONDS) * self._random.uniform(0.5, 1)
        self._ask_live_at = self._ask_background_at = now + pause

    async def _release(self) -> None:
        """Let others have what was drawn and is not wanted."""
        minute, after = self._known.minute, self._known.used
        begin, first = minute * self._pacing.slots, after
        while begin + first - 1 in self._slots:  # what others drew in between stays theirs
            first -= 1
        self._slots.clear()
        if first < after:
            with suppress(WorkerError, TimeoutError):
                async with asyncio.timeout(ANSWER_SECONDS):
                    await self._table.release(minute, first, after)

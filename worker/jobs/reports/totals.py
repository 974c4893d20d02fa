"""What is kept of a group while its conversations pass, and the figures made of it."""

from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal

from worker.jobs.reports.row import Row
from worker.jobs.reports.sketch import Sketch

MAX_WRAPUP_CODES = 200
"""Distinct codes kept per group; an organisation has some dozens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """The metrics of one group; exact sums, rounded half up once, at the end."""

    conversation_count: int
    avg_duration_seconds: Decimal
    talk_ratio: Decimal
    """Share of the total duration; above 1 when several agents talk at once."""

    hold_ratio: Decimal
    efficiency_score: Decimal
    """max(0, 100 - 50 x hold ratio), from the ratio before it is rounded."""

    unique_wrapup_codes: tuple[str, ...]
    p50_duration_seconds: Decimal
    """Within 1 % of the exact one, as are the two below."""

    p90_duration_seconds: Decimal
    p99_duration_seconds: Decimal
    unlisted_wrapup_codes: int = 0
    """How often a code was met that found no place among `unique_wrapup_codes`."""


@dataclass(slots=True)
class Totals:
    """Sums of one group, in ms; two of them add up to the totals of all their conversations."""

    count: int = 0
    duration_ms: int = 0
    talk_ms: int = 0
    hold_ms: int = 0
    durations: Sketch = field(default_factory=Sketch)
    wrapup_codes: set[str] = field(default_factory=set)
    unlisted_wrapup_codes: int = 0

    def add(self, row: Row, duration_ms: int) -> None:
        """Count one finished conversation."""
        self.count += 1
        self.duration_ms += duration_ms
        self.talk_ms += row.talk_ms
        self.hold_ms += row.hold_ms
        self.durations.add(duration_ms)
        for code in row.wrapup_codes:
            self._list(code)

    def merge(self, other: "Totals") -> None:
        """Add the totals of other conversations."""
        self.count += other.count
        self.duration_ms += other.duration_ms
        self.talk_ms += other.talk_ms
        self.hold_ms += other.hold_ms
        self.durations.merge(other.durations)
        self.unlisted_wrapup_codes += other.unlisted_wrapup_codes
        for code in sorted(other.wrapup_codes):
            self._list(code)

    def figures(self) -> Figures:
        """Return the metrics."""
        hold = _ratio(self.hold_ms, self.duration_ms)
        p50, p90, p99 = (self.durations.quantile(share) for share in (0.5, 0.9, 0.99))
        return Figures(
            conversation_count=self.count,
            avg_duration_seconds=rounded(_ratio(self.duration_ms, self.count * 1000), 2),
            talk_ratio=rounded(_ratio(self.talk_ms, self.duration_ms), 4),
            hold_ratio=rounded(hold, 4),
            efficiency_score=rounded(max(Decimal(0), 100 - 50 * hold), 2),
            unique_wrapup_codes=tuple(sorted(self.wrapup_codes)),
            p50_duration_seconds=rounded(Decimal(p50) / 1000, 2),
            p90_duration_seconds=rounded(Decimal(p90) / 1000, 2),
            p99_duration_seconds=rounded(Decimal(p99) / 1000, 2),
            unlisted_wrapup_codes=self.unlisted_wrapup_codes,
        )

    def _list(self, code: str) -> None:
        if code in self.wrapup_codes or len(self.wrapup_codes) < MAX_WRAPUP_CODES:
            self.wrapup_codes.add(code)
        else:
            self.unlisted_wrapup_codes += 1


def rounded(number: Decimal, places: int) -> Decimal:
    """Round half up, as people do on paper; Python's own `round` goes to the even digit."""
    return number.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)


def _ratio(part: int, whole: int) -> Decimal:
    return Decimal(part) / Decimal(whole) if whole else Decimal(0)

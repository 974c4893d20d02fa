"""What a benchmark finds: tables, curves, and the claims that its figures bear out or not."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import nan
from operator import ge, le
from statistics import median


@dataclass(frozen=True, slots=True)
class Spread:
    """Several rounds of one figure."""

    rounds: Sequence[float]

    @property
    def middle(self) -> float:
        """The median: one disturbed round does not move it; nan without a round."""
        return median(self.rounds) if self.rounds else nan

    @property
    def width(self) -> float:
        """Distance between the best and the worst round, as a share of the median."""
        far = max(self.rounds, default=0) - min(self.rounds, default=0)
        return far / self.middle if far else 0.0

    def __str__(self) -> str:
        """Return the median and, of several rounds, half the spread: `71.3 ±4%`."""
        middle = f"{self.middle:,.0f}" if self.middle >= 1000 else f"{self.middle:.4g}"
        return f"{middle} ±{self.width * 50:.0f}%" if len(self.rounds) > 1 else middle


def ratio(ours: Iterable[float], others: Iterable[float]) -> Spread:
    """Return the ratios of each round: two that took turns shared the noise of their minute."""
    return Spread([one / other for one, other in zip(ours, others, strict=False)])


def at_speed(figures: Iterable[float], yardsticks: Iterable[float], known: float) -> Spread:
    """Return figures of CPU as they would be on the machine on which a yardstick takes `known`.

    Some aims are absolute, and of one machine; another, or the same one in a bad hour, takes twice
    as long. A yardstick is work that no change of the worker's code touches, done beside it.
    """
    return Spread([one * known / its for one, its in zip(figures, yardsticks, strict=True)])


Cell = str | int | float | Spread | None
"""None: could not be measured; a note says why."""


@dataclass(frozen=True, slots=True)
class Table:
    """Figures side by side, units in the heads of the columns."""

    name: str
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    notes: Sequence[str] = ()
    missing: Sequence[str] = ()
    """Who was not measured, and why: repeated at the end of a run."""


@dataclass(frozen=True, slots=True)
class Curve:
    """How figures grow: one line a series, as points of x and y."""

    name: str
    title: str
    x_label: str
    y_label: str
    series: Mapping[str, Sequence[tuple[float, float]]]
    logarithmic: bool = False
    """Whether x is drawn by its logarithm."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A sentence with a bound, and the figures of this run."""

    text: str
    rounds: Spread
    bound: float
    at_least: bool = False
    """Whether the bound is the least that will do; else it is the most."""

    unit: str = ""
    worst: bool = False
    """Whether each round must reach it: then the worst of them is what is held to the bound."""

    @property
    def measured(self) -> float:
        """The figure that is held to the bound: the median, or the worst round; nan for none."""
        if not self.worst:
            return self.rounds.middle
        return (min if self.at_least else max)(self.rounds.rounds, default=nan)

    @property
    def met(self) -> bool:
        """Whether this run bears the claim out."""
        return (ge if self.at_least else le)(self.measured, self.bound)


@dataclass(slots=True)
class Findings:
    """All that one benchmark found."""

    tables: list[Table] = field(default_factory=list)
    curves: list[Curve] = field(default_factory=list)
    claims: list[Claim] = field(default_factory=list)

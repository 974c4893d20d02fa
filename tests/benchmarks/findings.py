"""What a benchmark finds: tables, curves, and the claims that its figures bear out or not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import ge, le
from statistics import median


@dataclass(frozen=True, slots=True)
class Spread:
    """Several rounds of one figure."""

    rounds: Sequence[float]

    @property
    def middle(self) -> float:
        """The median: one disturbed round does not move it."""
        return median(self.rounds)

    @property
    def width(self) -> float:
        """Distance between the best and the worst round, as a share of the median."""
        return (max(self.rounds) - min(self.rounds)) / self.middle if self.middle else 0.0

    def __str__(self) -> str:
        """Return the median and, of several rounds, half the spread: `71.3 ±4%`."""
        middle = f"{self.middle:,.0f}" if self.middle >= 1000 else f"{self.middle:.4g}"
        return f"{middle} ±{self.width * 50:.0f}%" if len(self.rounds) > 1 else middle


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
    """A sentence with a bound, and the figure of this run."""

    text: str
    measured: float
    bound: float
    at_least: bool = False
    """Whether the bound is the least that will do; else it is the most."""

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

"""What a scenario found: figures, each with its limit, and whether it was kept."""

from dataclasses import dataclass, field
from typing import NamedTuple

NEVER = float("inf")
SHOWN = 300
"""Characters of a detail."""


class Row(NamedTuple):
    """One figure."""

    figure: str
    measured: str
    limit: str = ""
    """Empty: it is reported only."""

    kept: bool = True

    def __str__(self) -> str:
        word = "" if not self.limit else "kept    " if self.kept else "BROKEN  "
        limit = f"   (limit: {self.limit})" if self.limit else ""
        return f"{word:8}{self.figure}: {self.measured}{limit}"


@dataclass
class Proof:
    """Collected while a scenario runs."""

    rows: list[Row] = field(default_factory=list)

    @property
    def kept(self) -> bool:
        """Whether every limit was; nothing measured is nothing shown."""
        return any(row.limit for row in self.rows) and all(row.kept for row in self.rows)

    @property
    def broken(self) -> list[Row]:
        """Figures beyond their limit."""
        return [row for row in self.rows if not row.kept]

    def note(self, figure: str, value: object) -> None:
        """Note a figure that has no limit."""
        self.rows.append(Row(figure, _text(value)))

    def at_most(self, figure: str, value: float | None, limit: float) -> None:
        """Hold a figure to a bound; None: what was waited for never came."""
        value = NEVER if value is None else value
        self.rows.append(Row(figure, _text(value), f"≤ {_text(limit)}", value <= limit))

    def at_least(self, figure: str, value: float, limit: float) -> None:
        """Hold a figure to a bound from below."""
        self.rows.append(Row(figure, _text(value), f"≥ {_text(limit)}", value >= limit))

    def equal(self, figure: str, value: object, wanted: object) -> None:
        """Hold a figure to one value."""
        self.rows.append(Row(figure, _text(value), f"= {_text(wanted)}", value == wanted))

    def holds(self, figure: str, held: object, detail: object = "") -> None:
        """Hold a sentence to its truth; `detail` is reported where it is not true."""
        reported = "yes" if held else f"no {' '.join(str(detail).split())[:SHOWN]}".strip()
        self.rows.append(Row(figure, reported, "yes", bool(held)))


def _text(value: object) -> str:
    if value == NEVER:
        return "never"
    return f"{value:.1f}" if isinstance(value, float) else str(value)

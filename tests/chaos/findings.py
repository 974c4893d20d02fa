"""What a scenario found: violations of a promise, and figures."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

SHOWN = 8


class Violation(NamedTuple):
    """A promise that was not kept."""

    promise: str
    ids: tuple[str, ...] = ()
    """Of messages, where there are some."""

    detail: str = ""

    def __str__(self) -> str:
        ids = ", ".join(self.ids[:SHOWN]) + (" …" if len(self.ids) > SHOWN else "")
        return " ".join(part for part in (self.promise, self.detail, ids) if part)


@dataclass
class Findings:
    """Collected while a scenario runs."""

    violations: list[Violation] = field(default_factory=list)
    figures: dict[str, object] = field(default_factory=dict)

    def expect(self, held: object, promise: str, detail: object = "") -> None:
        """Note a violation unless `held`."""
        if not held:
            self.violations.append(Violation(promise, (), str(detail)))

    def none_of(self, ids: Iterable[str], promise: str) -> None:
        """Note a violation if there are ids of which the promise is not true."""
        if found := tuple(ids):
            self.violations.append(Violation(promise, found, f"({len(found)})"))

    def add(self, violations: Iterable[Violation]) -> None:
        """Take over what a check found."""
        self.violations += violations

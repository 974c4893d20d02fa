"""Rounds in which the contestants take turns, so that a noisy minute hits all of them alike."""

import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

T = TypeVar("T")


class Named(Protocol):
    """All that take part."""

    @property
    def name(self) -> str:
        """Return its name in the tables."""


C = TypeVar("C", bound=Named)


class Unmeasured(Exception):
    """A contestant could not be measured; its text says why."""


@dataclass(slots=True)
class Results(Generic[T]):
    """What each contestant did, round by round; without a round, `reasons` says why."""

    rounds: dict[str, list[T]] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)

    def notes(self) -> list[str]:
        """Return a note for each that failed, be it in a later round."""
        return [f"{name}: {self._how_far(name)}: {reason}" for name, reason in self.reasons.items()]

    def _how_far(self, name: str) -> str:
        count = len(self.rounds[name])
        return f"broke off after round {count}" if count else "not measured"


async def in_turns(
    what: str, contestants: Sequence[C], rounds: int, run: Callable[[C], Awaitable[T]]
) -> Results[T]:
    """Let each run once a round; one that fails is reported, and left out of what follows."""
    results = Results[T]({one.name: [] for one in contestants})
    for number in range(1, rounds + 1):
        for one in contestants:
            if one.name in results.reasons:
                continue
            try:
                found = await run(one)
            except (Unmeasured, TimeoutError) as error:
                results.reasons[one.name] = str(error) or type(error).__name__
                say(f"{what}: {one.name}: not measured: {results.reasons[one.name]}")
                continue
            results.rounds[one.name].append(found)
            say(f"{what}: round {number} of {rounds}: {one.name}: {found}")
    return results


def say(line: str) -> None:
    """Say how far it is; the tables have stdout for themselves."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()

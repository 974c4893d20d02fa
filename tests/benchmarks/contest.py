"""Rounds in which the contestants take turns, so that a noisy minute hits all of them alike."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, Protocol, TypeVar

from tests.benchmarks.findings import Spread, ratio

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

    def of(self, one: Named, figure: str) -> Spread:
        """Return one figure of all rounds of a contestant."""
        return Spread([getattr(found, figure) for found in self.rounds.get(one.name, ())])

    def ratio(self, one: Named, other: Named, figure: str) -> Spread:
        """Return how the figure of one relates to another's, round by round."""
        return ratio(self.of(one, figure).rounds, self.of(other, figure).rounds)

    def notes(self) -> list[str]:
        """Return a note for each that failed, be it in a later round."""
        return [f"{name}: {self._how_far(name)}: {reason}" for name, reason in self.reasons.items()]

    def _how_far(self, name: str) -> str:
        count = len(self.rounds[name])
        return f"broke off after round {count}" if count else "not measured"


async def in_turns(
    what: str,
    contestants: Sequence[C],
    rounds: int,
    run: Callable[[C], Awaitable[T]],
    *,
    at_once: bool = False,
) -> Results[T]:
    """Let each run once a round; one that fails is reported, and left out of what follows.

    `at_once`: all of a round side by side, where they leave the machine idle most of the time.
    """
    results = Results[T]({one.name: [] for one in contestants})
    for number in range(1, rounds + 1):
        left = [one for one in contestants if one.name not in results.reasons]
        turn = partial(_turn, f"{what}: round {number} of {rounds}", run, results)
        if at_once:
            await asyncio.gather(*map(turn, left))
        else:
            for one in left:
                await turn(one)
    return results


async def _turn(what: str, run: Callable[[C], Awaitable[T]], results: Results[T], one: C) -> None:
    try:
        found = await run(one)
    except (Unmeasured, TimeoutError) as error:
        results.reasons[one.name] = str(error) or type(error).__name__
        say(f"{what}: {one.name}: not measured: {results.reasons[one.name]}")
        return
    results.rounds[one.name].append(found)
    say(f"{what}: {one.name}: {found}")


def say(line: str) -> None:
    """Say how far it is; the tables have stdout for themselves."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()

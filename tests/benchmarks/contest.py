"""Rounds in which the contestants take turns, so that a noisy minute hits all of them alike."""

import asyncio
import sys
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from statistics import fmean
from typing import Generic, Protocol, TypeVar

from tests.benchmarks.findings import Spread, ratio

T = TypeVar("T")
N = TypeVar("N", bound=tuple[float, ...])

LAPS = 3
"""Turns a round of those that are held closely to each other: a turn is little more than a second,
and the machine is often not as fast a few seconds later."""


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
    mean: Callable[[Sequence[T]], T] | None = None,
) -> Results[T]:
    """Let each take its turns of a round; one that fails is reported, and left out from then on.

    `at_once`: all of a round side by side, where they leave the machine idle most of the time.
    `mean`: of the turns of those named several times in `contestants`, what their round is.
    """
    results = Results[T]({one.name: [] for one in contestants})
    for number in range(1, rounds + 1):
        turns: dict[str, list[T]] = defaultdict(list)
        turn = partial(_turn, f"{what}: round {number} of {rounds}", run, results, turns)
        if at_once:
            await asyncio.gather(*map(turn, contestants))
        else:
            for one in contestants:
                await turn(one)
        for name, found in turns.items():
            if name not in results.reasons:
                results.rounds[name].append(mean(found) if mean else _only(found))
    return results


async def _turn(
    what: str,
    run: Callable[[C], Awaitable[T]],
    results: Results[T],
    turns: Mapping[str, list[T]],
    one: C,
) -> None:
    if one.name in results.reasons:
        return
    try:
        found = await run(one)
    except (Unmeasured, TimeoutError) as error:
        results.reasons[one.name] = str(error) or type(error).__name__
        say(f"{what}: {one.name}: not measured: {results.reasons[one.name]}")
        return
    turns[one.name].append(found)
    say(f"{what}: {one.name}: {found}")


def _only(turns: Sequence[T]) -> T:
    [one] = turns  # not the first of several: the others would be dropped in silence
    return one


def mean_turn(turns: Sequence[N]) -> N:
    """Return the mean of each figure, for `in_turns`."""
    return type(turns[0])(*map(fmean, zip(*turns, strict=True)))


def say(line: str) -> None:
    """Say how far it is; the tables have stdout for themselves."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()

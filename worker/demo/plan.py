"""What is sent, and what must have come of it."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from worker.demo.environment import Environment

Fate = Literal["done", "parked"]


@dataclass(frozen=True, slots=True)
class Planned:
    """One message to be sent."""

    kind: str
    """Row of the final table."""

    body: str
    fate: Fate = "done"
    queue_of: str | None = None
    """The job on whose queue it is put, whatever its type. None: the rules of the bus say where."""


@dataclass(frozen=True, slots=True)
class Effects:
    """What one sink holds, against what it must hold."""

    sink: str
    expected: int
    found: int
    wrong: Sequence[str] = field(default=())
    """Ids of effects that are missing, there twice, or not as they should be."""

    @property
    def right(self) -> bool:
        """Whether each effect is there exactly once."""
        return self.expected == self.found and not self.wrong


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something done to an upstream while the messages flow."""

    name: str
    seconds: float
    begin: Callable[[Environment], None]
    end: Callable[[Environment], None]


class Job(Protocol):
    """A job of the worker, as the demo sees it."""

    def prepare(self, stage: Environment) -> Awaitable[None] | None:
        """Fill the emulators with what the job will ask for, and `stage.extra` with its settings.

        It may come again, and finds then what it made before.
        """

    def traffic(self) -> list[Planned]:
        """Return the messages; their order is shuffled among all jobs."""

    def afterthoughts(self) -> list[Planned]:
        """Return messages for when all others are done: copies and older ones, without effect."""

    def troubles(self) -> list[Trouble]:
        """Return what is to go wrong on the way."""

    def effects(self, stage: Environment) -> Awaitable[list[Effects]]:
        """Look what is there."""

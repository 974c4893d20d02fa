"""A queue as the messages that come from it know it: its name, and the jobs bound to it."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Source:
    """One queue."""

    name: str
    url: str
    jobs: frozenset[str]
    """The jobs bound to it: of an unbound queue all that are on."""

    bound: bool
    age_seconds: Callable[[float], float]
    """Age of a message by SQS's own clock, from its `SentTimestamp` in seconds."""

"""How big a run is."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sizes:
    """Of all scenarios; each reads its own."""

    events: int = 240
    """Mixed events of `kills`; of `outage`, `sqs_faults` and `throttled` a third of them."""

    kills: int = 4
    copies: int = 50
    dead_seconds: float = 12.0
    """How long SQS fails altogether, and how long DynamoDB throttles."""

    outage_seconds: float = 20.0
    outage_scale: float = 60.0
    """By how much the breaker's times are shortened: 20 s stand for 20 minutes."""

    groups: int = 10
    per_group: int = 10
    messages: int = 8_000
    """Of `soak`."""


SMALL = Sizes()
"""For CI: all scenarios in some six minutes on two cores."""

FULL = Sizes(
    events=5000,
    kills=50,
    dead_seconds=60,
    outage_seconds=120,
    outage_scale=10,
    groups=50,
    per_group=100,
    messages=200_000,
)

"""How big a run is."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sizes:
    """Of all scenarios; each reads its own."""

    events: int = 240
    """Mixed events of `kills`; of `outage` and `sqs_faults` a third of them."""

    kills: int = 4
    copies: int = 50
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
    outage_seconds=120,
    outage_scale=10,
    groups=50,
    per_group=100,
    messages=200_000,
)

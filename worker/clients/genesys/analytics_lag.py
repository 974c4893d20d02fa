"""When to look again for data that Genesys Cloud shows seconds to minutes after the end. Pure."""

LOOKS_SECONDS = (30.0, 120.0, 600.0)
"""Ages of the event at which its data is looked for, after the first time; then every ten minutes.

No figure for the lag is published (worker/clients/genesys/README.md, "Analytics"); 30 s, 2 min, 10
min is what integrators settled on.
"""

LEAST_SECONDS = 5.0
"""A look that is nearer than this is left out: an event that comes late by a hair is no new age."""


def seconds_to_next_look(age_seconds: float, *, settle_seconds: float) -> float | None:
    """Return how long to wait; None once the event is `settle_seconds` old and waiting is over.

    The last look is at that very age. Ages come from two clocks, so a negative one counts as zero.
    """
    age = max(0.0, age_seconds)
    if age >= settle_seconds:
        return None
    last = LOOKS_SECONDS[-1]
    later = last * (age // last + 1)
    looks = (*(at for at in LOOKS_SECONDS if at - age >= LEAST_SECONDS), later, later + last)
    wait = next(at - age for at in looks if at - age >= LEAST_SECONDS)
    return min(wait, settle_seconds - age)

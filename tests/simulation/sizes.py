"""How large the scenarios are played, and what several of them have in common."""

from collections.abc import Mapping
from dataclasses import dataclass

from tests.simulation.scenario import JOBS, Job

RATES = {"voice": 0.3, "workflow": 0.3, "attributes": 0.3, "sentiment": 0.2, "reports": 0.002}
QUIET = {"voice": 0.02, "workflow": 0.02}
FAST = {"GENESYS_REQUESTS_PER_MINUTE": "1200"}
SHORT = {"RETRY_HORIZON_SECONDS": "1800", "RETRY_CAP_SECONDS": "120"}
ENDLESS = {"GENESYS_REQUESTS_PER_MINUTE": "60000"}
DOWN = 300.0
"""When an outage begins."""

BACKOFF_RECEIVES = 45
SQS_RECEIVES = 50
"""The `maxReceiveCount` of deploy/: one more receive, and SQS dead-letters a message itself."""


@dataclass(frozen=True, slots=True)
class Size:
    """How large they are played."""

    full: bool


def only(*names: str) -> Mapping[str, Job]:
    return {name: JOBS[name] for name in names}


def pair() -> Mapping[str, Job]:
    """Return two jobs that share no upstream."""
    return only("voice", "workflow")

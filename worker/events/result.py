"""What a handler did, when it did not fail."""

from enum import StrEnum


class Result(StrEnum):
    """The label of a finished run in metrics and logs."""

    OK = "ok"
    DEGRADED = "degraded"
    """Done with less than wanted: stale or missing customer data."""

    DUPLICATE = "duplicate"
    """Nothing to do: the effect was there already, or a newer one is."""

    SKIPPED = "skipped"
    """Not wanted, by a rule of the job itself."""

    EXPIRED = "expired"
    """Too old to matter; dropped on purpose."""

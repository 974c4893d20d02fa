"""How a scenario is run."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Size:
    """Of all scenarios."""

    quick: bool = False
    """Shorter where the full figure takes minutes; the limits are the same."""

    bound: bool = True
    """A queue per job. False: one queue for all, to see a scenario work there.
    """

    def minutes(self, full: float, quick: float) -> float:
        """Return the seconds of so many minutes."""
        return 60 * (quick if self.quick else full)

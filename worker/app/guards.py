"""What the old intake and status page ask of the upstreams, until they are replaced."""

from dataclasses import dataclass

from worker.app.upstreams import Upstreams
from worker.resilience.breaker import State


@dataclass(frozen=True, slots=True)
class Guards:
    """A view of the upstreams."""

    upstreams: Upstreams

    def state(self, upstream: str) -> State:
        """Return the state of an upstream's breaker."""
        return self.upstreams.state(upstream)

    def open_breakers(self) -> tuple[str, ...]:
        """Return the upstreams that are not called at present."""
        return self.upstreams.open_breakers()

    def asked_pauses(self) -> dict[str, float]:
        """Return the seconds left of pauses; the budget tells its own by another way."""
        pauses = self.upstreams.asked_pauses()
        return {name: left for name, (left, _) in pauses.items() if name != "genesys"}

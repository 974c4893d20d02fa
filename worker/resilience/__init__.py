"""What bounds, retries, shares and refuses calls."""

from worker.resilience.cache import Cache, Cached, CachePolicy
from worker.resilience.guard import Guard, best_effort
from worker.resilience.once import Steps

__all__ = ["Cache", "CachePolicy", "Cached", "Guard", "Steps", "best_effort"]

"""What bounds, retries, shares and refuses calls."""

from worker.resilience.batcher import Batcher
from worker.resilience.cache import Cache, Cached, CachePolicy
from worker.resilience.guard import Guard, best_effort
from worker.resilience.work import OncePerKey

__all__ = ["Batcher", "Cache", "CachePolicy", "Cached", "Guard", "OncePerKey", "best_effort"]

"""What bounds, retries, shares and refuses calls."""

from worker.resilience.batcher import Batcher
from worker.resilience.cache import Cache, Cached, CachePolicy
from worker.resilience.guard import Guard, GuardPolicy, best_effort
from worker.resilience.limiter import FleetBudget, Limiter
from worker.resilience.retry import (
    PAUSE_CAP_SECONDS,
    RetryPolicy,
    full_jitter,
    seconds_to_next_poll,
)
from worker.resilience.work import (
    Deadline,
    OncePerKey,
    ReplicasUseful,
    Work,
    begin,
    current_work,
    waiting_for,
    working_for,
)

__all__ = [
    "PAUSE_CAP_SECONDS",
    "Batcher",
    "Cache",
    "CachePolicy",
    "Cached",
    "Deadline",
    "FleetBudget",
    "Guard",
    "GuardPolicy",
    "Limiter",
    "OncePerKey",
    "ReplicasUseful",
    "RetryPolicy",
    "Work",
    "begin",
    "best_effort",
    "current_work",
    "full_jitter",
    "seconds_to_next_poll",
    "waiting_for",
    "working_for",
]

"""Calls of a report: giving one up would throw away all that was read before it."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from worker.clients.genesys.api import Api
from worker.clients.genesys.wire import Call
from worker.errors import BreakerOpen, RateLimited, Transient
from worker.resilience.work import current_work

PATIENCE_SECONDS = 300.0
"""Time one call may wait for budget or breaker."""

PAUSE_SECONDS = 1.0
"""Least wait before a call is made again."""

T = TypeVar("T")


async def patiently(api: Api, call: Call[T]) -> T:
    """Run a call after all live work, waiting for budget and breaker as long as it is worth it.

    A half-open breaker lets only chosen messages probe, and those that wait at a gate are chosen.
    A report is under way and at no gate; so, having waited, it chooses itself.
    """
    waited = 0.0
    while True:
        try:
            with _probing(having_waited=waited > 0):
                return await api.run(call, background=True)
        except (RateLimited, BreakerOpen) as error:
            waited += wait_of(error)
            if waited > PATIENCE_SECONDS:
                raise
            await asyncio.sleep(wait_of(error))


@contextmanager
def _probing(*, having_waited: bool) -> Iterator[None]:
    """Let what the block does pass a half-open breaker, if so."""
    works = [work for work in current_work() if having_waited and not work.probe]
    for work in works:
        work.probe = True
    try:
        yield
    finally:
        for work in works:
            work.probe = False


def wait_of(error: Transient) -> float:
    """Return the seconds to wait before the next try."""
    return max(PAUSE_SECONDS, error.retry_after or 0.0)

"""Types that no handler wants: counted, and told of once a minute each."""

from collections import OrderedDict
from collections.abc import Callable

import structlog

from worker.telemetry import metrics

log = structlog.get_logger(__name__)

QUIET_SECONDS = 60
REMEMBERED = 1000


class UnroutedTypes:
    """When each type was last logged; bounded, as types come from outside."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._told: OrderedDict[str, float] = OrderedDict()

    def seen(self, detail_type: str) -> None:
        """Count one, and log its type unless that was done within the last minute."""
        metrics.messages_unrouted.inc()
        now = self._clock()
        if now - self._told.get(detail_type, float("-inf")) < QUIET_SECONDS:
            return
        self._told[detail_type] = now
        self._told.move_to_end(detail_type)
        if len(self._told) > REMEMBERED:
            self._told.popitem(last=False)
        log.info("event_unrouted", detail_type=detail_type)

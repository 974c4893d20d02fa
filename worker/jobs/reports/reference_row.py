"""A result of the reference dialect's report query as a row.

Times are seconds there, kept to the millisecond.
"""

from collections.abc import Mapping
from typing import Any

from worker.clients.genesys.details_query import REFERENCE_GROUPS, REFERENCE_METRICS
from worker.jobs.reports.row import Row, milliseconds_of, text_of, whole_milliseconds

MEDIA_TYPE, QUEUE_ID = REFERENCE_GROUPS
DURATION, TALK, HOLD, WRAPUP = REFERENCE_METRICS


def row_of_reference(result: Mapping[str, Any]) -> Row | None:
    """Read one entry of `results`; None when it has no readable time or a bad duration."""
    listed = result.get("metrics")
    metrics = listed if isinstance(listed, dict) else {}
    start = milliseconds_of(result.get("timestamp"))
    duration = _seconds(metrics, DURATION)
    if start is None or (duration is None and metrics.get(DURATION) is not None):
        return None
    media_type = text_of(result.get(MEDIA_TYPE))
    return Row(
        id=text_of(result.get("conversation.id")) or text_of(result.get("conversationId")),
        start_ms=start,
        duration_ms=duration,
        talk_ms=_seconds(metrics, TALK) or 0,
        hold_ms=_seconds(metrics, HOLD) or 0,
        media_type=media_type and media_type.lower(),
        queue_id=text_of(result.get(QUEUE_ID)),
        wrapup_codes=_codes(metrics.get(WRAPUP)),
    )


def _seconds(metrics: Mapping[str, Any], name: str) -> int | None:
    return whole_milliseconds(metrics.get(name), per_unit=1000)


def _codes(value: object) -> tuple[str, ...]:
    listed = value if isinstance(value, list) else [value]
    return tuple(dict.fromkeys(filter(None, map(text_of, listed))))

"""Waits of the handlers that outlast the message: it is parked before they are over."""

from collections.abc import Iterator

from worker.cli.preflight.rows import Row, warn
from worker.settings import Settings


def judge_waits(settings: Settings) -> Iterator[Row]:
    """Yield a row for each wait of a handler that is on and is longer than retries go on for.

    No error at the start: what does not have to wait that long is well.
    """
    waits = (
        ("voice", "VOICE_DEGRADE_AFTER_SECONDS", settings.voice.degrade_after_seconds),
        ("attributes", "ATTRIBUTES_MAX_AGE_SECONDS", settings.attributes.max_age_seconds),
        ("workflow", "WORKFLOW_SETTLE_SECONDS", settings.workflow.settle_seconds),
        ("sentiment", "SENTIMENT_SETTLE_SECONDS", settings.sentiment.settle_seconds),
    )
    horizon = settings.retry.horizon_seconds
    for handler, name, seconds in waits:
        if handler in settings.enabled_jobs() and seconds is not None and seconds >= horizon:
            found = f"{name} is {seconds:g} s, but retries end after {horizon:g} s"
            yield warn("settings", found, "lower it, or raise RETRY_HORIZON_SECONDS: it is parked")

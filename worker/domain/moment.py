"""Times as they are written into effects."""

from datetime import UTC, datetime


def utc_text(moment: datetime) -> str:
    """Write milliseconds and `Z`, always: a repeat of an effect must be byte-equal.

    So the order of such texts is the order of time, too.
    """
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

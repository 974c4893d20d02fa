"""Figures and names as people read them."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal

from worker.jobs.reports.aggregate import Key

NOTHING = "\u2014"

TITLES = {
    "mediaType": "Media type",
    "queueId": "Queue",
    "originatingDirection": "Direction",
    "userId": "Agent",
    "divisionId": "Division",
}

_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def group_label(key: Key, names: Mapping[str, str]) -> str:
    """Return the values of a group's dimensions in a line."""
    return " \u00b7 ".join(value_label(value, names) for value in key) or "all conversations"


def value_label(value: str | None, names: Mapping[str, str]) -> str:
    """Return a name where there is one; ids without one are shortened to their two ends."""
    if value is None:
        return NOTHING
    if value in names:
        return names[value]
    return f"{value[:8]}\u2026{value[-4:]}" if _UUID.fullmatch(value) else value


def clock(seconds: Decimal | float) -> str:
    """Return `h:mm:ss` or `m:ss`."""
    whole = round(seconds)
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"


def percent(ratio: Decimal | float) -> str:
    """Return a ratio as per cent with one decimal."""
    return f"{float(ratio) * 100:.1f}\u202f%"


def count(number: int) -> str:
    """Return a whole number in groups of three."""
    return f"{number:,}".replace(",", "\u202f")


def day(moment: datetime) -> str:
    """Return a date, and the time if it is not midnight, in UTC."""
    moment = moment.astimezone(UTC)
    date = f"{moment.day} {moment:%B %Y}"
    return date if (moment.hour, moment.minute) == (0, 0) else f"{date}, {moment:%H:%M}"

"""The charts of the page, as SVG. Pure."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from html import escape

from worker.api import Slice
from worker.jobs.reports.figures import Key
from worker.jobs.reports.report import Group, Report

VOID = {"meta", "link", "line", "rect", "circle", "input"}


class Markup(str):
    """Text that is markup already; any other text is escaped when it becomes a child."""

    __slots__ = ()


def tag(name: str, /, *children: str, **attributes: object) -> Markup:
    """Return one element. `class_` is `class`, other underscores are hyphens; None is left out."""
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in VOID and not children:
        return Markup(f"<{name}{given}/>")
    return Markup(f"<{name}{given}>{joined(*children)}</{name}>")


def joined(*parts: str) -> Markup:
    """Return the parts one after the other; plain text among them is escaped."""
    return Markup("".join(p if isinstance(p, Markup) else escape(p, quote=False) for p in parts))


HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS

MOST_HOURS = 10 * 24
"""Points that can be distinguished on a screen; a longer report shows days."""


@dataclass(frozen=True, slots=True)
class Point:
    """Conversations that started in an hour or a day."""

    start: datetime
    count: int


def points(hours: Mapping[int, int], span: Slice) -> tuple[list[Point], bool]:
    """Return a point per hour of the span, and False; or one per day, and True. Gaps are zeros."""
    first, last = _ms(span.start), _ms(span.end)
    daily = (last - first) > MOST_HOURS * HOUR_MS
    step = DAY_MS if daily else HOUR_MS
    counts: dict[int, int] = {}
    for hour, number in hours.items():
        counts[hour - hour % step] = counts.get(hour - hour % step, 0) + number
    starts = range(first - first % step, last, step)
    return [Point(_moment(start), counts.get(start, 0)) for start in starts], daily


def ticks(largest: float, at_most: int = 5) -> list[float]:
    """Return round numbers from 0 to at least `largest`."""
    rough = max(largest, 1) / at_most
    magnitude = 10 ** math.floor(math.log10(rough))
    step = next(m * magnitude for m in (1, 2, 2.5, 5, 10) if m * magnitude >= rough)
    step = max(math.ceil(step), 1)  # 2.5 would be labelled 2, 5, 8: these are counts
    return [step * index for index in range(math.ceil(max(largest, 1) / step) + 1)]


def time_ticks(largest_seconds: float, at_most: int = 5) -> list[float]:
    """Return lengths of time that people count in, from 0 to at least the largest."""
    steps = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200)
    days = max(1, math.ceil(largest_seconds / 86400 / at_most)) * 86400
    step = next((s for s in steps if s * at_most >= largest_seconds), days)
    return [float(step * index) for index in range(math.ceil(largest_seconds / step) + 1)]


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def _moment(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


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


MOST_GROUPS = 10
"""The busiest groups; the table has all."""

WIDE, HALF = 1072, 500
ROW, LABEL = 34, 184
LABEL_CHARACTERS = 24


def per_hour(report: Report) -> Markup:
    """Return bars: conversations by the hour, or the day, they started in."""
    series, daily = points(report.hours, Slice(report.due.start, report.due.end))
    marks = ticks(max((point.count for point in series), default=0), 5)
    top, bottom, left = 8, 188, 44
    slot = (WIDE - left) / max(1, len(series))
    width = max(1.0, slot * 0.78)
    parts = [_rule(left, bottom - (bottom - top) * m / marks[-1], count(round(m))) for m in marks]
    every = max(1, round(64 / slot))
    for index, point in enumerate(series):
        x = left + index * slot
        height = (bottom - top) * point.count / marks[-1]
        title = tag("title", f"{_when(point.start, daily=daily)}: {count(point.count)}")
        parts.append(_bar("bar", (x + (slot - width) / 2, bottom - height, width, height), title))
        if index % every == 0:
            label = _short(point.start, daily=daily)
            parts.append(_text(x + slot / 2, bottom + 18, label, anchor="middle"))
    return _svg(WIDE, bottom + 26, parts, f"Conversations per {'day' if daily else 'hour'}")


def durations(report: Report, names: Mapping[str, str]) -> Markup:
    """Return a band from the median to the 99th percentile for each of the busiest groups."""
    groups = report.groups[:MOST_GROUPS]
    marks = time_ticks(max((float(g.figures.p99_duration_seconds) for g in groups), default=0) or 1)
    bottom, span = ROW * len(groups) + 6, HALF - LABEL - 24

    def x(seconds: object) -> float:
        return LABEL + span * float(str(seconds)) / marks[-1]

    parts = [_rule_down(x(mark), bottom, clock(mark)) for mark in marks]
    for index, group in enumerate(groups):
        y, figures = ROW * index + ROW / 2, group.figures
        spread = {
            "p99": figures.p99_duration_seconds,
            "p90": figures.p90_duration_seconds,
            "p50": figures.p50_duration_seconds,
        }
        parts.append(_name(group, names, y))
        parts.append(_band(x(spread["p50"]), x(spread["p99"]), y))
        for kind, seconds in spread.items():
            title = tag("title", f"{kind}: {clock(seconds)}")
            parts.append(
                tag("circle", title, class_=f"mark {kind}", cx=_n(x(seconds)), cy=y, r=5.5)
            )
    return _svg(HALF, bottom + 24, parts, "Duration percentiles by group")


def shares(report: Report) -> Markup:
    """Return one stacked bar: talk, hold and all other time of all conversations."""
    whole, x, parts = sum(report.shares) or 1, 0.0, []
    for kind, part in zip(("talk", "hold", "rest"), report.shares, strict=True):
        width = WIDE * part / whole
        title = tag("title", f"{kind}: {percent(part / whole)}")
        parts.append(_bar(kind, (x, 0, width, 34), title))
        if width > 54:
            style = "value" if kind == "rest" else "inside"
            parts.append(_text(x + 12, 21.5, percent(part / whole), class_=style))
        x += width
    return _svg(WIDE, 34, parts, "Share of talk, hold and other time")


def efficiency(report: Report, names: Mapping[str, str]) -> Markup:
    """Return a bar from 0 to 100 for each of the busiest groups."""
    groups, span = report.groups[:MOST_GROUPS], HALF - LABEL - 58
    parts = []
    for index, group in enumerate(groups):
        y, score = ROW * index + ROW / 2, group.figures.efficiency_score
        parts.append(_name(group, names, y))
        parts.append(_bar("track", (LABEL, y - 7, span, 14)))
        title = tag("title", f"{score} of 100")
        parts.append(_bar("good", (LABEL, y - 7, span * float(score) / 100, 14), title))
        parts.append(_text(HALF, y + 4, str(score), anchor="end", class_="value"))
    return _svg(HALF, ROW * len(groups) + 30, parts, "Efficiency score by group")


def _svg(width: float, height: float, parts: Sequence[Markup], title: str) -> Markup:
    box = f"0 0 {width} {_n(height)}"
    return tag("svg", *parts, viewBox=box, role="img", aria_label=title)


def _n(number: float) -> str:
    return f"{number:.2f}".rstrip("0").rstrip(".")


def _bar(kind: str, box: tuple[float, float, float, float], *inside: Markup) -> Markup:
    x, y, width, height = map(_n, box)
    radius = _n(min(3.0, box[2] / 4))
    return tag("rect", *inside, class_=kind, x=x, y=y, width=width, height=height, rx=radius)


def _text(
    x: float, y: float, text: str, anchor: str | None = None, class_: str | None = None
) -> Markup:
    return tag("text", text, x=_n(x), y=_n(y), text_anchor=anchor, class_=class_)


def _rule(left: float, y: float, label: str) -> Markup:
    line = tag("line", class_="grid", x1=left, x2=WIDE, y1=_n(y), y2=_n(y))
    return joined(line, _text(left - 8, y + 4, label, anchor="end"))


def _rule_down(x: float, bottom: float, label: str) -> Markup:
    line = tag("line", class_="grid", x1=_n(x), x2=_n(x), y1=0, y2=_n(bottom))
    return joined(line, _text(x, bottom + 18, label, anchor="middle"))


def _band(start: float, end: float, y: float) -> Markup:
    return tag("line", class_="band", x1=_n(start), x2=_n(end), y1=_n(y), y2=_n(y))


def _name(group: Group, names: Mapping[str, str], y: float) -> Markup:
    label = group_label(group.key, names)
    short = label if len(label) <= LABEL_CHARACTERS else f"{label[: LABEL_CHARACTERS - 1]}\u2026"
    ids = " ".join(value for value in group.key if value and value_label(value, names) != value)
    title = tag("title", f"{label}\n{ids}" if ids else label)
    return tag("text", title, short, x=0, y=_n(y + 4), class_="name")


def _when(start: datetime, *, daily: bool) -> str:
    return f"{start:%a %d %b}" if daily else f"{start:%a %d %b, %H:%M}"


def _short(start: datetime, *, daily: bool) -> str:
    if daily or start.hour == 0:
        return f"{start.day} {start:%b}"
    return f"{start:%H:%M}"

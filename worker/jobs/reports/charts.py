"""The charts of the page, as SVG. Pure."""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from decimal import Decimal
from html import escape
from zoneinfo import ZoneInfo

from worker.api import Slice
from worker.jobs.reports.figures import Key, rounded
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

MOST_HOURS = 10 * 24
"""Points that can be distinguished on a screen; a longer report shows days."""


@dataclass(frozen=True, slots=True)
class Point:
    """Conversations that started in an hour or a day."""

    start: datetime
    count: int


def points(starts: Mapping[int, int], span: Slice, zone: tzinfo = UTC) -> tuple[list[Point], bool]:
    """Return a point per hour of the span, and False; or one per day, and True. Gaps are zeros.

    Hours and days are those of the zone. `starts`: counts by moment, as ms since 1970.
    """
    if _ms(span.end) - _ms(span.start) > MOST_HOURS * HOUR_MS:
        return _per_day(starts, span, zone), True
    first = _ms(span.start.astimezone(zone).replace(minute=0, second=0, microsecond=0))
    counts: Counter[int] = Counter()
    for start, number in starts.items():
        counts[start - (start - first) % HOUR_MS] += number
    hours = range(first, _ms(span.end), HOUR_MS)
    return [Point(_moment(hour, zone), counts[hour]) for hour in hours], False


def _per_day(starts: Mapping[int, int], span: Slice, zone: tzinfo) -> list[Point]:
    counts = Counter[object]()
    for start, number in starts.items():
        counts[_moment(start, zone).date()] += number
    first = span.start.astimezone(zone).date()
    last = (span.end - timedelta(microseconds=1)).astimezone(zone).date()
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    return [Point(datetime.combine(one, time(), zone), counts[one]) for one in days]


def zone_of(report: Report) -> ZoneInfo:
    """Return whose days these are."""
    return ZoneInfo(report.due.timezone)


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


def _moment(ms: int, zone: tzinfo) -> datetime:
    return datetime.fromtimestamp(ms / 1000, zone)


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
    """Return `h:mm:ss` or `m:ss`; half a second is rounded up."""
    minutes, left = divmod(int(rounded(Decimal(seconds), 0)), 60)
    hours, rest = divmod(minutes, 60)
    return f"{hours}:{rest:02}:{left:02}" if hours else f"{rest}:{left:02}"


def percent(ratio: Decimal) -> str:
    """Return a ratio as per cent, with the digits that CSV and JSON have: all say the same."""
    return f"{rounded(100 * ratio, 2)}\u202f%"


def score(value: Decimal) -> str:
    """Return a score with the digits that CSV and JSON have."""
    return str(rounded(value, 2))


def change(now: Decimal | int, before: Decimal | int) -> str:
    """Return the change in per cent of what was before; nothing where that is 0."""
    if not before:
        return ""
    return f"{rounded(100 * (Decimal(now) - before) / before, 1):+}\u202f%"


def points_of_percent(now: Decimal, before: Decimal) -> str:
    """Return the change of a share: of the shares as they are written, so that it adds up."""
    return f"{rounded(100 * now, 2) - rounded(100 * before, 2):+} points"


def difference(now: Decimal, before: Decimal) -> str:
    """Return the change of a score: of the scores as they are written."""
    return f"{rounded(now, 2) - rounded(before, 2):+}"


def count(number: int) -> str:
    """Return a whole number in groups of three."""
    return f"{number:,}".replace(",", "\u202f")


MOST_GROUPS = 10
"""The busiest groups; the table has all."""


@dataclass(frozen=True, slots=True)
class Frame:
    """The size of a chart, in the pixels of the screen it is for."""

    width: float
    label: float
    """Pixels for names at the left; 0: they stand above the bars."""

    row: float
    characters: int
    """Of a name; the whole one is one hover away."""

    def middle(self, index: int) -> float:
        """Return where the bar of a row is."""
        return self.row * index + (self.row / 2 if self.label else self.row - 12)

    def name(self, index: int) -> float:
        """Return where the name of a row stands."""
        return self.middle(index) + 4 if self.label else self.row * index + 16


WIDE = Frame(1072, 184, 34, 24)
HALF = Frame(500, 184, 34, 24)
NARROW = Frame(320, 0, 46, 44)


def per_hour(report: Report, frame: Frame) -> Markup:
    """Return bars: conversations by the hour, or the day, they started in."""
    series, daily = points(report.starts, Slice(report.due.start, report.due.end), zone_of(report))
    marks = ticks(max((point.count for point in series), default=0), 5)
    top, bottom, left = 8, 188, 44
    slot = (frame.width - left) / max(1, len(series))
    parts = [
        _rule(frame, left, bottom - (bottom - top) * mark / marks[-1], count(round(mark)))
        for mark in marks
    ]
    every = max(1, round(64 / slot))
    for index, point in enumerate(series):
        x = left + index * slot
        height = (bottom - top) * point.count / marks[-1]
        title = tag("title", f"{_when(point.start, daily=daily)}: {count(point.count)}")
        parts.append(_bar("bar", (x + slot * 0.11, bottom - height, slot * 0.78, height), title))
        if index % every == 0 and x + slot / 2 <= frame.width - 18:
            label = _short(point.start, daily=daily)
            parts.append(_text(x + slot / 2, bottom + 18, label, anchor="middle"))
    what = f"Conversations per {'day' if daily else 'hour'}"
    return _svg(frame.width, bottom + 26, parts, what)


def durations(report: Report, names: Mapping[str, str], frame: Frame) -> Markup:
    """Return a band from the median to the 99th percentile for each of the busiest groups."""
    groups = report.groups[:MOST_GROUPS]
    most = max((float(g.figures.p99_duration_seconds) for g in groups), default=0)
    marks = time_ticks(most or 1, 5 if frame.label else 4)
    bottom, left = frame.row * len(groups) + 6, frame.label or 14
    span = frame.width - left - 24
    parts = [_rule_down(left + span * mark / marks[-1], bottom, clock(mark)) for mark in marks]
    for index, group in enumerate(groups):
        y, figures = frame.middle(index), group.figures
        spread = [
            (kind, seconds, left + span * float(seconds) / marks[-1])
            for kind, seconds in (
                ("p99", figures.p99_duration_seconds),
                ("p90", figures.p90_duration_seconds),
                ("p50", figures.p50_duration_seconds),
            )
        ]
        parts += [_name(group, names, frame, index), _band(spread[-1][2], spread[0][2], y)]
        for kind, seconds, x in spread:
            title = tag("title", f"{kind}: {clock(seconds)}")
            parts.append(tag("circle", title, class_=f"mark {kind}", cx=_n(x), cy=_n(y), r=5.5))
    return _svg(frame.width, bottom + 24, parts, "Duration percentiles by group")


def shares(report: Report, frame: Frame) -> Markup:
    """Return one stacked bar: talk, hold and all other time of all conversations.

    Shares are those of the cards. Several agents at once may talk for longer than all lasted.
    """
    talk, hold = report.total.talk_ratio, report.total.hold_ratio
    rest = max(Decimal(0), 1 - talk - hold)
    x, parts = 0.0, []
    for kind, part in (("talk", talk), ("hold", hold), ("rest", rest)):
        width = frame.width * float(part / (talk + hold + rest))
        parts.append(_bar(kind, (x, 0, width, 34), tag("title", f"{kind}: {percent(part)}")))
        if width > 66:
            style = "value" if kind == "rest" else "inside"
            parts.append(_text(x + 12, 21.5, percent(part), class_=style))
        x += width
    return _svg(frame.width, 34, parts, "Share of talk, hold and other time")


def efficiency(report: Report, names: Mapping[str, str], frame: Frame) -> Markup:
    """Return a bar from 0 to 100 for each of the busiest groups."""
    groups, span = report.groups[:MOST_GROUPS], frame.width - frame.label - 58
    parts = []
    for index, group in enumerate(groups):
        y, value = frame.middle(index), group.figures.efficiency_score
        parts.append(_name(group, names, frame, index))
        parts.append(_bar("track", (frame.label, y - 7, span, 14)))
        title = tag("title", f"{score(value)} of 100")
        parts.append(_bar("good", (frame.label, y - 7, span * float(value) / 100, 14), title))
        parts.append(_text(frame.width, y + 4, score(value), anchor="end", class_="value"))
    return _svg(frame.width, frame.row * len(groups) + 30, parts, "Efficiency score by group")


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


def _rule(frame: Frame, left: float, y: float, label: str) -> Markup:
    line = tag("line", class_="grid", x1=left, x2=frame.width, y1=_n(y), y2=_n(y))
    return joined(line, _text(left - 8, y + 4, label, anchor="end"))


def _rule_down(x: float, bottom: float, label: str) -> Markup:
    line = tag("line", class_="grid", x1=_n(x), x2=_n(x), y1=0, y2=_n(bottom))
    return joined(line, _text(x, bottom + 18, label, anchor="middle"))


def _band(start: float, end: float, y: float) -> Markup:
    return tag("line", class_="band", x1=_n(start), x2=_n(end), y1=_n(y), y2=_n(y))


def _name(group: Group, names: Mapping[str, str], frame: Frame, index: int) -> Markup:
    label, most = group_label(group.key, names), frame.characters
    short = label if len(label) <= most else f"{label[: most - 1]}\u2026"
    ids = " ".join(value for value in group.key if value and value_label(value, names) != value)
    title = tag("title", f"{label}\n{ids}" if ids else label)
    return tag("text", title, short, x=0, y=_n(frame.name(index)), class_="name")


def _when(start: datetime, *, daily: bool) -> str:
    return f"{start:%a %d %b}" if daily else f"{start:%a %d %b, %H:%M}"


def _short(start: datetime, *, daily: bool) -> str:
    if daily or start.hour == 0:
        return f"{start.day} {start:%b}"
    return f"{start:%H:%M}"

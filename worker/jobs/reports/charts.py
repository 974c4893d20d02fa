"""The charts of the report's page: SVG, made by hand, styled by the page."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from worker.clients.genesys.details_query import Slice
from worker.jobs.reports.axis import points, ticks, time_ticks
from worker.jobs.reports.labels import clock, count, group_label, percent
from worker.jobs.reports.markup import Markup, joined, tag
from worker.jobs.reports.report import Group, Report

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
    return tag("text", tag("title", label), short, x=0, y=_n(y + 4), class_="name")


def _when(start: datetime, *, daily: bool) -> str:
    return f"{start:%a %d %b}" if daily else f"{start:%a %d %b, %H:%M}"


def _short(start: datetime, *, daily: bool) -> str:
    if daily or start.hour == 0:
        return f"{start.day} {start:%b}"
    return f"{start:%H:%M}"

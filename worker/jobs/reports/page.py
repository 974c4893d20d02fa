"""The page of a report: one HTML file with its charts and its table. Pure."""

from base64 import b64encode
from collections.abc import Iterator, Mapping
from decimal import Decimal
from hashlib import sha256

from worker.api import Condition
from worker.jobs.reports import charts
from worker.jobs.reports.charts import (
    NOTHING,
    TITLES,
    Markup,
    clock,
    count,
    day,
    joined,
    percent,
    tag,
    value_label,
)
from worker.jobs.reports.figures import Figures
from worker.jobs.reports.page_style import SCRIPT, STYLE
from worker.jobs.reports.report import METRICS, Group, Report
from worker.jobs.reports.tables import interval_of

HEADINGS = (
    "Conversations",
    "Average",
    "Talk",
    "Hold",
    "Efficiency",
    "Wrap-up codes",
    "Median",
    "90 %",
    "99 %",
)

FEW_CODES = 3
_CODES = METRICS.index("unique_wrapup_codes")


def table(report: Report, names: Mapping[str, str]) -> Markup:
    """Return the table, as wide as it needs to be."""
    heads = [_column_head(TITLES[name], is_text=True) for name in report.group_by]
    heads += [_column_head(title, is_text=index == _CODES) for index, title in enumerate(HEADINGS)]
    lines = [_line(group, names) for group in report.groups]
    whole = tag(
        "table", tag("thead", tag("tr", *heads)), tag("tbody", *lines), tag("tfoot", _total(report))
    )
    return tag("div", whole, class_="scroll")


def _column_head(title: str, *, is_text: bool) -> Markup:
    button = tag("button", title, type="button")
    return tag("th", button, scope="col", class_="text" if is_text else None)


def _line(group: Group, names: Mapping[str, str]) -> Markup:
    keys = [
        tag("td", label := value_label(value, names), class_="text", title=value, data_value=label)
        for value in group.key
    ]
    return tag("tr", *keys, *_metrics(group.figures, names))


def _total(report: Report) -> Markup:
    first = [tag("td", "All", class_="text")][: len(report.group_by)]
    rest = [tag("td", "", class_="text") for _ in report.group_by[1:]]
    return tag("tr", *first, *rest, *_metrics(report.total, {}))


def _metrics(figures: Figures, names: Mapping[str, str]) -> list[Markup]:
    numbers = {
        "conversation_count": count(figures.conversation_count),
        "talk_ratio": percent(figures.talk_ratio),
        "hold_ratio": percent(figures.hold_ratio),
        "efficiency_score": str(figures.efficiency_score),
    }
    return [
        _codes(figures, names)
        if name == "unique_wrapup_codes"
        else _number(getattr(figures, name), numbers.get(name))
        for name in METRICS
    ]


def _number(value: int | Decimal, text: str | None) -> Markup:
    return tag("td", clock(value) if text is None else text, data_value=value)


def _codes(figures: Figures, names: Mapping[str, str]) -> Markup:
    labels = [value_label(code, names) for code in figures.unique_wrapup_codes]
    if figures.unlisted_wrapup_codes:
        labels.append("and more")
    text = ", ".join(labels) or NOTHING
    content: str = text
    if len(labels) > FEW_CODES:
        content = tag("details", tag("summary", f"{len(labels)} codes"), text)
    return tag("td", content, class_="text codes", data_value=text)


def html_page(report: Report, names: Mapping[str, str] | None = None) -> str:
    """Return the page. `names`: of queues and agents by id; ids without one are shortened."""
    names = names or {}
    body = _figures(report, names) if report.groups else [_empty()]
    main = tag("main", _header(report, names), *body, _footer(report))
    script = tag("script", Markup(SCRIPT))
    return f"<!doctype html>\n{tag('html', _head(report), tag('body', main, script), lang='en')}\n"


def _head(report: Report) -> Markup:
    policy = (
        f"default-src 'none'; img-src data:; style-src '{_hash(STYLE)}'; "
        f"script-src '{_hash(SCRIPT)}'; base-uri 'none'; form-action 'none'"
    )
    return tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width,initial-scale=1"),
        tag("meta", name="robots", content="noindex"),
        tag("meta", name="referrer", content="no-referrer"),
        # An empty icon: the browser would ask the server for one, and report the refusal.
        tag("link", rel="icon", href="data:,"),
        tag("title", f"{report.due.name} \u2013 {interval_of(report.due)}"),
        tag("style", Markup(STYLE)),
    )


def _hash(text: str) -> str:
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"


def _header(report: Report, names: Mapping[str, str]) -> Markup:
    chips = [tag("li", f"{label} ", tag("b", value)) for label, value in _facts(report, names)]
    return tag(
        "header",
        tag("h1", report.due.name),
        tag("p", f"{day(report.due.start)} \u2013 {day(report.due.end)} UTC", class_="period"),
        tag("ul", *chips, class_="chips"),
    )


def _facts(report: Report, names: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    due = report.due
    yield "as of", f"{report.as_of:%Y-%m-%d %H:%M} UTC"
    if due.media_type:
        yield "media type", due.media_type
    if due.queue_ids:
        yield "queues", ", ".join(value_label(one, names) for one in due.queue_ids)
    yield from ((one.name, _condition(one, names)) for one in due.filters)


def _condition(one: Condition, names: Mapping[str, str]) -> str:
    sign = {"gt": "> ", "lt": "< ", "contains": "contains "}.get(one.operator, "")
    return sign + ", ".join(value_label(value, names) for value in one.values)


def _figures(report: Report, names: Mapping[str, str]) -> list[Markup]:
    return [
        _cards(report),
        _panel("Conversations over time", "by start, UTC", charts.per_hour(report)),
        _panel(
            "Where the time went", "of all conversations", _share_legend(), charts.shares(report)
        ),
        tag(
            "div",
            _panel("Duration", "by group", _dots(), charts.durations(report, names)),
            _panel("Efficiency", "100 less half the hold share", charts.efficiency(report, names)),
            class_="pair",
        ),
        _panel("All groups", "a click on a heading sorts", table(report, names)),
    ]


def _cards(report: Report) -> Markup:
    total = report.total
    cards = (
        ("Conversations", count(total.conversation_count), "finished"),
        ("Average duration", clock(total.avg_duration_seconds), "start to end"),
        ("Median", clock(total.p50_duration_seconds), f"p99 {clock(total.p99_duration_seconds)}"),
        ("Talk", percent(total.talk_ratio), "of all time"),
        ("Hold", percent(total.hold_ratio), "of all time"),
        ("Efficiency", str(total.efficiency_score), "of 100"),
    )
    return tag("dl", *(_card(*card) for card in cards), class_="cards")


def _card(label: str, value: str, note: str) -> Markup:
    return tag(
        "div", tag("dt", label), tag("dd", value), tag("dd", note, class_="note"), class_="card"
    )


def _panel(title: str, note: str, *content: Markup) -> Markup:
    return tag("section", tag("h2", title), tag("p", note, class_="note"), *content, class_="panel")


def _share_legend() -> Markup:
    return _legend(("talk", "talk"), ("hold", "hold"), ("rest", "other: waiting, menus, wrap-up"))


def _dots() -> Markup:
    return _legend(("p50", "median"), ("p90", "90 %"), ("p99", "99 %"))


def _legend(*entries: tuple[str, str]) -> Markup:
    def entry(kind: str, label: str) -> Markup:
        dot = tag("circle", class_=kind, cx=5, cy=5, r=4)
        return tag("li", tag("svg", dot, viewBox="0 0 10 10", aria_hidden="true"), label)

    return tag("ul", *(entry(*one) for one in entries), class_="legend")


def _empty() -> Markup:
    return tag("section", tag("p", "No finished conversation.", class_="empty"), class_="panel")


def _footer(report: Report) -> Markup:
    notes = [tag("p", note, class_=style) for note, style in _notes(report)]
    return tag("footer", *notes, tag("p", joined("report ", tag("code", report.id))))


def _notes(report: Report) -> Iterator[tuple[str, str | None]]:
    tally = report.tally
    if tally.unsettled:
        text = "The figures may miss a few conversations: parts that changed while they were read"
        yield f"{text}: {count(tally.unsettled)}.", "warn"
    if tally.folded:
        yield f"Conversations in the group of others: {count(tally.folded)}.", "warn"
    if tally.live:
        yield f"Left out as they were not over: {count(tally.live)}.", None
    if tally.unreadable:
        yield f"Left out without id or times: {count(tally.unreadable)}.", None
    yield (
        "Percentiles are within 1 % of the exact ones. Figures may still change for 48 hours.",
        None,
    )

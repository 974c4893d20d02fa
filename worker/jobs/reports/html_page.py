"""A report as one self-contained page: it loads nothing, and only its own script may run."""

from base64 import b64encode
from collections.abc import Iterator, Mapping
from hashlib import sha256

from worker.jobs.reports import charts
from worker.jobs.reports.json_text import interval_of
from worker.jobs.reports.labels import clock, count, day, percent, value_label
from worker.jobs.reports.markup import Markup, joined, tag
from worker.jobs.reports.page_style import SCRIPT, STYLE
from worker.jobs.reports.page_table import table
from worker.jobs.reports.report import Report


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
    yield from ((name, value_label(value, names)) for name, value in due.filters)


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

"""The page of a report: one HTML file with its charts and its table. Pure."""

from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

from worker.api import Condition
from worker.jobs.reports import charts
from worker.jobs.reports.charts import (
    NOTHING,
    TITLES,
    Markup,
    change,
    clock,
    count,
    difference,
    joined,
    percent,
    points_of_percent,
    score,
    tag,
    value_label,
)
from worker.jobs.reports.figures import EXACT_VALUES, Figures
from worker.jobs.reports.report import (
    CODES,
    METRICS,
    Group,
    Report,
    interval_of,
    metric,
    moment,
    period,
)

STYLE = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
SCRIPT = Path(__file__).with_name("page.js").read_text(encoding="utf-8")

HEADINGS = {
    "conversation_count": "Conversations",
    "avg_duration_seconds": "Average",
    "talk_ratio": "Talk",
    "hold_ratio": "Hold",
    "efficiency_score": "Efficiency",
    "unique_wrapup_codes": "Wrap-up codes",
    "p50_duration_seconds": "Median",
    "p90_duration_seconds": "90 %",
    "p99_duration_seconds": "99 %",
}

DEFINITIONS = {
    "conversation_count": "Conversations that started in the period, are over and match the "
    "filters; each is counted once.",
    "avg_duration_seconds": "Time from start to end of the conversations, divided by their number.",
    "talk_ratio": "Talk time of the agents who answered, divided by the duration of all "
    "conversations; above 100 % when several agents talk at once.",
    "hold_ratio": "Time on hold with the agents who answered, divided by the duration of all "
    "conversations.",
    "efficiency_score": "100 less half the hold share in per cent, at least 0.",
    "unique_wrapup_codes": "Codes that agents gave at the end, each once.",
    "p50_duration_seconds": "Half of the conversations took no longer.",
    "p90_duration_seconds": "90 % of the conversations took no longer.",
    "p99_duration_seconds": "99 % of the conversations took no longer.",
}

CARDS = (
    "conversation_count",
    "avg_duration_seconds",
    "p50_duration_seconds",
    "p90_duration_seconds",
    "p99_duration_seconds",
    "talk_ratio",
    "hold_ratio",
    "efficiency_score",
)

TEXTS: Mapping[str, Callable[..., str]] = {
    "conversation_count": count,
    "talk_ratio": percent,
    "hold_ratio": percent,
    "efficiency_score": score,
}
"""How figures are written; lengths of time as on a clock."""

CHANGES: Mapping[str, Callable[..., str]] = {
    "talk_ratio": points_of_percent,
    "hold_ratio": points_of_percent,
    "efficiency_score": difference,
}
"""How changes are written; all others in per cent of the figure before."""

LINKED = {"report.csv": "CSV", "report.json": "JSON"}

CHANGES_FOR = timedelta(hours=48)
"""Analytics adds to a conversation for so long after its end."""

FEW_CODES = 3


def table(report: Report, names: Mapping[str, str]) -> Markup:
    """Return the table, as wide as it needs to be."""
    heads = [_column_head(TITLES[name], None, is_text=True) for name in report.group_by]
    heads += [
        _column_head(HEADINGS[name], DEFINITIONS[name], is_text=name == CODES) for name in METRICS
    ]
    lines = [_line(report, group, names) for group in report.groups]
    whole = tag(
        "table", tag("thead", tag("tr", *heads)), tag("tbody", *lines), tag("tfoot", _total(report))
    )
    return tag("div", whole, class_="scroll")


def _column_head(text: str, definition: str | None, *, is_text: bool) -> Markup:
    button = tag("button", text, type="button", title=definition)
    return tag("th", button, scope="col", class_="text" if is_text else None)


def _line(report: Report, group: Group, names: Mapping[str, str]) -> Markup:
    before = report.previous.groups.get(group.key) if report.previous else None
    keys = [
        tag(
            "td",
            label := value_label(value, names),
            class_="text",
            title=value,
            data_value=label,
            data_label=TITLES[name],
        )
        for name, value in zip(report.group_by, group.key, strict=True)
    ]
    return tag("tr", *keys, *_metrics(group.figures, before, names))


def _total(report: Report) -> Markup:
    first = [tag("td", "All", class_="text")][: len(report.group_by)]
    rest = [tag("td", "", class_="text") for _ in report.group_by[1:]]
    before = report.previous.total if report.previous else None
    return tag("tr", *first, *rest, *_metrics(report.total, before, {}))


def _metrics(
    figures: Figures, before: Figures | None, names: Mapping[str, str]
) -> Iterator[Markup]:
    for name in METRICS:
        yield _codes(figures, names) if name == CODES else _number(name, figures, before)


def _number(name: str, figures: Figures, before: Figures | None) -> Markup:
    was = [] if before is None else [tag("small", _text(name, before))]
    text = tag("span", _text(name, figures), *was)
    return tag("td", text, data_value=metric(figures, name), data_label=HEADINGS[name])


def _text(name: str, figures: Figures) -> str:
    return TEXTS.get(name, clock)(getattr(figures, name))


def _codes(figures: Figures, names: Mapping[str, str]) -> Markup:
    labels = [value_label(code, names) for code in figures.unique_wrapup_codes]
    if figures.unlisted_wrapup_codes:
        labels.append("and more")
    text = ", ".join(labels) or NOTHING
    content = tag("span", text)
    if len(labels) > FEW_CODES:
        content = tag("details", tag("summary", f"{len(labels)} codes"), text)
    ids = " ".join(figures.unique_wrapup_codes) or None
    label = HEADINGS[CODES]
    return tag("td", content, class_="text codes", title=ids, data_value=text, data_label=label)


def html_page(
    report: Report,
    names: Mapping[str, str] | None = None,
    links: Mapping[str, str] | None = None,
) -> str:
    """Return the page. `names`: of queues, agents and others by id; an id without is shortened.

    Whole ids are one hover away from each name. `links`: addresses of the other files by name; one
    without is said to be beside the page.
    """
    names = names or {}
    body = _figures(report, names) if report.groups else [_empty()]
    files = [] if links is None else [_links(report, links)]
    main = tag("main", _header(report, names, files), *body, _footer(report))
    script = tag("script", Markup(SCRIPT))
    return f"<!doctype html>\n{tag('html', _head(report), tag('body', main, script), lang='en')}\n"


def _links(report: Report, links: Mapping[str, str]) -> Markup:
    due = report.due
    stem = f"{due.name}-{due.start.astimezone(charts.zone_of(report)):%Y%m%d}"
    parts = [
        tag("a", f"Download {label}", href=links[name], download=f"{stem}.{label.lower()}")
        if name in links
        else tag("span", f"{name} is beside this page")
        for name, label in LINKED.items()
    ]
    return tag("p", *parts, class_="links")


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


def _header(report: Report, names: Mapping[str, str], files: list[Markup]) -> Markup:
    chips = [tag("li", f"{label} ", tag("b", value)) for label, value in _facts(report, names)]
    span = period(report.due.start, report.due.end, charts.zone_of(report))
    return tag(
        "header",
        tag("h1", report.due.name),
        tag("p", span, class_="period"),
        tag("ul", *chips, class_="chips"),
        *files,
    )


def _facts(report: Report, names: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    due, zone = report.due, charts.zone_of(report)
    yield "time zone", due.timezone
    yield "as of", moment(report.as_of, zone)
    if report.previous is not None:
        yield "compared with", period(*report.previous.span, zone)
    if due.media_type:
        yield "media type", due.media_type
    if due.queue_ids:
        yield "queues", ", ".join(value_label(one, names) for one in due.queue_ids)
    yield from ((one.name, _condition(one, names)) for one in due.filters)


def _condition(one: Condition, names: Mapping[str, str]) -> str:
    sign = {"gt": "> ", "lt": "< ", "contains": "contains "}.get(one.operator, "")
    return sign + ", ".join(value_label(value, names) for value in one.values)


def _figures(report: Report, names: Mapping[str, str]) -> list[Markup]:
    times = f"by start, {report.due.timezone}"
    durations, efficiency = charts.durations, charts.efficiency
    return [
        _cards(report),
        _panel("Conversations over time", times, _drawn(charts.per_hour, report)),
        _panel(
            "Where the time went",
            "of all conversations",
            _share_legend(),
            _drawn(charts.shares, report),
        ),
        tag(
            "div",
            _panel(
                "Duration", "by group", _dots(), _drawn(durations, report, names, wide=charts.HALF)
            ),
            _panel(
                "Efficiency",
                "100 less half the hold share",
                _drawn(efficiency, report, names, wide=charts.HALF),
            ),
            class_="pair",
        ),
        _panel("All groups", _table_note(report), table(report, names)),
        _panel("What the figures mean", "", _definitions()),
    ]


def _drawn(chart: Callable[..., Markup], *of: object, wide: charts.Frame = charts.WIDE) -> Markup:
    """Draw twice: text that fits a screen is too small to read on a phone; one of the two shows."""
    return joined(
        tag("div", chart(*of, wide), class_="wide"),
        tag("div", chart(*of, charts.NARROW), class_="narrow"),
    )


def _table_note(report: Report) -> str:
    sorts = "a click on a heading sorts"
    return sorts if report.previous is None else f"{sorts}; the small figures are those before"


def _definitions() -> Markup:
    defined = [
        joined(tag("dt", HEADINGS[name]), tag("dd", text)) for name, text in DEFINITIONS.items()
    ]
    return tag("dl", *defined, class_="definitions")


def _cards(report: Report) -> Markup:
    return tag("dl", *(_card(report, name) for name in CARDS), class_="cards")


def _card(report: Report, name: str) -> Markup:
    notes = [_was(name, report.total, report.previous.total)] if report.previous else []
    return tag(
        "div",
        tag("dt", HEADINGS[name]),
        tag("dd", _text(name, report.total)),
        *(tag("dd", note, class_="note") for note in notes),
        class_="card",
        title=DEFINITIONS[name],
    )


def _was(name: str, figures: Figures, before: Figures) -> str:
    now, was = (getattr(one, name) for one in (figures, before))
    changed = CHANGES.get(name, change)(now, was)
    return f"before: {_text(name, before)}{changed and f' ({changed})'}"


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
    if report.previous is None:
        yield "No figures of the period before are known.", None
    if not report.total.is_exact:
        many = count(EXACT_VALUES)
        yield (
            f"Percentiles of more than {many} conversations are within 1 % of the exact ones.",
            None,
        )
    settled = report.due.end + CHANGES_FOR
    if report.as_of < settled:
        until = moment(settled, charts.zone_of(report))
        yield f"Figures may still change until {until} {report.due.timezone}.", None

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
from worker.jobs.reports.report import METRICS, Group, Report, interval_of

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
    ids = " ".join(figures.unique_wrapup_codes) or None
    return tag("td", content, class_="text codes", title=ids, data_value=text)


def html_page(report: Report, names: Mapping[str, str] | None = None) -> str:
    """Return the page. `names`: of queues, agents and others by id; an id without is shortened.

    Whole ids are one hover away from each name.
    """
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


STYLE = """
:root{color-scheme:light dark;
--page:#f5f6f8;--card:#fff;--ink:#171b26;--soft:#5c6475;--line:#e3e6ec;
--grid:#eceef2;--accent:#3157d5;--talk:#3157d5;--hold:#e08a1e;--rest:#c9cfdb;--good:#1f9d70;
--dot:#fff;--band:#b9c7f5}
@media (prefers-color-scheme:dark){:root{--page:#0f1219;--card:#181c26;--ink:#eef0f5;--soft:#9aa3b5;
--line:#2a3040;--grid:#232836;--accent:#7c9cff;--talk:#6a8dff;--hold:#f0a445;--rest:#454d60;
--good:#35c492;--dot:#181c26;--band:#34457f}}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);
font:15px/1.5 ui-sans-serif,system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,
sans-serif;
font-variant-numeric:tabular-nums}
main{max-width:1160px;margin:0 auto;padding:40px 24px 56px}
header{margin-bottom:28px}
h1{font-size:30px;line-height:1.2;letter-spacing:-.02em;margin:0 0 6px;overflow-wrap:anywhere}
h2{font-size:15px;font-weight:650;margin:0}
p{margin:0}
.period{font-size:17px;color:var(--soft)}
.chips{display:flex;flex-wrap:wrap;gap:8px;margin:14px 0 0;padding:0;list-style:none}
.chips li{background:var(--card);border:1px solid var(--line);border-radius:99px;padding:2px 12px;
font-size:13px;color:var(--soft);overflow-wrap:anywhere}
.chips b{color:var(--ink);font-weight:600}
.cards{display:grid;grid-template-columns:repeat(6,1fr);gap:14px;margin-bottom:14px}
.card,.panel{background:var(--card);border:1px solid var(--line);border-radius:14px}
.card{padding:16px 18px}
.card dt{font-size:13px;color:var(--soft)}
.card dd{margin:2px 0 0;font-size:26px;font-weight:650;letter-spacing:-.02em;line-height:1.25}
.card .note{margin:0;font-size:12.5px;font-weight:400;letter-spacing:0;color:var(--soft)}
.panel{padding:20px 22px;margin-bottom:14px;min-width:0}
.panel>.note{font-size:13px;color:var(--soft);margin-bottom:14px}
.pair{display:grid;grid-template-columns:1fr 1fr;gap:14px}
svg{display:block;width:100%;height:auto;overflow:visible}
svg text{fill:var(--soft);font-size:12px}
svg .name{fill:var(--ink);font-size:12.5px}
svg .value{fill:var(--ink);font-weight:600}
svg .inside{fill:#fff;font-weight:600}
.grid{stroke:var(--grid);stroke-width:1}
.axis{stroke:var(--line);stroke-width:1}
.bar{fill:var(--accent)}
.bar:hover,.mark:hover{opacity:.75}
.talk{fill:var(--talk)}.hold{fill:var(--hold)}.rest{fill:var(--rest)}.good{fill:var(--good)}
.track{fill:var(--grid)}
.band{stroke:var(--band);stroke-width:8;stroke-linecap:round}
.p50{fill:var(--accent)}.p90{fill:var(--hold)}.p99{fill:var(--dot);stroke:var(--soft);stroke-width:2}
.legend{display:flex;flex-wrap:wrap;gap:4px 16px;margin:4px 0 14px;padding:0;list-style:none;
font-size:13px;color:var(--soft)}
.legend svg{display:inline-block;width:10px;height:10px;margin-right:6px}
.scroll{overflow-x:auto;margin:14px -22px -20px;border-radius:0 0 14px 14px}
table{border-collapse:collapse;width:100%;font-size:14px}
th,td{padding:9px 10px;text-align:right;white-space:nowrap;border-top:1px solid var(--line)}
th:first-child,td:first-child{padding-left:22px}
th:last-child,td:last-child{padding-right:22px}
th{font-weight:500;color:var(--soft);padding-top:0;padding-bottom:0;vertical-align:bottom}
.text{text-align:left}
tbody tr:hover{background:var(--page)}
tfoot td{font-weight:650;border-top:2px solid var(--line)}
th button{all:unset;cursor:pointer;text-decoration:underline dotted var(--soft);
text-underline-offset:3px;padding:9px 0;white-space:normal}
th button:focus-visible{outline:2px solid var(--accent);border-radius:4px}
th[aria-sort=ascending] button::after{content:" \\2191"}
th[aria-sort=descending] button::after{content:" \\2193"}
th[aria-sort=ascending],th[aria-sort=descending]{color:var(--ink)}
.codes{white-space:normal;min-width:110px;max-width:300px;overflow-wrap:anywhere}
.codes summary{cursor:pointer;color:var(--accent)}
footer{margin-top:26px;font-size:13px;color:var(--soft)}
footer p+p{margin-top:4px}
.warn{color:var(--hold);font-weight:600}
.empty{padding:40px 0;text-align:center;color:var(--soft)}
@media (max-width:980px){.cards{grid-template-columns:repeat(3,1fr)}
.pair{grid-template-columns:1fr}}
@media (max-width:560px){main{padding:24px 14px}.cards{grid-template-columns:repeat(2,1fr)}
.panel{overflow-x:auto}.panel>svg{min-width:600px}}
@media print{:root{--page:#fff;--card:#fff;--ink:#000;--soft:#444;--line:#ccc;--grid:#e5e5e5;
--accent:#3157d5;--talk:#3157d5;--hold:#e08a1e;--rest:#c9cfdb;--good:#1f9d70;--dot:#fff;--band:#b9c7f5}
body{font-size:11px}main{max-width:none;padding:0}.card,.panel{break-inside:avoid}
.scroll{overflow:visible}th button::after{content:""}
*{-webkit-print-color-adjust:exact;print-color-adjust:exact}
th,td{padding:5px 7px}.card dd{font-size:19px}}
"""

SCRIPT = """
for (const table of document.querySelectorAll("table")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.firstElementChild.addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") !== "descending";
    const body = table.tBodies[0];
    const value = (row) => row.cells[column].dataset.value;
    const isNumber = !head.classList.contains("text");
    const compare = (a, b) => isNumber ? value(a) - value(b) : value(a).localeCompare(value(b));
    const rows = [...body.rows].sort((a, b) => down ? compare(b, a) : compare(a, b));
    for (const other of heads) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    body.append(...rows);
  }));
}
"""

"""The table of the report's page: one line per group, sortable, with a line for all."""

from collections.abc import Mapping
from decimal import Decimal

from worker.jobs.reports.labels import NOTHING, TITLES, clock, count, percent, value_label
from worker.jobs.reports.markup import Markup, tag
from worker.jobs.reports.report import METRICS, Group, Report
from worker.jobs.reports.totals import Figures

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
    heads = [_head(TITLES[name], is_text=True) for name in report.group_by]
    heads += [_head(title, is_text=index == _CODES) for index, title in enumerate(HEADINGS)]
    lines = [_line(group, names) for group in report.groups]
    whole = tag(
        "table", tag("thead", tag("tr", *heads)), tag("tbody", *lines), tag("tfoot", _total(report))
    )
    return tag("div", whole, class_="scroll")


def _head(title: str, *, is_text: bool) -> Markup:
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

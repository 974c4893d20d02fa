"""What PromQL expressions name, and panels' queries with their variables filled in. Pure."""  # noqa: INP001  a script's folder

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

STRING = re.compile(r'"[^"]*"')
LABELS = re.compile(r"\{[^}]*\}|\[[^\]]*\]|\b(?:by|on|without|ignoring|group_left)\s*\([^)]*\)")
NAME = re.compile(r"(?<![\w:])([a-zA-Z_:][\w:]*)(?!\s*\()(?![\w:])")
WORDS = {"and", "or", "unless", "offset", "bool", "by", "on", "without", "ignoring"}
FILLED = {
    "$__rate_interval": "3m",
    "$__range": "5m",
    "$namespace": ".*",
    "$job": ".*",
    "$instance": ".*",
}
"""The demo's run as the one interval, and every variable at All."""


@dataclass(frozen=True, slots=True)
class Query:
    """One query of a panel."""

    panel: str
    text: str
    unit: str


def metric_names(expression: str) -> set[str]:
    """Return the metrics an expression reads."""
    bare = LABELS.sub(" ", STRING.sub(" ", expression))
    return {name for name in NAME.findall(bare) if name not in WORDS and not name[0].isdigit()}


def panels_of(dashboard: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield every panel, those inside folded rows too."""
    for panel in dashboard["panels"]:
        yield panel
        yield from panel.get("panels", ())


def queries(dashboard: dict[str, Any], variables: Mapping[str, str] = FILLED) -> Iterator[Query]:
    """Yield every query of every panel, with values in the place of Grafana's variables."""
    for panel in panels_of(dashboard):
        unit = panel.get("fieldConfig", {}).get("defaults", {}).get("unit", "")
        for target in panel.get("targets", ()):
            yield Query(panel["title"], filled(target["expr"], variables), unit)


def annotations(dashboard: dict[str, Any]) -> Iterator[Query]:
    """Yield the query of each annotation; what it marks is true for a moment only."""
    for one in dashboard["annotations"]["list"]:
        yield Query(one["name"], filled(one["expr"], FILLED), "mark")


def filled(expression: str, variables: Mapping[str, str]) -> str:
    """Put values in the place of Grafana's variables."""
    for name, value in variables.items():
        expression = expression.replace(name, value)
    return expression


def without_fallback(expression: str) -> str | None:
    """Return the expression without its zero for an empty answer; None if it has none."""
    bare, fallback, _ = expression.partition(" or on() vector(0)")
    return bare if fallback else None


def fixed_ids(dashboard: dict[str, Any]) -> Iterator[str]:
    """Yield each data source that is not the variable, and an id of the dashboard itself."""
    if dashboard.get("id") is not None:
        yield f"id {dashboard['id']}"
    for one in dashboard["annotations"]["list"]:
        if one["datasource"]["uid"] != "${datasource}":
            yield f"{one['name']}: {one['datasource']}"
    for panel in panels_of(dashboard):
        for source in (
            panel.get("datasource"),
            *(t["datasource"] for t in panel.get("targets", ())),
        ):
            if source is not None and source["uid"] != "${datasource}":
                yield f"{panel['title']}: {source}"

#!/usr/bin/env python3
"""Makes what of the dashboard is made: a row for each job, runbook links, folding and places.

`dashboard.py --write` renews grafana/dashboards/worker.json; without it the dashboard is printed.
The jobs are those of ../jobs.json; with jobs of your own, and your runbook's address:

    worker jobs --json | RUNBOOK_BASE=https://…/ dashboard.py --jobs - > worker.json

All other panels are read from the file itself and left as they are: draw them in Grafana.
"""

import argparse
import json
import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
DASHBOARD = HERE / "grafana" / "dashboards" / "worker.json"
RULES = HERE / "rules.yml"
JOBS = HERE.parent / "jobs.json"

Panel = dict[str, Any]

OPEN = ("SLO", "Queue")
"""Rows that are not folded: what an engineer who was paged wants to see first."""

BEFORE_THE_JOBS = "Jobs"
"""The row with all jobs beside each other; behind it the rows of each."""

FIRST_MADE_ID = 1000
"""Panels from this id on are made here, so they go before new ones come."""

WIDTH, HEIGHT, ACROSS = 8, 8, 3
SOURCE = {"type": "prometheus", "uid": "${datasource}"}
SCRAPED = 'namespace=~"$namespace", job=~"$job", instance=~"$instance"'
RATE = "$__rate_interval"

ALERT = re.compile(r"- (?:alert|record): (\S+)\n +expr: \|\n((?: {10}.*\n)+)")
METRIC = re.compile(r"\b((?:worker|process)_\w+|worker:\w+:\w+|up\b)")
HISTOGRAM = re.compile(r"_(bucket|count|sum)$")
UP = "up"
SHOWN_FOR_UP = "worker_info"
"""No panel draws `up`; the one with the replicas shows what is missing."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the dashboard and the panels under it."""

    panel: Panel
    panels: list[Panel]

    @property
    def title(self) -> str:
        """Its title."""
        return str(self.panel["title"])


def made(dashboard: dict[str, Any], jobs: Sequence[dict[str, Any]], rules: str) -> dict[str, Any]:
    """Return the dashboard with a row for each job, and with links into the runbook."""
    rows = [row for row in _rows(dashboard["panels"]) if row.panel["id"] < FIRST_MADE_ID]
    alerts = _metrics_of_alerts(rules)
    for row in rows:
        for panel in row.panels:
            _link(panel, alerts)
    where = [row.title for row in rows].index(BEFORE_THE_JOBS) + 1
    rows[where:where] = [_row_of(job, number) for number, job in enumerate(jobs)]
    return {**dashboard, "panels": list(_placed(rows))}


def _rows(panels: Sequence[Panel]) -> Iterator[Row]:
    """Yield the rows, whether their panels are in them, as folded ones have them, or behind."""
    row: Row | None = None
    for panel in panels:
        if panel["type"] != "row":
            if row is None:
                raise ValueError(f"«{panel['title']}» is in no row")
            row.panels.append(panel)
            continue
        if row is not None:
            yield row
        row = Row(panel, list(panel["panels"]))
    if row is not None:
        yield row


# ── runbook ────────────────────────────────────────────────────────────────────────────────────


def _metrics_of_alerts(rules: str) -> dict[str, set[str]]:
    """Return the metrics that each alert reads, by itself or by a recorded ratio."""
    read = {name: set(_metrics(expression)) for name, expression in ALERT.findall(rules)}
    recorded = {name: metrics for name, metrics in read.items() if ":" in name}
    alerts = {}
    for name in read.keys() - recorded.keys():
        ratios = read[name] & recorded.keys()
        alerts[name] = read[name].union(*(recorded[ratio] for ratio in ratios))
    return {name: alerts[name] for name in read if name in alerts}


def _metrics(expression: str) -> Iterator[str]:
    for name in METRIC.findall(expression):
        yield SHOWN_FOR_UP if name == UP else HISTOGRAM.sub("", name)


def _link(panel: Panel, alerts: dict[str, set[str]]) -> None:
    """Link a panel to the runbook's section of each alert that reads a metric it draws."""
    drawn = {name for target in panel.get("targets", ()) for name in _metrics(target["expr"])}
    links = [_link_to(name) for name, metrics in alerts.items() if metrics & drawn]
    panel.pop("links", None)
    if links:
        panel["links"] = links


def _link_to(alert: str) -> dict[str, Any]:
    url = f"${{runbook:raw}}deploy/README.md#{alert.lower()}"
    switches = {"asDropdown": False, "includeVars": False, "keepTime": False, "targetBlank": True}
    shown = {"type": "link", "icon": "doc", "title": f"Runbook: {alert}", "tooltip": "", "tags": []}
    return {**shown, "url": url, **switches}


def with_base(dashboard: dict[str, Any], base: str) -> dict[str, Any]:
    """Return the dashboard with the address where this repository can be read."""
    value = {"text": base, "value": base}
    variables = [
        {
            **one,
            "query": base,
            "current": {"selected": True, **value},
            "options": [{"selected": True, **value}],
        }
        if one["name"] == "runbook"
        else one
        for one in dashboard["templating"]["list"]
    ]
    return {**dashboard, "templating": {"list": variables}}


# ── jobs ───────────────────────────────────────────────────────────────────────────────────────


def _row_of(job: dict[str, Any], number: int) -> Row:
    first = FIRST_MADE_ID + 10 * number
    panels = [*_runs(job["name"]), *_upstreams(_upstreams_of(job))]
    for offset, panel in enumerate(panels, 1):
        panel["id"] = first + offset
    title = f"Job {job['name']}: {job['summary']}"
    return Row({"id": first, "type": "row", "title": title}, panels)


def _upstreams_of(job: dict[str, Any]) -> list[str]:
    """Return what a job calls, by the names of the metrics: a webhook's is its setting's."""
    hooks = [setting.removesuffix("_URL").lower() for setting in job["webhooks"]]
    return list(dict.fromkeys([*job["needs"], *job["may_miss"], *hooks]))


def _runs(job: str) -> Iterator[Panel]:
    mine = f'{SCRAPED}, handler="{job}"'
    runs = f"rate(worker_messages_processed_total{{{mine}}}[{RATE}])"
    yield _lines(
        "Runs",
        "Runs a second, by outcome.",
        "ops",
        [(f"sum by (outcome) ({runs})", "{{outcome}}")],
        stacked=True,
    )
    yield _lines(
        "Duration",
        "One run.",
        "s",
        [_quantile(q, f"worker_message_duration_seconds_bucket{{{mine}}}") for q in (0.5, 0.95)],
    )
    yield _lines(
        "Age of events when done",
        "From the event's own time, so with Genesys's and EventBridge's share.",
        "s",
        [_quantile(q, f"worker_event_age_seconds_bucket{{{mine}}}") for q in (0.5, 0.9)],
    )


def _upstreams(names: Sequence[str]) -> Iterator[Panel]:
    """Yield what its upstreams do, for all callers: jobs share them."""
    if not names:
        return
    calls = f'{SCRAPED}, dependency=~"{"|".join(names)}"'
    yield _lines(
        "Calls of its upstreams",
        "Calls a second of all jobs that share them, by result.",
        "ops",
        [(_rate_by("dependency, result", "worker_dependency_requests_total", calls), _BOTH)],
    )
    buckets = f"worker_dependency_duration_seconds_bucket{{{calls}}}"
    yield _lines(
        "Duration of its upstreams",
        "One call, of all jobs that share them.",
        "s",
        [_quantile(0.95, buckets, "dependency")],
    )
    yield _lines(
        "Breakers of its upstreams",
        "0 closed, 1 half-open, 2 open; the worst of all replicas.",
        "none",
        [(f"max by (dependency) (worker_breaker_state{{{calls}}})", "{{dependency}}")],
    )


_BOTH = "{{dependency}}: {{result}}"


def _rate_by(labels: str, metric: str, selected: str) -> str:
    return f"sum by ({labels}) (rate({metric}{{{selected}}}[{RATE}]))"


def _quantile(q: float, buckets: str, label: str = "") -> tuple[str, str]:
    by = f"le, {label}" if label else "le"
    shown = f"{{{{{label}}}}} " if label else ""
    expression = f"histogram_quantile({q}, sum by ({by}) (rate({buckets}[{RATE}])))"
    return expression, f"{shown}p{100 * q:.0f}"


def _lines(
    title: str,
    description: str,
    unit: str,
    queries: Sequence[tuple[str, str]],
    *,
    stacked: bool = False,
) -> Panel:
    """Return a panel of lines, in the form of those that were drawn in Grafana."""
    stacking = {"mode": "normal" if stacked else "none", "group": "A"}
    custom = {
        "drawStyle": "line",
        "lineWidth": 1,
        "fillOpacity": 20 if stacked else 8,
        "showPoints": "never",
        "spanNulls": False,
        "stacking": stacking,
    }
    legend = {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []}
    return {
        "id": 0,
        "type": "timeseries",
        "title": title,
        "description": description,
        "datasource": SOURCE,
        "fieldConfig": {"defaults": {"unit": unit, "min": 0, "custom": custom}, "overrides": []},
        "options": {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}},
        "targets": [
            _target(chr(ord("A") + number), *query) for number, query in enumerate(queries)
        ],
    }


def _target(ref: str, expression: str, legend: str) -> dict[str, Any]:
    return {
        "refId": ref,
        "datasource": SOURCE,
        "editorMode": "code",
        "expr": expression,
        "legendFormat": legend,
        "range": True,
        "instant": False,
    }


# ── places ─────────────────────────────────────────────────────────────────────────────────────


def _placed(rows: Sequence[Row]) -> Iterator[Panel]:
    """Yield the panels with their places; those of a folded row are inside it."""
    y = 0
    for row in rows:
        folded = row.title not in OPEN
        _place(row.panels, y + 1)
        place = {"h": 1, "w": 24, "x": 0, "y": y}
        inside = row.panels if folded else []
        yield {**row.panel, "collapsed": folded, "gridPos": place, "panels": inside}
        if folded:
            y += 1
        else:
            yield from row.panels
            y = _bottom(row.panels)


def _place(panels: Sequence[Panel], y: int) -> None:
    """Move panels of a row to where it is; those without a place stand three abreast."""
    top = min((one["gridPos"]["y"] for one in panels if "gridPos" in one), default=0)
    for number, one in enumerate(panels):
        down, across = divmod(number, ACROSS)
        place = {"h": HEIGHT, "w": WIDTH, "x": across * WIDTH, "y": top + down * HEIGHT}
        place = one.get("gridPos", place)
        one["gridPos"] = {**place, "y": place["y"] - top + y}


def _bottom(panels: Sequence[Panel]) -> int:
    return max(int(one["gridPos"]["y"]) + int(one["gridPos"]["h"]) for one in panels)


def main() -> None:
    """Print the dashboard, or write it where it came from."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--jobs", default=str(JOBS), help="what `worker jobs --json` prints; or -")
    options.add_argument("--write", action="store_true", help="renew the file; default: print")
    given = options.parse_args()
    jobs = sys.stdin.read() if given.jobs == "-" else Path(given.jobs).read_text()
    drawn = json.loads(DASHBOARD.read_text())
    dashboard = made(drawn, json.loads(jobs)["jobs"], RULES.read_text())
    if base := os.environ.get("RUNBOOK_BASE"):
        dashboard = with_base(dashboard, base)
    text = json.dumps(dashboard, indent=2, ensure_ascii=False) + "\n"
    if given.write:
        DASHBOARD.write_text(text)
    else:
        sys.stdout.write(text)


if __name__ == "__main__":
    main()

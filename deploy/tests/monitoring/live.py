"""The demo's worker under a real Prometheus: `live.py DEPLOY SCRATCH`.

Every metric that an alert or a panel reads is in /metrics, and every panel's query answers.
"""  # noqa: INP001  a script's folder

import asyncio
import json
import math
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlsplit

from expressions import annotations, fixed_ids, metric_names, queries, without_fallback
from prometheus import Prometheus, prometheus
from prometheus_client.parser import text_string_to_metric_families
from rich.console import Console
from tally import Tally, say

from worker.demo.environment import make_fixtures, open_environment
from worker.demo.process import WorkerProcess
from worker.demo.scenario import Scenario, jobs_of

EVENTS, SEED = 150, 1
SAMPLED_SECONDS = 45
"""The worker samples the depth of its queues every 30 s."""

MOST_SERIES = 1200
"""Five handlers, a dozen upstreams, histograms of sixteen: what a process may cost Prometheus."""

FOREIGN = {"up"}
"""Metrics of Prometheus itself."""

EXPECTED_ALERTS = {"WorkerDeadLetters", "WorkerDeadLettersGrowing"}
"""The demo dead-letters messages on purpose; nothing else may fire."""

SHOWABLE = re.compile(r"worker_(?!.*_created$)")
SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "info": ("_info",)}


@dataclass(frozen=True, slots=True)
class Given:
    """What is checked."""

    rules: Path
    dashboard: dict[str, Any]
    runbook: set[str]
    """Alerts that have a section in README."""


def main(deploy: Path, scratch: Path) -> int:
    """Run the demo under Prometheus, and query; 0 if all passed."""
    tally = Tally()
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(parents=True)
    headings = re.findall(r"^### (Worker\w+)$", (deploy / "README.md").read_text(), re.MULTILINE)
    given = Given(
        rules=(deploy / "monitoring/rules.yml").resolve(),
        dashboard=json.loads((deploy / "monitoring/grafana/dashboards/worker.json").read_text()),
        runbook=set(headings),
    )
    asyncio.run(_run_scenario(tally, given, scratch))
    return tally.end()


async def _run_scenario(tally: Tally, given: Given, scratch: Path) -> None:
    jobs = jobs_of(EVENTS, SEED)
    async with open_environment() as emulators:
        await make_fixtures(emulators)
        for job in jobs:
            job.prepare(emulators)
        async with WorkerProcess(emulators.variables(), scratch / "worker.log") as worker:
            target = urlsplit(worker.url).netloc
            async with prometheus(scratch, target, given.rules) as server:
                scenario = Scenario(emulators, worker, Random(SEED))  # noqa: S311  reproducible traffic
                sent = await scenario.run(jobs, Console())
                tally.that("the demo is through", ["unsettled"] if sent.unsettled() else [])
                await server.until("worker_dlq_messages > 0", SAMPLED_SECONDS)
                page = await worker.page("/metrics")
                _check_lint(tally, page)
                await _check_names(tally, server, given.dashboard, _names(page))
                await _check_panels(tally, server, given.dashboard)
                _check_rules(tally, await server.rules(), given.runbook)
                await _check_stop(tally, server, scenario)


def _check_lint(tally: Tally, page: str) -> None:
    linted = subprocess.run(
        ["promtool", "check", "metrics"],  # noqa: S607  Debian's, by the path
        input=page,
        capture_output=True,
        text=True,
        check=False,
    )
    series = sum(len(family.samples) for family in text_string_to_metric_families(page))
    tally.that(
        f"{series} series of one process, at most {MOST_SERIES}",
        ["too many"] * (series > MOST_SERIES),
    )
    tally.that("promtool check metrics", linted.stdout.splitlines() + linted.stderr.splitlines())


async def _check_names(
    tally: Tally, server: Prometheus, dashboard: dict[str, Any], there: set[str]
) -> None:
    """Compare what rules and panels read with what the worker shows."""
    rules = await server.rules()
    read = {name for rule in rules for name in metric_names(rule["query"])}
    recorded = {rule["name"] for rule in rules if rule["type"] == "recording"}
    tally.that(f"{len(read)} metrics of the rules are there", read - there - recorded - FOREIGN)
    asked = [*queries(dashboard), *annotations(dashboard)]
    shown = {name for query in asked for name in metric_names(query.text)}
    tally.that(f"{len(shown)} metrics of the dashboard are there", shown - there - FOREIGN)
    unseen = {_family(name) for name in there} - {_family(name) for name in shown}
    say(f"not on the dashboard: {sorted(n for n in unseen if SHOWABLE.match(n))}")
    tally.refused("a metric that is not there", metric_names("rate(worker_x{a='b'}[5m])") - there)
    tally.that("no data source is fixed", fixed_ids(dashboard))
    tally.that("units are set", (q.panel for q in queries(dashboard) if not q.unit))
    for name in ("job", "instance"):
        values = await server.label_values(name, "worker_info")
        tally.that(f"${name} offers {values}", [] if values else ["nothing"])


async def _check_panels(tally: Tally, server: Prometheus, dashboard: dict[str, Any]) -> None:
    """Run every query; a zero in place of an empty answer is reported."""
    series, zeros = 0, []
    for query in queries(dashboard):
        samples = await server.query(query.text)
        series += len(samples)
        numbers = [s for s in samples if not math.isnan(float(s["value"][1]))]
        tally.that(
            f"panel «{query.panel}» answers with {len(samples)}", [query.text] * (not numbers)
        )
        bare = without_fallback(query.text)
        if bare and not await server.query(bare):
            zeros.append(query.panel)
    for query in annotations(dashboard):
        marks = await server.query(f"count_over_time(({query.text})[10m:1s])")
        tally.that(f"annotation «{query.panel}» has marked the start", [query.text] * (not marks))
    say(f"{series} series; zero as nothing of the kind happened yet: {zeros}")
    nothing = await server.query("worker_no_such_metric")
    tally.refused("a query of nothing", ["empty"] * (not nothing))


def _check_rules(tally: Tally, rules: list[dict[str, Any]], runbook: set[str]) -> None:
    tally.that(
        f"{len(rules)} rules are evaluated",
        (f"{rule['name']}: {rule.get('lastError')}" for rule in rules if rule["health"] != "ok"),
    )
    alerts = [rule for rule in rules if rule["type"] == "alerting"]
    firing = {rule["name"] for rule in alerts if rule["state"] == "firing"}
    tally.that(f"only what should fires: {sorted(firing)}", firing - EXPECTED_ALERTS)
    for alert in alerts:
        anchor = alert["annotations"]["runbook_url"].partition("#")[2]
        found = alert["name"] in runbook and anchor == alert["name"].lower()
        tally.that(f"{alert['name']} has its section in the runbook", [] if found else [anchor])
    tally.that("no section is left over", runbook - {alert["name"] for alert in alerts})


async def _check_stop(tally: Tally, server: Prometheus, scenario: Scenario) -> None:
    """End the worker; its going must be seen."""
    tally.that("the worker exits with 0", [] if await scenario.stop() == 0 else ["exit code"])
    await server.until("up == 0", 30)
    seen = await server.query("max_over_time(worker_drain_messages[1m])")
    dispositions = {sample["metric"]["disposition"]: sample["value"][1] for sample in seen}
    say(f"worker_drain_messages as scraped each second: {dispositions or 'never seen'}")
    tally.that("a worker that is gone is down", [] if await server.query("up == 0") else ["up"])


def _names(page: str) -> set[str]:
    """Return the names of all series, also of metrics whose labels have no values yet."""
    names = set()
    for family in text_string_to_metric_families(page):
        names |= {sample.name for sample in family.samples}
        names |= {family.name + suffix for suffix in SUFFIXES.get(family.type, ("",))}
    return names


def _family(name: str) -> str:
    return re.sub(r"_(bucket|sum|count)$", "", name)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))

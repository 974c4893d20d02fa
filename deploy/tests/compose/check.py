"""Checks the demo that docker-compose.yml has started: `check.py DEPLOY`, where its ports are.

What a person would see: everything is asked through Grafana, at the addresses the file publishes.
"""  # noqa: INP001  a script

import asyncio
import json
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from expressions import FILLED, Query, panels_of, queries
from prometheus import Prometheus, until_ready
from tally import Tally

GRAFANA = "http://127.0.0.1:3000"
PROMETHEUS = "http://127.0.0.1:9090"
WORKER = "http://127.0.0.1:9464"
DASHBOARD, SOURCE = "genesys-event-worker", "prometheus"
"""Their uids, in the dashboard and in the data source's provisioning."""

SHOWN = FILLED | {"$__rate_interval": "20s", "$__range": "1h"}
"""As Grafana fills them: four scrapes, and the hour the dashboard opens with."""

JOB_SECONDS = 180
"""Longest wait for a job: its first event may be the last of a cycle of the demo's traffic."""

RARE = 'handler="reports"'
"""No report may be due while we look, and a quantile of nothing is no number."""

SEEN_SECONDS = 75
"""Longest wait for a picture: a worker samples its queues every 30 s, then come two scrapes."""

EXPECTED_ALERTS = {"WorkerDeadLetters", "WorkerDeadLettersGrowing"}
"""The demo dead-letters messages on purpose; nothing else may fire."""

ACCEPT = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
"""What Prometheus 3 asks for, which takes no reply of another type than these."""


def main(deploy: Path) -> int:
    """Check each part; 0 if all passed."""
    tally = Tally()
    model = json.loads((deploy / "monitoring/grafana/dashboards/worker.json").read_text())
    groups = yaml.safe_load((deploy / "monitoring/rules.yml").read_text())["groups"]
    rules = {rule.get("alert") or rule["record"] for group in groups for rule in group["rules"]}
    jobs = [job["name"] for job in json.loads((deploy / "jobs.json").read_text())["jobs"]]
    try:
        asyncio.run(_check(tally, model, rules, jobs))
    except (aiohttp.ClientError, TimeoutError) as error:
        tally.that("everything answers", [repr(error)])
    return tally.end()


async def _check(
    tally: Tally, dashboard: dict[str, Any], rules: set[str], jobs: Sequence[str]
) -> None:
    async with aiohttp.ClientSession() as http:
        shown = Prometheus(f"{GRAFANA}/api/datasources/proxy/uid/{SOURCE}", http)
        for page in (f"{WORKER}/readyz", f"{PROMETHEUS}/-/ready", f"{GRAFANA}/api/health"):
            await until_ready(http, page)
        await _check_worker(tally, http)
        await _check_grafana(tally, http, dashboard)
        await _check_traffic(tally, shown, jobs)
        await _check_panels(tally, shown, dashboard)
        await _check_rules(tally, Prometheus(PROMETHEUS, http), rules)


async def _check_worker(tally: Tally, http: aiohttp.ClientSession) -> None:
    for page in ("/livez", "/readyz", "/status"):
        async with http.get(WORKER + page) as reply:
            tally.that(f"the worker's {page} answers", [str(reply.status)] * (reply.status != 200))
    async with http.get(f"{WORKER}/metrics", headers={"Accept": ACCEPT}) as reply:
        kind = reply.headers["Content-Type"].replace(" ", "")
    offered = [accepted.partition(";q=")[0] for accepted in ACCEPT.split(",")[:-1]]
    known = any(set(wanted.split(";")) <= set(kind.split(";")) for wanted in offered)
    tally.that(f"Prometheus 3 would take {kind}", [] if known else offered)


async def _check_grafana(
    tally: Tally, http: aiohttp.ClientSession, dashboard: dict[str, Any]
) -> None:
    health = await _json(http, "/api/health")
    tally.that(f"Grafana ({health['version']}) is healthy", [health["database"]] * _bad(health))
    found = {entry["uid"] for entry in await _json(http, "/api/search?type=dash-db")}
    tally.that("one dashboard is provisioned", found ^ {DASHBOARD})
    served = (await _json(http, f"/api/dashboards/uid/{DASHBOARD}"))["dashboard"]
    same = [panel["title"] for panel in served["panels"]] == [
        p["title"] for p in dashboard["panels"]
    ]
    tally.that("it has our panels", [] if same else ["others"])


async def _json(http: aiohttp.ClientSession, page: str) -> Any:
    async with http.get(GRAFANA + page) as reply:
        return await reply.json()


def _bad(health: dict[str, str]) -> bool:
    return health["database"] != "ok"


async def _check_traffic(tally: Tally, shown: Prometheus, jobs: Sequence[str]) -> None:
    """Wait for messages being done at the rate they are sent with, by every job."""
    done = 'worker_messages_processed_total{{handler="{}",outcome=~"ok|degraded"}} > 0'
    tally.that("the target is up", await _never(shown, 'up{job="genesys-event-worker"} == 1'))
    for job in jobs:
        tally.that(f"{job} has done some", await _never(shown, done.format(job), JOB_SECONDS))
    rate = "sum(rate(worker_messages_acked_total[20s])) > 1"
    tally.that("messages are done at a rate", await _never(shown, rate))


async def _check_panels(tally: Tally, shown: Prometheus, dashboard: dict[str, Any]) -> None:
    """Wait until every query of every panel answers with a number."""
    everything = [query for query in queries(dashboard, SHOWN) if RARE not in query.text]
    dark = everything
    loop = asyncio.get_running_loop()
    end = loop.time() + SEEN_SECONDS
    while dark and loop.time() < end:
        dark = [query for query in dark if not await _numbers(shown, query)]
        await asyncio.sleep(1 if dark else 0)
    panels = [panel for panel in panels_of(dashboard) if panel.get("targets")]
    tally.that(
        f"{len(everything)} queries of {len(panels)} panels answer",
        (f"«{query.panel}»: {query.text}" for query in dark),
    )
    none = Query("", "worker_no_such_metric", "")
    tally.refused("a query of nothing", [] if await _numbers(shown, none) else ["empty"])


async def _numbers(shown: Prometheus, query: Query) -> bool:
    samples = await shown.query(query.text)
    return any(not math.isnan(float(sample["value"][1])) for sample in samples)


async def _check_rules(tally: Tally, server: Prometheus, written: set[str]) -> None:
    await _never(server, "worker:message_age:late_ratio_rate5m")  # the first evaluation
    rules = await server.rules()
    tally.that(f"{len(written)} rules are loaded", written ^ {rule["name"] for rule in rules})
    tally.that("and evaluated", (rule["name"] for rule in rules if rule["health"] != "ok"))
    firing = {rule["name"] for rule in rules if rule.get("state") == "firing"}
    tally.that(f"only what should fires: {sorted(firing)}", firing - EXPECTED_ALERTS)


async def _never(server: Prometheus, expression: str, seconds: float = SEEN_SECONDS) -> list[str]:
    """Return the expression when it does not come true in time."""
    try:
        await server.until(expression, seconds)
    except TimeoutError:
        return [expression]
    return []


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))

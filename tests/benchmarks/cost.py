"""What a million events cost, job by job, and from how many on a task is cheaper than Lambda.

python -m tests.benchmarks.cost            print deploy/COST.md
python -m tests.benchmarks.cost --write    write it, from the counts and prices that are there
python -m tests.benchmarks.cost --count    count the calls anew before, some minutes
"""

import argparse
import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from tests.benchmarks.cost_counting import count_all

DEPLOY = Path(__file__).parents[2] / "deploy"
PAGE = DEPLOY / "COST.md"
PRICES_FILE = DEPLOY / "prices.json"
COUNTS_FILE = DEPLOY / "counted-calls.json"
TEMPLATE = Path(__file__).with_name("cost_page.txt")
STATE_MACHINE = DEPLOY / "state-machine" / "enrich_conversation.asl.json"

MILLION = 1_000_000
HOURS = 730
"""Of a month, as AWS's calculator has it."""

MONTH_SECONDS = HOURS * 3600
TASK_VCPU, TASK_GB = 0.25, 0.5
LAMBDA_GB = 0.5
LATENCIES = (0.05, 0.1, 0.3)
"""Seconds that an upstream outside AWS takes to answer: an assumption, nothing is counted here."""

AWS_SECONDS = 0.01
LAMBDA_IDLE_POLLS = 5 * 3 / 60
"""Receives a second of Lambda's five pollers on an empty queue, 20 s each."""

EXPRESS_GB, EXPRESS_SECONDS = 64 / 1024, 5
"""Memory and duration of an EXPRESS execution: an assumption."""

LIMIT_PER_MINUTE = 300
"""Requests that Genesys grants one OAuth client; files of transcripts are not Genesys' own."""

ALONE = {"details_by_id": 1.0}
"""Requests that the worker makes for up to 100 events at once: a function has one event."""

PER_PROCESS = {"token", "flow", "queues", "wrapup_codes"}
"""Asked once and kept, by a function as by the worker."""

NOT_COMPARED = {"reports"}
"""Some a day: what they cost is no question, and the longest outlast a function."""

Counts = dict[str, float]


class Prices:
    """The table of prices, in dollars."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.date, self.region = document["date"], document["region"]
        self.entries = document["prices"]

    def of(self, name: str, amount: float) -> float:
        """Return what so much costs."""
        entry = self.entries[name]
        return float(entry["dollars"]) * amount / float(entry["per"])


def transitions(machine: dict[str, Any]) -> int:
    """Return the states that an execution passes when all steps are wanted and nothing fails."""
    passed, name = 0, machine["StartAt"]
    while name:
        state = machine["States"][name]
        passed += 1 + sum(transitions(branch) for branch in state.get("Branches", ()))
        chosen = state["Choices"][0]["Next"] if state["Type"] == "Choice" else None
        name = chosen or state.get("Next")
    return passed


def dollars_of(counts: Counts, prices: Prices, states: int) -> dict[str, float]:
    """Return the dollars of a million events, by service, SQS apart."""
    each = {name: number * MILLION for name, number in counts.items()}
    writes = sum(each.get(name, 0) for name in ("s3:PUT", "s3:POST"))
    reads = sum(each.get(name, 0) for name in ("s3:GET", "s3:HEAD"))
    return {
        "DynamoDB": prices.of("dynamodb_write", each.get("dynamodb:write_units", 0))
        + prices.of("dynamodb_read", each.get("dynamodb:read_units", 0)),
        "Step Functions": prices.of(
            "states_standard", each.get("states:StartExecution", 0) * states
        ),
        "EventBridge": prices.of("events", each.get("events:entries", 0)),
        "S3": prices.of("s3_put", writes) + prices.of("s3_get", reads),
        "logs": prices.of("logs", each["log:bytes"]),
    }


def express_dollars(counts: Counts, prices: Prices) -> float:
    """Return what Step Functions costs for a million events with an EXPRESS state machine."""
    started = counts["states:StartExecution"] * MILLION
    hours = started * EXPRESS_GB * EXPRESS_SECONDS / 3600
    return prices.of("states_express", started) + prices.of("states_express_hour", hours)


def sqs_calls(counts: Counts) -> float:
    """Return the calls of SQS for an event of a backlog."""
    return sum(number for name, number in counts.items() if name.startswith("sqs:"))


class Comparison:
    """One job by a task that always runs, and by a function of Lambda."""

    def __init__(self, counts: Counts, prices: Prices, rates: dict[float, float]) -> None:
        self._counts, self._prices = counts, prices
        self._rates = sorted(rates.items())

    def fixed(self) -> float:
        """Return the dollars of a month for one task, idle or not."""
        hour = self._prices.of("fargate_vcpu", TASK_VCPU) + self._prices.of("fargate_gb", TASK_GB)
        return HOURS * (hour + self._prices.of("ipv4", 1))

    def task(self, events: float, tasks: int = 1) -> float:
        """Return the dollars of a month with so many events: tasks and SQS."""
        calls = self._calls_a_second(events / MONTH_SECONDS) * MONTH_SECONDS
        return tasks * self.fixed() + self._prices.of("sqs", calls)

    def function(self, events: float, latency: float) -> float:
        """Return the same for a function: invocations, their seconds, and SQS."""
        seconds = events * self.seconds(latency)
        calls = LAMBDA_IDLE_POLLS * MONTH_SECONDS + 2 * events
        return (
            self._prices.of("lambda", events)
            + self._prices.of("lambda_second", LAMBDA_GB * seconds)
            + self._prices.of("sqs", calls)
        )

    def seconds(self, latency: float) -> float:
        """Return how long a function is billed for an event: one call after another."""
        return self.calls_outside() * latency + self.calls_to_aws() * AWS_SECONDS

    def calls_outside(self) -> float:
        """Return the requests to Genesys, CRM and webhooks that a function makes for an event."""
        found = 0.0
        for name, number in self._counts.items():
            service, _, what = name.partition(":")
            if service in {"genesys", "http"} and what not in PER_PROCESS:
                found += ALONE.get(what, number)
        return found

    def calls_to_aws(self) -> float:
        """Return the calls of AWS but for SQS's that a function makes for an event."""
        units = {"dynamodb:read_units", "dynamodb:write_units", "events:entries"}
        services = ("dynamodb:", "states:", "events:", "s3:")
        return sum(
            number
            for name, number in self._counts.items()
            if name.startswith(services) and name not in units
        )

    def break_even(self, latency: float, tasks: int = 1) -> float:
        """Return the events of a month from which on tasks are cheaper; infinite if never."""
        low, high = 0.0, 1e10
        if self.task(high, tasks) > self.function(high, latency):
            return float("inf")
        while high - low > 1000:
            middle = (low + high) / 2
            cheaper = self.task(middle, tasks) <= self.function(middle, latency)
            low, high = (low, middle) if cheaper else (middle, high)
        return high

    def _calls_a_second(self, rate: float) -> float:
        """Between what was counted, on straight lines; beyond it, as at the highest rate."""
        for (left, less), (right, more) in zip(self._rates, self._rates[1:], strict=False):
            if rate <= right:
                return less + (more - less) * (rate - left) / (right - left)
        highest, calls = self._rates[-1]
        return calls * rate / highest


def page(prices: Prices, counted: dict[str, Any], machine: dict[str, Any]) -> str:
    """Return deploy/COST.md."""
    states = transitions(machine)
    rates = {float(rate): calls for rate, calls in counted["sqs_calls_a_second"].items()}
    return TEMPLATE.read_text().format(
        date=prices.date,
        region=prices.region,
        states=states,
        jobs=_jobs_table(prices, counted["jobs"], states),
        sqs=_sqs_table(prices, rates, counted["jobs"]["voice"]["plain"]),
        calls=_calls_table(counted["jobs"]),
        comparison=_comparison_table(prices, counted["jobs"], rates),
        fixed=f"{Comparison({}, prices, rates).fixed():.2f}",
        address=f"{prices.of('ipv4', HOURS):.2f}",
        prices=_prices_table(prices),
        express=f"{EXPRESS_GB * 1024:.0f} MB for {EXPRESS_SECONDS} s",
        latencies=", ".join(f"{latency * 1000:.0f}" for latency in LATENCIES),
    )


def _table(heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _money(dollars: float) -> str:
    if dollars == 0:
        return ""
    return f"{dollars:,.0f}" if dollars >= 100 else f"{dollars:.2f}"


def _jobs_table(prices: Prices, jobs: dict[str, Any], states: int) -> str:
    services = ["DynamoDB", "Step Functions", "EventBridge", "S3", "logs"]
    rows = []
    for job, counts in jobs.items():
        plain = counts["plain"]
        found = dollars_of(plain, prices, states)
        again = dollars_of(counts["idempotent"], prices, states)
        sqs = prices.of("sqs", sqs_calls(plain) * MILLION)
        more = again["DynamoDB"] - found["DynamoDB"]
        variants = {job: found}
        if plain.get("states:StartExecution"):
            variants = {f"{job}, STANDARD": found}
            express = {"Step Functions": express_dollars(plain, prices)}
            variants[f"{job}, EXPRESS"] = found | express
        for name, bill in variants.items():
            whole = sqs + sum(bill.values())
            cells = [sqs, *(bill[service] for service in services), whole, more]
            rows.append([f"`{job}`{name.removeprefix(job)}", *map(_money, cells)])
    return _table(["a million events of", "SQS", *services, "**all**", "idempotency"], rows)


def _sqs_table(prices: Prices, rates: dict[float, float], voice: Counts) -> str:
    rows = [["none", f"{rates[0.0]:.2f}", "", _money(prices.of("sqs", rates[0.0] * MONTH_SECONDS))]]
    for rate, calls in sorted(rates.items()):
        if rate:
            million, month = calls / rate * MILLION, calls * MONTH_SECONDS
            cells = [f"{rate:g} a second, one by one", f"{calls:.2f}"]
            rows.append(
                [*cells, _money(prices.of("sqs", million)), _money(prices.of("sqs", month))]
            )
    backlog = prices.of("sqs", sqs_calls(voice) * MILLION)
    rows.append(["a backlog", "", _money(backlog), ""])
    return _table(["events", "calls a second", "$ a million events", "$ a month"], rows)


def _calls_table(jobs: dict[str, Any]) -> str:
    rows = []
    for job, counts in jobs.items():
        calls = ", ".join(
            f"{name} {number:.3g}"
            for name, number in counts["plain"].items()
            if name not in {"events", "log:bytes"} and not name.startswith("sqs:")
        )
        rows.append([f"`{job}`", f"{counts['plain']['events']:.0f}", calls])
    return _table(["job", "events", "calls an event"], rows)


def _comparison_table(prices: Prices, jobs: dict[str, Any], rates: dict[float, float]) -> str:
    rows = []
    for job, counts in jobs.items():
        if job in NOT_COMPARED:
            continue
        one = Comparison(counts["plain"], prices, rates)
        million = [
            one.function(MILLION, latency) - one.function(0, latency) for latency in LATENCIES
        ]
        even = [
            one.break_even(latency, tasks) / MILLION for tasks in (1, 2) for latency in LATENCIES
        ]
        outside = f"{one.calls_outside():.2g} + {one.calls_to_aws():.2g}"
        cells = [outside, _fed(counts["plain"]), _list(million, ".2f")]
        rows.append([f"`{job}`", *cells, _list(even[:3]), _list(even[3:])])
    heads = ["job", "calls outside + AWS", "budget feeds", "Lambda, $ a million"]
    return _table([*heads, "one task from", "two tasks from"], rows)


def _fed(counts: Counts) -> str:
    """Return the millions of events of a month that Genesys' limit is enough for."""
    requests = sum(
        number
        for name, number in counts.items()
        if name.startswith("genesys:") and name != "genesys:transcript_file"
    )
    return f"{LIMIT_PER_MINUTE * HOURS * 60 / requests / MILLION:.1f}" if requests else "any"


def _list(values: list[float], form: str = ".1f") -> str:
    return " / ".join(format(value, form) for value in values)


def _prices_table(prices: Prices) -> str:
    rows = [
        [entry["unit"], _exact(entry["dollars"]), entry["source"], entry["seen"]]
        for entry in prices.entries.values()
    ]
    return _table(["per", "$", "AWS's page", "checked against"], rows)


def _exact(number: float) -> str:
    return f"{number:.10f}".rstrip("0").rstrip(".")


def main() -> int:
    """Do what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--count", action="store_true")
    asked = parser.parse_args()
    if asked.count:
        COUNTS_FILE.write_text(json.dumps(_rounded(asyncio.run(count_all())), indent=1) + "\n")
    text = current_page()
    if asked.write or asked.count:
        PAGE.write_text(text)
    else:
        sys.stdout.write(text)
    return 0


def current_page() -> str:
    """Return the page of the counts and prices that are there."""
    prices, counted, machine = (
        json.loads(file.read_text()) for file in (PRICES_FILE, COUNTS_FILE, STATE_MACHINE)
    )
    return page(Prices(prices), counted, machine)


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    return round(value, 4)


if __name__ == "__main__":
    sys.exit(main())

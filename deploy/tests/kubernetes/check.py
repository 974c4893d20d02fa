"""Checks the rendered manifests, and that each check can fail."""  # noqa: INP001  a script's folder

import argparse
import copy
import dataclasses
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import chart
import facts
import faults
import scaling
import yaml
from schemas import VERSIONS, Schemas
from tally import Tally, say

DEPLOY = Path(__file__).parents[2]
SETTINGS_READER = Path(__file__).with_name("read_settings.py")


def main() -> int:
    """Run all checks; 0 if all passed."""
    parser = argparse.ArgumentParser()
    for option in ("--rendered", "--base", "--crds", "--worker"):
        parser.add_argument(option, type=Path, required=True)
    given = parser.parse_args()
    tally, schemas = Tally(), Schemas(given.crds)
    rendered = {file.stem: _read(file) for file in sorted(given.rendered.glob("*.yaml"))}
    secret = rendered["secret"].items[0]["stringData"]
    charted = chart.Chart()
    from_chart = chart.all_overlays(charted)
    for kind, source in schemas.sources.items():
        say(f"schema of {kind}: {source}")
    for name, overlay in (rendered | from_chart).items():
        _check_overlay(tally, schemas, name, overlay)
        _check_settings(tally, given.worker, name, overlay, secret)
    _check_refused(tally, schemas, rendered["pod-identity"])
    for overlay in (rendered["two-queues"], from_chart["chart two-queues"]):
        _check_schedule(tally, given.worker, overlay)
    chart.check(tally, charted, rendered | {"base": _read(given.base)})
    _check_scaling(tally, rendered["pod-identity"])
    say("NOT RUN: admission and KEDA's own scaling: no API server can be had here")
    return tally.end()


def _read(file: Path) -> facts.Overlay:
    return facts.Overlay(list(yaml.safe_load_all(file.read_text())))


def _check_overlay(tally: Tally, schemas: Schemas, name: str, overlay: facts.Overlay) -> None:
    problems = [problem for item in overlay.items for problem in schemas.problems(item)]
    versions = " and ".join(VERSIONS)
    tally.that(f"{name}: {len(overlay.items)} objects fit their schemas ({versions})", problems)
    if overlay.all("Deployment"):
        for fact in facts.FACTS:
            tally.that(f"{name}: {fact.__name__.replace('_', ' ')}", fact(overlay))


def _check_settings(
    tally: Tally, worker: Path, name: str, overlay: facts.Overlay, secret: dict[str, str]
) -> None:
    """Let the worker itself read what the pod would get."""
    for deployment in overlay.all("Deployment"):
        environment = overlay.environment(deployment) | secret
        done = subprocess.run(  # noqa: S603  our own interpreter and file
            [worker, SETTINGS_READER],
            input=json.dumps(environment),
            capture_output=True,
            text=True,
            check=False,
        )
        tally.that(
            f"{name}: the worker takes the settings of {deployment['metadata']['name']}"
            f" ({done.stdout.strip()})",
            done.stderr.splitlines() if done.returncode else (),
        )


def _check_refused(tally: Tally, schemas: Schemas, overlay: facts.Overlay) -> None:
    for name, kind, change in faults.BAD_SCHEMAS:
        broken = _broken(overlay, kind, change)
        tally.refused(name, (p for item in broken.items for p in schemas.problems(item)))
    for name, kind, change in faults.BAD_FACTS:
        broken = _broken(overlay, kind, change)
        tally.refused(name, (p for fact in facts.FACTS for p in fact(broken)))


def _check_schedule(tally: Tally, worker: Path, overlay: facts.Overlay) -> None:
    """Let the CronJob's own script make its event, and the worker read that."""
    (schedule,) = overlay.all("CronJob")
    event = _sent_by(schedule)
    command = (worker, "-m", "worker", "inspect", "--json", "-")
    done = subprocess.run(command, input=event, capture_output=True, text=True, check=False)  # noqa: S603  our own interpreter
    tally.that("the worker reads what the CronJob sends", done.stderr.splitlines())
    for part in ('"ReportDue"', '"genesys-report-daily-1"', "reports/daily/"):
        tally.that(f"it is {part}", () if part in done.stdout else [done.stdout])
    for name, kind, change in faults.BAD_SCHEDULES:
        broken = _broken(overlay, kind, change)
        tally.refused(name, (p for fact in facts.FACTS for p in fact(broken)))


def _sent_by(schedule: facts.Item) -> str:
    with tempfile.TemporaryDirectory() as folder:
        stub = Path(folder) / "worker"
        stub.write_text("#!/bin/sh\nexec cat\n")
        stub.chmod(0o700)
        report = facts.variable(schedule, "REPORT")
        environment = {"RUN": "genesys-report-daily-1", "REPORT": report}
        return subprocess.check_output(  # noqa: S603  our own script
            facts.script_of(schedule),
            env={**environment, "PATH": f"{folder}:/usr/bin:/bin"},
            text=True,
        )


def _broken(overlay: facts.Overlay, kind: str, change: faults.Change) -> facts.Overlay:
    broken = facts.Overlay(copy.deepcopy(overlay.items))
    for item in broken.all(kind):
        change(item)
    return broken


def _check_scaling(tally: Tally, overlay: facts.Overlay) -> None:
    """KEDA's formula on our numbers; no cluster is to be had, so this is arithmetic."""
    (scaled,) = overlay.all("ScaledObject")
    policy = scaling.policy_of(scaled)
    (deployment,) = overlay.all("Deployment")
    settings = overlay.environment(deployment)
    fleet = float(settings["GENESYS_FLEET_REQUESTS_PER_MINUTE"])
    per_pod = min(float(settings["GENESYS_REQUESTS_PER_MINUTE"]), fleet / policy.most) / 60
    length, most = policy.queue_length, policy.most
    for visible, in_flight, pods, right in (
        (0, 0, 1, policy.least),
        (length, 0, 1, 1),
        (length * 2, length, 1, 3),
        (0, length * 2, 2, 2),
        (10**6, 64, most, most),
    ):
        found = policy.wanted(visible, in_flight, pods)
        tally.that(
            f"KEDA: {visible} waiting and {in_flight} in flight on {pods} want {right}",
            () if found == right else [f"wants {found}"],
        )
    counted = scaling.counted_by_terraform((DEPLOY / "terraform/scaling.tf").read_text())
    tally.equal("KEDA and Terraform count the same messages", counted, policy.counts)
    _check_runs(tally, policy, per_pod)
    _check_invisible_backlog(tally, policy, per_pod)
    _check_budget(tally, policy, fleet)


def _check_runs(tally: Tally, policy: scaling.Policy, per_pod: float) -> None:
    hold, hour = 64, 3600
    burst = scaling.simulate(
        policy, lambda second: 600.0 * (second == 60), per_pod=per_pod, hold=hold, seconds=hour
    )
    done = max(second for second, left in enumerate(burst.backlog) if left) - 60
    say(f"600 at once: {done} s, sizes {sorted(set(burst.sizes))}")
    ends = {max(burst.sizes): policy.most, burst.sizes[-1]: policy.least}
    tally.that(
        "KEDA: a burst takes all pods, is worked off, and gives them back",
        [f"{found} pods, not {right}" for found, right in ends.items() if found != right],
    )
    rate = per_pod * policy.most * 0.7
    steady = scaling.simulate(policy, lambda _: rate, per_pod=per_pod, hold=hold, seconds=hour)
    wait = max(steady.backlog[-600:]) / rate
    say(f"{rate:.1f} a second: waits up to {wait:.0f} s with {steady.sizes[-1]} pods")
    target = policy.queue_length / per_pod * (1 + scaling.TOLERANCE) + policy.poll_seconds
    tally.that(
        "KEDA: a steady load waits no longer than was aimed at", [f"{wait}"] * (wait > target)
    )


def _check_invisible_backlog(tally: Tally, policy: scaling.Policy, per_pod: float) -> None:
    """See it: a worker defers what is beyond its Genesys budget, 600 messages within seconds."""
    without = dataclasses.replace(policy, counts=scaling.VISIBLE)

    def blind(one: scaling.Policy) -> list[str]:
        run = scaling.simulate(
            one, lambda second: 600.0 * (second == 60), per_pod=per_pod, hold=600, seconds=3600
        )
        return ["it takes no pod more"] * (max(run.sizes) == policy.least)

    tally.that(
        "KEDA: a backlog that waits, invisible, for the budget takes more pods", blind(policy)
    )
    tally.refused("scaleOnInFlight false, with a backlog that waits, invisible", blind(without))
    tally.refused(
        "scaleOnInFlight false, with two pods busy and nothing waiting",
        ["a busy pod is taken away"] * (without.wanted(0, policy.queue_length * 2, 2) < 2),
    )


def _check_budget(tally: Tally, policy: scaling.Policy, fleet: float) -> None:
    """See it: 5,000 messages that need a call each are done no faster by more replicas."""
    without = dataclasses.replace(policy, formula=scaling.BACKLOG_ALONE)

    def largest(one: scaling.Policy, useful: int) -> int:
        run = scaling.simulate(
            one,
            lambda second: 5000.0 * (second == 60),
            per_pod=fleet / 60 / policy.most,
            hold=64,
            seconds=900,
            useful=useful,
        )
        return max(run.sizes)

    for useful, right in ((2, 2), (7, 7), (1000, policy.most), (0, policy.most)):
        found = largest(policy, useful)
        tally.equal(f"KEDA: of 5,000 messages and {useful or 'no'} useful pods", found, right)
    problems = ["it takes more"] * (largest(without, 2) > 2)
    tally.refused("5,000 messages without the budget's formula", problems)


if __name__ == "__main__":
    sys.exit(main())

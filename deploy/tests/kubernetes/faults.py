"""Faults put into a right overlay, to see that the checks find them."""  # noqa: INP001  a script's folder

from collections.abc import Callable
from typing import Any

Item = dict[str, Any]
Change = Callable[[Item], object]
Fault = tuple[str, str, Change]
"""What is wrong, in objects of which kind, and how it is brought about."""


def _pod(workload: Item) -> Item:
    spec = workload["spec"]
    pod: Item = spec.get("jobTemplate", workload)["spec"]["template"]["spec"]
    return pod


def _container(deployment: Item) -> Item:
    container: Item = _pod(deployment)["containers"][0]
    return container


def _let_out(policy: Item) -> None:
    for rule in policy["spec"]["egress"]:
        for target in rule["to"]:
            target.get("ipBlock", {}).pop("except", None)


def _select_nothing(monitor: Item) -> None:
    monitor["spec"]["selector"]["matchLabels"] = {"app.kubernetes.io/instance": "nothing"}


def _ask_for_all_pods(scaled: Item) -> None:
    scaled["spec"]["triggers"][1]["metadata"]["query"] = "max(worker_replicas_useful)"


def _name_no_queue(schedule: Item) -> None:
    _container(schedule)["envFrom"] = []


BAD_SCHEMAS: tuple[Fault, ...] = (
    ("a number as text", "Deployment", lambda d: d["spec"].update(minReadySeconds="5")),
    ("a misspelt field", "Deployment", lambda d: _pod(d).update(terminationGraceSeconds=90)),
    ("a wrong API version", "PodDisruptionBudget", lambda b: b.update(apiVersion="policy/v9")),
    ("a misspelt field of KEDA's", "ScaledObject", lambda s: s["spec"].update(maxReplicas=4)),
    (
        "a removed identity provider",
        "TriggerAuthentication",
        lambda a: a["spec"]["podIdentity"].update(provider="aws-kiam"),
    ),
    ("a misspelt PodMonitor", "PodMonitor", lambda m: m["spec"].update(podMetricEndpoints=[])),
)

BAD_SCHEDULES: tuple[Fault, ...] = (
    ("a schedule in another time zone", "CronJob", lambda c: c["spec"].update(timeZone="Etc/UTC")),
    ("a schedule that sends elsewhere", "CronJob", _name_no_queue),
    ("a root that sends", "CronJob", lambda c: _pod(c)["securityContext"].update(runAsUser=0)),
)

BAD_FACTS: tuple[Fault, ...] = (
    ("root", "Deployment", lambda d: _pod(d)["securityContext"].update(runAsUser=0)),
    ("service links", "Deployment", lambda d: _pod(d).pop("enableServiceLinks")),
    ("capabilities", "Deployment", lambda d: _container(d)["securityContext"].pop("capabilities")),
    ("endless scratch space", "Deployment", lambda d: _pod(d)["volumes"][0].update(emptyDir={})),
    ("a CPU limit", "Deployment", lambda d: _container(d)["resources"]["limits"].update(cpu="1")),
    (
        "liveness that asks dependencies",
        "Deployment",
        lambda d: _container(d)["livenessProbe"]["httpGet"].update(path="/readyz"),
    ),
    (
        "a start that waits for dependencies",
        "Deployment",
        lambda d: _container(d)["startupProbe"]["httpGet"].update(path="/readyz"),
    ),
    ("a short grace", "Deployment", lambda d: _pod(d).update(terminationGracePeriodSeconds=89)),
    ("minAvailable", "PodDisruptionBudget", lambda b: b["spec"].update(minAvailable=1)),
    ("a monitor that finds no pod", "PodMonitor", _select_nothing),
    ("a way to the metadata address", "NetworkPolicy", _let_out),
    (
        "pods that share no budget",
        "ConfigMap",
        lambda c: c["data"].pop("GENESYS_FLEET_REQUESTS_PER_MINUTE", None),
    ),
    (
        "more than the client's limit",
        "ConfigMap",
        lambda c: c["data"].update(GENESYS_FLEET_REQUESTS_PER_MINUTE="301"),
    ),
    ("a Deployment that fights KEDA", "Deployment", lambda d: d["spec"].update(replicas=2)),
    (
        "another region",
        "ScaledObject",
        lambda s: s["spec"]["triggers"][0]["metadata"].update(awsRegion="us-east-1"),
    ),
    ("a budget of all pods in Prometheus", "ScaledObject", _ask_for_all_pods),
    (
        "a queueLength that the formula does not know",
        "ScaledObject",
        lambda s: s["spec"]["triggers"][0]["metadata"].update(queueLength="20"),
    ),
    (
        "a trigger without the name in the formula",
        "ScaledObject",
        lambda s: s["spec"]["triggers"][1].pop("name"),
    ),
)

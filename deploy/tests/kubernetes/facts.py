"""What must hold of a rendered overlay and no schema knows. Pure: objects in, problems out."""  # noqa: INP001  a script's folder

import json
import math
from collections.abc import Callable, Iterator
from typing import Any

PLATFORM_PER_MINUTE = 300
"""Requests a minute that Genesys grants one OAuth client."""

MARGIN_SECONDS = 10
SCRATCH = "/tmp"  # noqa: S108  the pod's

Item = dict[str, Any]


class Overlay:
    """The objects of one overlay, by kind."""

    def __init__(self, items: list[Item]) -> None:
        self.items = items

    def all(self, kind: str) -> list[Item]:
        """Return the objects of a kind."""
        return [item for item in self.items if item["kind"] == kind]

    def environment(self, deployment: Item) -> dict[str, str]:
        """Return what the worker's container gets of ConfigMaps."""
        wanted = [
            source["configMapRef"]["name"]
            for source in _container(deployment)["envFrom"]
            if "configMapRef" in source
        ]
        maps = {item["metadata"]["name"]: item["data"] for item in self.all("ConfigMap")}
        return {key: value for name in wanted for key, value in maps.get(name, {}).items()}


def pod_is_confined(overlay: Overlay) -> Iterator[str]:
    """Non-root, read-only, no capability, no token, no service links."""
    for deployment in _workloads(overlay):
        pod, container = _pod(deployment), _container(deployment)
        wanted: list[tuple[str, Any, Any]] = [
            ("runAsUser", pod["securityContext"].get("runAsUser"), 10001),
            ("runAsNonRoot", pod["securityContext"].get("runAsNonRoot"), True),
            (
                "seccompProfile",
                pod["securityContext"].get("seccompProfile"),
                {"type": "RuntimeDefault"},
            ),
            ("automountServiceAccountToken", pod.get("automountServiceAccountToken"), False),
            ("enableServiceLinks", pod.get("enableServiceLinks"), False),
        ]
        inner = container["securityContext"]
        wanted += [
            ("allowPrivilegeEscalation", inner.get("allowPrivilegeEscalation"), False),
            ("readOnlyRootFilesystem", inner.get("readOnlyRootFilesystem"), True),
            ("capabilities", inner.get("capabilities"), {"drop": ["ALL"]}),
        ]
        yield from (f"{name} is {found}" for name, found, right in wanted if found != right)


def scratch_space_is_sized(overlay: Overlay) -> Iterator[str]:
    """Have scratch space, and an end of it."""
    for deployment in _workloads(overlay):
        mounts = [
            mount["mountPath"]
            for mount in _container(deployment)["volumeMounts"]
            if not mount.get("readOnly")
        ]
        volumes = _pod(deployment)["volumes"]
        if mounts != [SCRATCH] or "sizeLimit" not in volumes[0].get("emptyDir", {}):
            yield "the scratch space has no limit"


def memory_is_reserved_and_cpu_is_not_capped(overlay: Overlay) -> Iterator[str]:
    """Memory request = limit; no CPU limit."""
    for deployment in _workloads(overlay):
        resources = _container(deployment)["resources"]
        if resources["requests"]["memory"] != resources["limits"]["memory"]:
            yield "memory request and limit differ"
        if "cpu" in resources["limits"]:
            yield "the CPU is limited"


def probes_ask_the_right_pages(overlay: Overlay) -> Iterator[str]:
    """Startup and liveness ask /livez, readiness asks /readyz; all at the port of the metrics."""
    pages = {"startupProbe": "/livez", "readinessProbe": "/readyz", "livenessProbe": "/livez"}
    for deployment in overlay.all("Deployment"):
        container = _container(deployment)
        for probe, page in pages.items():
            if container[probe]["httpGet"] != {"path": page, "port": "metrics"}:
                yield f"{probe} asks {container[probe]['httpGet']}"
        if container["ports"] != [{"name": "metrics", "containerPort": 9464, "protocol": "TCP"}]:
            yield f"ports are {container['ports']}"


def grace_covers_the_drain(overlay: Overlay) -> Iterator[str]:
    """Grace is at least the poll's wait, the drain, and something to spare."""
    for deployment in overlay.all("Deployment"):
        settings = overlay.environment(deployment)
        wait, drain = float(settings["SQS_WAIT_SECONDS"]), float(settings["SQS_DRAIN_SECONDS"])
        grace = _pod(deployment)["terminationGracePeriodSeconds"]
        if grace < wait + drain + MARGIN_SECONDS:
            yield f"{grace} s of grace for {wait:.0f} + {drain:.0f} + {MARGIN_SECONDS} s"


def rollouts_and_drains_keep_it_running(overlay: Overlay) -> Iterator[str]:
    """Rollouts add before they take; a budget that never blocks the drain of a node; spread."""
    for deployment in overlay.all("Deployment"):
        if deployment["spec"]["strategy"]["rollingUpdate"] != {
            "maxSurge": "25%",
            "maxUnavailable": 0,
        }:
            yield "the rollout takes pods before it adds them"
        if not _pod(deployment)["topologySpreadConstraints"]:
            yield "pods are not spread"
    for budget in overlay.all("PodDisruptionBudget"):
        if budget["spec"].get("maxUnavailable") != 1 or "minAvailable" in budget["spec"]:
            yield "the disruption budget is not maxUnavailable 1"


def selectors_find_just_their_pods(overlay: Overlay) -> Iterator[str]:
    """Every selector matches the pods of exactly one Deployment or CronJob."""
    templates = [_template(one)["metadata"]["labels"] for one in _workloads(overlay)]
    for kind, path in _SELECTORS.items():
        for item in overlay.all(kind):
            wanted = path(item["spec"])
            found = [pod for pod in templates if wanted.items() <= pod.items()]
            if len(found) != 1:
                yield f"{kind} {item['metadata']['name']} selects {len(found)} workloads"


def hpa_finds_its_target(overlay: Overlay) -> Iterator[str]:
    """Its Deployment is there, and leaves its size to it."""
    deployments = {d["metadata"]["name"]: d for d in overlay.all("Deployment")}
    for scaler in overlay.all("HorizontalPodAutoscaler"):
        deployment = deployments.get(scaler["spec"]["scaleTargetRef"]["name"])
        if deployment is None or "replicas" in deployment["spec"]:
            yield "scaleTargetRef names no Deployment that leaves its size to it"


def network_is_closed(overlay: Overlay) -> Iterator[str]:
    """In: monitoring to 9464, or nothing. Out: DNS and 443, never the instance's metadata."""
    policies = overlay.all("NetworkPolicy")
    if len(policies) != len(_workloads(overlay)):
        yield f"{len(policies)} network policies"
    for policy in policies:
        spec = policy["spec"]
        if spec["policyTypes"] != ["Ingress", "Egress"]:
            yield "not both ways are closed"
        open_ports = [port["port"] for rule in spec["ingress"] for port in rule["ports"]]
        if open_ports not in ([9464], []):
            yield "more than 9464 is open"
        for rule in spec["egress"]:
            yield from _reaches_metadata(rule)


def budget_holds_at_the_largest_size(overlay: Overlay) -> Iterator[str]:
    """Hold what pods share, or else what each may use with those of a rollout, to the limit."""
    total, shared = 0.0, 0.0
    for deployment in overlay.all("Deployment"):
        settings = overlay.environment(deployment)
        if fleet := settings.get("GENESYS_FLEET_REQUESTS_PER_MINUTE"):
            shared = max(shared, float(fleet))
            continue
        share = float(settings.get("GENESYS_REQUESTS_PER_MINUTE", "240"))
        pods = most_pods(overlay, deployment)
        total += share * (pods + math.ceil(pods * 0.25))
    if total + shared > PLATFORM_PER_MINUTE:
        yield f"up to {total + shared:.0f} requests a minute"


def keda_finds_its_target(overlay: Overlay) -> Iterator[str]:
    """Names resolve, the region is the worker's, and the Deployment leaves its size to KEDA."""
    deployments = {d["metadata"]["name"]: d for d in overlay.all("Deployment")}
    authentications = {a["metadata"]["name"] for a in overlay.all("TriggerAuthentication")}
    for scaled in overlay.all("ScaledObject"):
        deployment = deployments.get(scaled["spec"]["scaleTargetRef"]["name"])
        if deployment is None:
            yield "scaleTargetRef names no Deployment"
            continue
        if "replicas" in deployment["spec"]:
            yield "the Deployment has replicas of its own"
        settings = overlay.environment(deployment)
        for trigger in _triggers(scaled, "aws-sqs-queue"):
            if trigger["authenticationRef"]["name"] not in authentications:
                yield "authenticationRef names nothing"
            if trigger["metadata"]["awsRegion"] != settings.get("AWS_REGION"):
                yield "KEDA asks another region"
            if trigger["metadata"]["queueURLFromEnv"] not in settings:
                yield "queueURLFromEnv names no setting"


def keda_asks_for_the_pods_of_its_own_deployment(overlay: Overlay) -> Iterator[str]:
    """Ask Prometheus for the series of these pods, as the PodMonitor labels them."""
    deployments = {d["metadata"]["name"]: d for d in overlay.all("Deployment")}
    for scaled in overlay.all("ScaledObject"):
        deployment = deployments.get(scaled["spec"]["scaleTargetRef"]["name"], {})
        labels = deployment.get("spec", {}).get("selector", {}).get("matchLabels", {})
        instance = labels.get("app.kubernetes.io/instance")
        namespace = scaled["metadata"].get("namespace")
        series = f'worker_replicas_useful{{namespace="{namespace}",job="{instance}"}}'
        for trigger in _triggers(scaled, "prometheus"):
            if trigger["metadata"]["query"] != f"max({series})":
                yield f"asks {trigger['metadata']['query']}, not for {series}"


def keda_scales_by_the_backlog_and_no_further_than_the_budget_feeds(
    overlay: Overlay,
) -> Iterator[str]:
    """Name the triggers as the formula does, and count in it as the queue's trigger does."""
    for scaled in overlay.all("ScaledObject"):
        modifiers = scaled["spec"]["advanced"].get("scalingModifiers")
        if modifiers is None:
            continue
        length = _triggers(scaled, "aws-sqs-queue")[0]["metadata"]["queueLength"]
        fed = f"useful * {length}"
        right = f"useful > 0 && {fed} < backlog ? {fed} : backlog"
        if (modifiers["formula"], modifiers["target"]) != (right, length):
            yield f"the formula is {modifiers['formula']}, of {modifiers['target']} a pod"
        if [one.get("name") for one in scaled["spec"]["triggers"]] != ["backlog", "useful"]:
            yield "the triggers are not called what the formula calls them"


def schedules_and_their_reports_have_one_time_zone(overlay: Overlay) -> Iterator[str]:
    """Start a report by the clock of its own days."""
    for schedule in overlay.all("CronJob"):
        zone = json.loads(variable(schedule, "REPORT"))["timezone"]
        if schedule["spec"].get("timeZone") != zone:
            yield f"the schedule is in {schedule['spec'].get('timeZone')}, the report in {zone}"


def schedules_send_to_a_queue_that_a_worker_reads(overlay: Overlay) -> Iterator[str]:
    """Send to the queue of a Deployment."""
    read = {overlay.environment(one).get("SQS_QUEUE_URL") for one in overlay.all("Deployment")}
    for schedule in overlay.all("CronJob"):
        if (queue := overlay.environment(schedule).get("SQS_QUEUE_URL")) not in read:
            yield f"no worker reads {queue}"


def _triggers(scaled: Item, kind: str) -> list[Item]:
    return [one for one in scaled["spec"]["triggers"] if one["type"] == kind]


def variable(schedule: Item, name: str) -> str:
    """Return a variable of its own, not of a ConfigMap."""
    found = {one["name"]: one.get("value", "") for one in _container(schedule)["env"]}
    return str(found[name])


def script_of(schedule: Item) -> list[str]:
    """Return what its container runs."""
    container = _container(schedule)
    return [*container["command"], *container["args"]]


def most_pods(overlay: Overlay, deployment: Item) -> int:
    """Return how many pods there may be, rollouts apart."""
    for scaled in overlay.all("ScaledObject"):
        if scaled["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]:
            return int(scaled["spec"]["maxReplicaCount"])
    for scaled in overlay.all("HorizontalPodAutoscaler"):
        if scaled["spec"]["scaleTargetRef"]["name"] == deployment["metadata"]["name"]:
            return int(scaled["spec"]["maxReplicas"])
    return int(deployment["spec"]["replicas"])


def _reaches_metadata(rule: Item) -> Iterator[str]:
    for target in rule["to"]:
        block = target.get("ipBlock")
        if block is None or not block["cidr"].endswith("/0"):
            continue
        if not {"169.254.0.0/16", "fd00:ec2::/32"} & set(block.get("except", [])):
            yield f"the metadata address is within {block['cidr']}"


def _workloads(overlay: Overlay) -> list[Item]:
    return [*overlay.all("Deployment"), *overlay.all("CronJob")]


def _template(workload: Item) -> Item:
    spec = workload["spec"]
    template: Item = (
        spec["jobTemplate"]["spec"]["template"] if "jobTemplate" in spec else spec["template"]
    )
    return template


def _pod(workload: Item) -> Item:
    spec: Item = _template(workload)["spec"]
    return spec


def _container(deployment: Item) -> Item:
    (container,) = _pod(deployment)["containers"]
    return dict(container)


_SELECTORS: dict[str, Callable[[Item], dict[str, str]]] = {
    "Deployment": lambda spec: dict(spec["selector"]["matchLabels"]),
    "PodDisruptionBudget": lambda spec: dict(spec["selector"]["matchLabels"]),
    "PodMonitor": lambda spec: dict(spec["selector"]["matchLabels"]),
    "ServiceMonitor": lambda spec: dict(spec["selector"]["matchLabels"]),
    "Service": lambda spec: dict(spec["selector"]),
    "NetworkPolicy": lambda spec: dict(spec["podSelector"]["matchLabels"]),
}

FACTS: tuple[Callable[[Overlay], Iterator[str]], ...] = (
    pod_is_confined,
    scratch_space_is_sized,
    memory_is_reserved_and_cpu_is_not_capped,
    probes_ask_the_right_pages,
    grace_covers_the_drain,
    rollouts_and_drains_keep_it_running,
    selectors_find_just_their_pods,
    hpa_finds_its_target,
    network_is_closed,
    budget_holds_at_the_largest_size,
    keda_finds_its_target,
    keda_asks_for_the_pods_of_its_own_deployment,
    keda_scales_by_the_backlog_and_no_further_than_the_budget_feeds,
    schedules_and_their_reports_have_one_time_zone,
    schedules_send_to_a_queue_that_a_worker_reads,
)

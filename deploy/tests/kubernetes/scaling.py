"""KEDA's arithmetic for a queue, and a queue worked off under it. Pure, second by second."""  # noqa: INP001  a script's folder

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

VISIBLE = frozenset({"visible"})
METRICS = {
    "ApproximateNumberOfMessagesVisible": "visible",
    "ApproximateNumberOfMessagesNotVisible": "in flight",
    "ApproximateNumberOfMessagesDelayed": "delayed",
}
"""What CloudWatch calls the messages of a queue."""

COUNTED = {"in flight": "scaleOnInFlight", "delayed": "scaleOnDelayed"}
"""Which option of the trigger counts them besides."""

TOLERANCE = 0.1
"""The HPA leaves the size alone while the metric is that near to its target."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What a ScaledObject with one SQS trigger says."""

    queue_length: int
    least: int
    most: int
    counts: frozenset[str]
    """Which messages are backlog: visible, in flight, delayed."""

    poll_seconds: int = 15
    down_window_seconds: int = 300

    def wanted(self, visible: int, in_flight: int, pods: int) -> int:
        """Return the number of pods the HPA asks for, before windows and step limits."""
        messages = visible + (in_flight if "in flight" in self.counts else 0)
        if pods and abs(messages / (pods * self.queue_length) - 1) <= TOLERANCE:
            return pods
        return min(self.most, max(self.least, math.ceil(messages / self.queue_length)))


@dataclass(slots=True)
class Run:
    """What became of the queue."""

    sizes: list[int] = field(default_factory=list)
    backlog: list[float] = field(default_factory=list)


def policy_of(scaled: dict[str, Any]) -> Policy:
    """Read the policy of a ScaledObject."""
    spec, trigger = scaled["spec"], scaled["spec"]["triggers"][0]["metadata"]
    behavior = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    return Policy(
        queue_length=int(trigger["queueLength"]),
        least=spec["minReplicaCount"],
        most=spec["maxReplicaCount"],
        counts=VISIBLE | {name for name, option in COUNTED.items() if trigger[option] == "true"},
        poll_seconds=spec["pollingInterval"],
        down_window_seconds=behavior["scaleDown"]["stabilizationWindowSeconds"],
    )


def counted_by_terraform(scaling: str) -> frozenset[str]:
    """Read from the text of the module's scaling which messages of the queue it counts."""
    named = re.findall(r'metric_name\s*=\s*"(\w+)"', scaling)
    return frozenset(METRICS[name] for name in named if name in METRICS)


def simulate(
    policy: Policy, arrivals: Callable[[int], float], *, per_pod: float, hold: int, seconds: int
) -> Run:
    """Drain a queue: `per_pod` messages a second and pod, at most `hold` in flight per pod."""
    run, waiting, pods = Run(), 0.0, policy.least
    wishes: list[int] = []
    for second in range(seconds):
        waiting = max(0.0, waiting + arrivals(second) - pods * per_pod)
        if second % policy.poll_seconds == 0:
            in_flight = min(waiting, pods * hold)
            wishes.append(
                policy.wanted(math.floor(waiting - in_flight), math.floor(in_flight), pods)
            )
            pods = _sized(policy, pods, wishes)
        run.sizes.append(pods)
        run.backlog.append(waiting)
    return run


def _sized(policy: Policy, pods: int, wishes: list[int]) -> int:
    """Up at once, at most twofold; down to the window's largest wish, a quarter at a time."""
    if wishes[-1] > pods:
        return min(wishes[-1], pods * 2)
    target = max(wishes[-max(1, policy.down_window_seconds // policy.poll_seconds) :])
    return pods if target >= pods else max(target, pods - max(1, pods // 4))

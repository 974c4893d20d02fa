"""The scalers' arithmetic for a queue, and a queue worked off under it. Pure, second by second."""  # noqa: INP001  a script's folder

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


BACKLOG_ALONE = "backlog"
"""The formula without one."""


def computed(formula: str, **values: float) -> float:
    """Compute a formula of KEDA's, or of CloudWatch's metric math.

    Of the languages, what both files use: arithmetic, comparisons, `&&`, `? :`; IF, AND, FILL.
    """
    text = re.sub(r"(.+?) \? (.+?) : (.+)", r"(\2) if (\1) else (\3)", formula)
    text = text.replace("&&", "and").replace("AND", "and")
    functions = {
        "IF": lambda condition, one, other: one if condition else other,
        "FILL": lambda value, else_: else_ if value is None else value,
    }
    found = eval(text, {"__builtins__": {}}, functions | values)  # noqa: S307  our own files
    return float(found)


@dataclass(frozen=True, slots=True)
class Policy:
    """What a ScaledObject with an SQS trigger says, and one for the budget if it has that."""

    queue_length: int
    least: int
    most: int
    counts: frozenset[str]
    """Which messages are backlog: visible, in flight, delayed."""

    poll_seconds: int = 15
    down_window_seconds: int = 300
    formula: str = BACKLOG_ALONE

    def wanted(self, visible: int, in_flight: int, pods: int, useful: int = 0) -> int:
        """Return the number of pods the HPA asks for, before windows and step limits."""
        backlog = visible + (in_flight if "in flight" in self.counts else 0)
        messages = computed(self.formula, backlog=backlog, useful=useful)
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
    modifiers = spec["advanced"].get("scalingModifiers", {})
    behavior = spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
    return Policy(
        queue_length=int(trigger["queueLength"]),
        least=spec["minReplicaCount"],
        most=spec["maxReplicaCount"],
        counts=VISIBLE | {name for name, option in COUNTED.items() if trigger[option] == "true"},
        poll_seconds=spec["pollingInterval"],
        down_window_seconds=behavior["scaleDown"]["stabilizationWindowSeconds"],
        formula=modifiers.get("formula", BACKLOG_ALONE),
    )


def counted_by_terraform(scaling: str) -> frozenset[str]:
    """Read from the text of the module's scaling which messages of the queue it counts."""
    named = re.findall(r'metric_name\s*=\s*"(\w+)"', scaling)
    return frozenset(METRICS[name] for name in named if name in METRICS)


def simulate(
    policy: Policy,
    arrivals: Callable[[int], float],
    *,
    per_pod: float,
    hold: int,
    seconds: int,
    useful: int = 0,
) -> Run:
    """Drain a queue: `per_pod` messages a second and pod, at most `hold` in flight per pod."""
    run, waiting, pods = Run(), 0.0, policy.least
    wishes: list[int] = []
    for second in range(seconds):
        waiting = max(0.0, waiting + arrivals(second) - pods * per_pod)
        if second % policy.poll_seconds == 0:
            in_flight = min(waiting, pods * hold)
            visible = math.floor(waiting - in_flight)
            wishes.append(policy.wanted(visible, math.floor(in_flight), pods, useful))
            pods = sized(policy, pods, wishes)
        run.sizes.append(pods)
        run.backlog.append(waiting)
    return run


def sized(policy: Policy, pods: int, wishes: list[int]) -> int:
    """Return the next size: up at once, at most twofold; down by a quarter at a time.

    Down goes no further than the window's largest wish.
    """
    if wishes[-1] > pods:
        return min(wishes[-1], pods * 2)
    target = max(wishes[-max(1, policy.down_window_seconds // policy.poll_seconds) :])
    return pods if target >= pods else max(target, pods - max(1, pods // 4))

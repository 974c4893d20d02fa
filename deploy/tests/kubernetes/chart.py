"""The Helm chart: rendered by Helm's own engine, held to the kustomize base."""  # noqa: INP001  a script's folder

from pathlib import Path
from typing import Any

import compare
import facts
import helm_python as helm
import yaml
from tally import Tally, say

DEPLOY = Path(__file__).parents[2]
CHART = DEPLOY / "helm/genesys-event-worker"
EXAMPLES = sorted((DEPLOY / "helm/examples").glob("*.yaml"))
CHOICES = Path(__file__).with_name("chart_choices.yaml")
"""Values that choose what no example does."""

RELEASE, NAMESPACE = "genesys-event-worker", "genesys"
WARNING = 2
"""Severity of Helm's linter."""

Values = dict[str, Any]

REFUSED: dict[str, Values] = {
    "a misspelt value": {"replica": 2},
    "a misspelt value of one worker": {"workers": {"voice": {"handler": ["voice"]}}},
    "a secret in the ConfigMap": {"config": {"GENESYS_CLIENT_SECRET": "s"}},
    "a secret in one worker's ConfigMap": {"workers": {"a": {"config": {"CRM_API_TOKEN": "s"}}}},
    "another port": {"config": {"OPS_PORT": 8080}},
    "a list as a setting": {"config": {"SQS_CONCURRENCY": [1]}},
    "an unknown scaler": {"scaling": {"kind": "vpa"}},
    "a name that alerts do not find": {"fullnameOverride": "worker"},
    "a role that is none": {"irsa": {"roleArn": "genesys-event-worker"}},
    "a report without a schedule": {"reportSchedule": {"reports": {"daily": {}}}},
    "a CronJob whose name is too long": {
        "fullnameOverride": "genesys-event-worker-of-the-north",
        "reportSchedule": {
            "queueUrl": "https://sqs.example/1/q",
            "reports": {"every-night1": {"schedule": "0 4 * * *"}},
        },
    },
    "KEDA without a queue": {"scaling": {"kind": "keda"}},
    "KEDA on two queues": {
        "scaling": {"kind": "keda"},
        "config": {"AWS_REGION": "eu-west-1", "SQS_QUEUE_URL": "voice=https://a,reports=https://b"},
    },
    "reports on no queue": {"reportSchedule": {"reports": {"daily": {"schedule": "0 2 * * *"}}}},
}


class Chart:
    """The chart, loaded once."""

    def __init__(self) -> None:
        self._chart = helm.Chart.load(CHART)

    def overlay(self, values: Values, name: str = RELEASE) -> facts.Overlay:
        """Render all but the notes; raises `HelmError` for values that are refused."""
        self._chart.validate_schema(values)
        texts = self._chart.render(values, name=name, namespace=NAMESPACE)
        items = [
            item
            for path, text in texts.items()
            if path.endswith(".yaml")
            for item in yaml.safe_load_all(text)
            if item
        ]
        return facts.Overlay(items)

    def notes(self, values: Values) -> str:
        """Return what Helm says after an installation."""
        texts = self._chart.render(values, name=RELEASE, namespace=NAMESPACE)
        return next(text for path, text in texts.items() if path.endswith("NOTES.txt"))


def values_of(file: Path) -> Values:
    """Read a file of values."""
    return dict(yaml.safe_load(file.read_text()))


def all_overlays(chart: Chart) -> dict[str, facts.Overlay]:
    """Render the examples, and what they do not choose."""
    return {f"chart {file.stem}": chart.overlay(values_of(file)) for file in (*EXAMPLES, CHOICES)}


def check(tally: Tally, chart: Chart, kustomized: dict[str, facts.Overlay]) -> None:
    """Check the chart as such; that its objects are right, is checked with the overlays."""
    say(f"Helm {helm.helm_sdk_version()}, as a library (helm-python-sdk {helm.helm_c_version()})")
    report = helm.lint(CHART, values_of(EXAMPLES[0]), strict=True)
    tally.that(
        "helm lint",
        [one["error"] for one in report["messages"] if one["severity"] >= WARNING],
    )
    _check_beside_kustomize(tally, chart, kustomized)
    for name, values in REFUSED.items():
        tally.refused(name, _refusal(chart, values))
    _check_rolls(tally, chart)
    _check_choices(tally, chart)


def _check_beside_kustomize(
    tally: Tally, chart: Chart, kustomized: dict[str, facts.Overlay]
) -> None:
    pairs = {"base": {}} | {file.stem: values_of(file) for file in EXAMPLES}
    met: set[str | None] = set()
    for name, values in pairs.items():
        lines = list(compare.differences(kustomized[name], chart.overlay(values)))
        met |= {compare.reason_of(line) for line in lines}
        tally.that(
            f"chart and kustomize's {name}: no difference but {len(lines)} that have their reason",
            compare.unreasoned(lines),
        )
    for pattern, reason in compare.REASONS.items():
        tally.that(f"may differ: {pattern} ({reason})", () if pattern in met else ["never met"])
    broken = chart.overlay({"networkPolicy": {"enabled": False}, "replicas": 3})
    found = compare.unreasoned(compare.differences(kustomized["base"], broken))
    tally.refused("another number of pods", [one for one in found if "spec.replicas" in one])
    tally.refused("no network policy", [one for one in found if "NetworkPolicy" in one])


def _refusal(chart: Chart, values: Values) -> list[str]:
    try:
        chart.overlay(values)
    except helm.HelmError as error:
        return [str(error)]
    return []


def _annotations(chart: Chart, values: Values) -> dict[str, str]:
    (deployment,) = chart.overlay(values).all("Deployment")
    return dict(deployment["spec"]["template"]["metadata"]["annotations"])


def _check_rolls(tally: Tally, chart: Chart) -> None:
    before = _annotations(chart, {"secret": {"values": {"GENESYS_CLIENT_SECRET": "a"}}})
    secret = _annotations(chart, {"secret": {"values": {"GENESYS_CLIENT_SECRET": "b"}}})
    setting = _annotations(
        chart,
        {"secret": {"values": {"GENESYS_CLIENT_SECRET": "a"}}, "config": {"LOG_LEVEL": "debug"}},
    )
    changed = [{key for key in before if before[key] != now[key]} for now in (secret, setting)]
    tally.equal(
        "a changed secret, and a changed setting, roll the pods",
        changed,
        [{"checksum/secret"}, {"checksum/config"}],
    )


def _check_choices(tally: Tally, chart: Chart) -> None:
    overlay = chart.overlay(values_of(CHOICES), "blue")
    names = {item["metadata"]["name"] for item in overlay.items}
    tally.that(
        "every name begins so that alerts find the scrape job",
        [name for name in names if not name.startswith("genesys-event-worker-blue")],
    )
    voice = next(d for d in overlay.all("Deployment") if d["metadata"]["name"].endswith("-voice"))
    (container,) = voice["spec"]["template"]["spec"]["containers"]
    given = {one["name"]: one["value"] for one in container["env"]}
    folder = "/run/secrets/genesys-event-worker"
    tally.equal(
        "secrets as files are named by X_FILE, and are no variables",
        (given, [source for source in container["envFrom"] if "secretRef" in source]),
        ({key + "_FILE": f"{folder}/{key}" for key in ("GENESYS_CLIENT_ID", "CRM_API_TOKEN")}, []),
    )
    kinds = {item["kind"] for item in overlay.items}
    wanted = {"Service", "ServiceMonitor", "PrometheusRule", "HorizontalPodAutoscaler"}
    tally.equal("what was chosen is there", wanted - kinds, set())
    settings = overlay.environment(voice)
    tally.equal("a large number keeps its form", settings["RETRY_HORIZON_SECONDS"], "1209600")
    _check_budget(tally, chart)
    shared = {"workers": {"a": {}, "b": {}}, "serviceAccount": {"name": "shared"}}
    accounts = [one["metadata"]["name"] for one in chart.overlay(shared).all("ServiceAccount")]
    tally.equal("workers may share an account, and it is made once", accounts, ["shared"])
    notes = chart.notes(values_of(CHOICES) | {"workers": {"m": {"handlers": ["voice", "mirror"]}}})
    for part in ("v2.speechandtextanalytics.conversation", "dynamodb:PutItem", "mirror is no job"):
        tally.that(f"the notes say {part}", () if part in notes else [notes])


def _check_budget(tally: Tally, chart: Chart) -> None:
    values = values_of(EXAMPLES[0].with_name("pod-identity.yaml"))
    values["scaling"] = {"kind": "keda", "keda": {"queueLength": 5, "budget": {"enabled": True}}}
    (scaled,) = chart.overlay(values).all("ScaledObject")
    backlog, useful = scaled["spec"]["triggers"]
    tally.equal(
        "KEDA's formula names the triggers and counts as the queue's does",
        (scaled["spec"]["advanced"]["scalingModifiers"], backlog["name"], useful["name"]),
        (
            {
                "formula": "useful > 0 && useful * 5 < backlog ? useful * 5 : backlog",
                "target": "5",
                "metricType": "AverageValue",
            },
            "backlog",
            "useful",
        ),
    )
    tally.equal(
        "it asks for the pods of the release",
        useful["metadata"]["query"],
        f'max(worker_replicas_useful{{namespace="{NAMESPACE}",job="{RELEASE}"}})',
    )

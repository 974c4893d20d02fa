"""Validates objects: Kubernetes' own kinds, KEDA's and the Prometheus operator's."""  # noqa: INP001  a script's folder

from pathlib import Path
from typing import Any

import kubernetes_validate
import yaml
from jsonschema import Draft202012Validator

VERSIONS = ("1.29", "1.37")
"""The oldest Kubernetes we promise, and the newest whose schemas we have."""

CRD_FILES = {
    "ScaledObject": "keda.sh_scaledobjects.yaml",
    "TriggerAuthentication": "keda.sh_triggerauthentications.yaml",
}
API_VERSIONS = {
    "ScaledObject": "keda.sh/v1alpha1",
    "TriggerAuthentication": "keda.sh/v1alpha1",
    "PodMonitor": "monitoring.coreos.com/v1",
    "ServiceMonitor": "monitoring.coreos.com/v1",
    "PrometheusRule": "monitoring.coreos.com/v1",
}

Schema = dict[str, Any]


class Schemas:
    """All schemas; KEDA's from its CRDs when `crds` has them."""

    def __init__(self, crds: Path) -> None:
        ours = yaml.safe_load(Path(__file__).with_name("schemas.yaml").read_text())
        self.sources = dict.fromkeys(API_VERSIONS, "the fields we use")
        self._specs: dict[str, Schema] = {kind: ours[kind] for kind in API_VERSIONS}
        for kind, name in CRD_FILES.items():
            if (file := crds / name).exists():
                self._specs[kind] = _spec_of(yaml.safe_load(file.read_text()))
                self.sources[kind] = "KEDA's CRD"

    def problems(self, item: dict[str, Any]) -> list[str]:
        """Return what is wrong with the object, empty if nothing."""
        kind = item["kind"]
        if kind not in self._specs:
            return [problem for version in VERSIONS for problem in _native(item, version)]
        problems = [] if item["apiVersion"] == API_VERSIONS[kind] else [f"{kind}: apiVersion"]
        validator = Draft202012Validator(self._specs[kind])
        return problems + [
            f"{kind}: {error.json_path}: {error.message}"
            for error in validator.iter_errors(item["spec"])
        ]


def _native(item: dict[str, Any], version: str) -> list[str]:
    try:
        kubernetes_validate.validate(item, version, strict=True)
    except kubernetes_validate.ValidationError as error:
        return [f"{item['kind']} ({version}): {error.message}"]
    except kubernetes_validate.SchemaNotFoundError as error:
        return [f"{item['kind']} ({version}): no schema: {error}"]
    return []


def _spec_of(crd: Schema) -> Schema:
    (version,) = (v for v in crd["spec"]["versions"] if v["storage"])
    spec: Schema = version["schema"]["openAPIV3Schema"]["properties"]["spec"]
    return _strict(spec)


def _strict(node: Any) -> Any:
    """Refuse unknown fields: the API server would drop them in silence."""
    if isinstance(node, list):
        return [_strict(part) for part in node]
    if not isinstance(node, dict):
        return node
    schema = {key: _strict(value) for key, value in node.items() if key != "format"}
    if node.get("x-kubernetes-int-or-string"):
        schema.pop("type", None)
    if isinstance(node.get("properties"), dict) and node.get("type") == "object":
        schema.setdefault("additionalProperties", False)
    return schema

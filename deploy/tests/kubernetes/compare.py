"""The chart's objects beside those of the kustomize base, field by field. Pure."""  # noqa: INP001  a script's folder

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

import facts

RENAMED = {
    "genesys-event-worker-report-schedule": "genesys-report-schedule",
    "genesys-event-worker-report-daily": "genesys-report-daily",
}
"""Objects of a release begin with its name, so that two fit into one namespace."""

REASONS = {
    r"^\S+ (metadata|spec\.jobTemplate\.metadata)\.labels\.app\.kubernetes\.io/"
    r"(name|part-of|instance)$": "the chart labels all objects; selectors read the pods' alone",
    r"labels\.(helm\.sh/chart|app\.kubernetes\.io/managed-by)$": "labels that Helm's users expect",
    r"^\w+/\S+ metadata\.namespace$": "kustomize has it from the overlay, Helm from the release",
    r"annotations\.checksum/config$": "in place of the hash in the ConfigMap's name",
    r"^ConfigMap/\S+ metadata\.name$|configMapRef\.name$": "no hash: Helm deletes the map before it"
    " that pods of the release before still start from; checksum/config rolls the pods",
    r"containers\.0\.image$": "the base has a name that overlays replace, the chart its appVersion",
    r"data\.GENESYS_REQUESTS_PER_MINUTE$": "KEDA's component repeats the setting's default",
}
"""Which fields may differ, and why that does not matter."""

HASH = re.compile(r"-[a-z0-9]{10}$")
"""What kustomize puts after the name of a ConfigMap that it makes."""

Leaves = dict[str, Any]


def differences(base: facts.Overlay, chart: facts.Overlay) -> Iterator[str]:
    """Yield a line `KIND/NAME PATH: base ≠ chart` per field that differs."""
    left, right = _leaves_of(base), _leaves_of(chart)
    for path in sorted(left.keys() | right.keys()):
        here, there = left.get(path, "(none)"), right.get(path, "(none)")
        if here != there:
            yield f"{path}: {here} ≠ {there}"


def unreasoned(lines: Iterable[str]) -> list[str]:
    """Return the differences that no reason covers."""
    return [line for line in lines if reason_of(line) is None]


def reason_of(line: str) -> str | None:
    """Return the pattern of the reason for a difference."""
    path = line.split(": ", maxsplit=1)[0]
    return next((pattern for pattern in REASONS if re.search(pattern, path)), None)


def _leaves_of(overlay: facts.Overlay) -> Leaves:
    found: Leaves = {}
    for item in overlay.items:
        name = RENAMED.get(item["metadata"]["name"], item["metadata"]["name"])
        name = HASH.sub("", name) if item["kind"] == "ConfigMap" else name
        found |= {f"{item['kind']}/{name} {path}": leaf for path, leaf in _walk(item, ())}
    return found


def _walk(value: Any, path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    if isinstance(value, str) and value.startswith("{"):
        value = json.loads(value)
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _walk(inner, (*path, str(key)))
    elif isinstance(value, list) and value:
        for index, inner in enumerate(value):
            yield from _walk(inner, (*path, str(index)))
    else:
        yield ".".join(path), RENAMED.get(value, value) if isinstance(value, str) else value

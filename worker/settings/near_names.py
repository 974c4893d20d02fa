"""Variables that look like a misspelt setting. Names only: no value is read here."""

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

SIMILAR = 0.85
"""Likeness (difflib) from which an unknown variable counts as a misspelt setting."""

WRONG_NAMES = {
    "QUEUE_URL": "SQS_QUEUE_URL",
    "SQS_URL": "SQS_QUEUE_URL",
    "DLQ_URL": "SQS_DEAD_LETTER_QUEUE_URL",
    "SQS_DLQ_URL": "SQS_DEAD_LETTER_QUEUE_URL",
    "SQS_DEAD_LETTER_URL": "SQS_DEAD_LETTER_QUEUE_URL",
    "GENESYS_REGION": "GENESYS_ENVIRONMENT",
    "GENESYS_DOMAIN": "GENESYS_ENVIRONMENT",
    "GENESYS_DATA_ACTION_ID": "GENESYS_ACTION_ID",
    "DYNAMODB_TABLE_NAME": "DYNAMODB_TABLE",
    "STATE_MACHINE_ARN": "STEP_FUNCTIONS_ARN",
    "REPORT_BUCKET_NAME": "REPORT_BUCKET",
    "REPORTS_BUCKET": "REPORT_BUCKET",
    "CRM_ENDPOINT": "CRM_API_ENDPOINT",
    "CRM_API_URL": "CRM_API_ENDPOINT",
}
"""Names that people give, too far from the right ones for difflib."""

OTHERS = ("AWS_", "OTEL_")
"""Their SDKs own these."""

_OF_KUBERNETES = re.compile(r"_SERVICE_HOST|_SERVICE_PORT(_|$)|_PORT_\d+_(TCP|UDP|SCTP)")
"""In the name of a variable that Kubernetes puts into every container, for a service of a name."""


def near_names(names: Iterable[str], known: Sequence[str]) -> dict[str, str]:
    """Return each variable of `names` that resembles a known setting, with that setting.

    One of `WRONG_NAMES` counts only while the right one is missing: others use such names, too.
    """
    given = {name.upper() for name in names}
    found = {}
    for name in sorted(given.difference(known)):
        if name.startswith(OTHERS) or _OF_KUBERNETES.search(name):
            continue
        if (meant := WRONG_NAMES.get(name)) is not None:
            if meant not in given:
                found[name] = meant
        elif (matches := get_close_matches(name, known, 1, SIMILAR)) and _alike(name, matches[0]):
            found[name] = matches[0]
    return found


def _alike(name: str, meant: str) -> bool:
    # Kubernetes again: the service `step-functions` is the variable STEP_FUNCTIONS_PORT.
    return not name.endswith("_PORT") or meant.endswith("_PORT")


def unknown_lines(near: dict[str, str]) -> list[str]:
    """Return a line for each, in the words of a warning."""
    return [f"{name}: unknown; did you mean {meant}?" for name, meant in near.items()]

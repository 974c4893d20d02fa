"""What Terraform made, as `terraform test -json -verbose` prints it."""  # noqa: INP001  a script's folder

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ACCOUNT, REGION = "123456789012", "eu-west-1"


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource: its address, its type, and its attributes."""

    address: str
    type: str
    values: Mapping[str, Any]


def resources(states: Path, run: str) -> Iterator[Resource]:
    """Yield what the run of that name left."""
    lines = [json.loads(line) for line in states.read_text().splitlines()]
    left = {one["@testrun"]: one["test_state"] for one in lines if one["type"] == "test_state"}
    for one in left[run]["root_module"]["resources"]:
        yield Resource(one["address"], one["type"], one["values"])

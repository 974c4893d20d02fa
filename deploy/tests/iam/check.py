"""Holds the policies of the Terraform module to the AWS calls in the code: equal sets."""  # noqa: INP001  a script's folder

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from calls import Operations, actions_in, imports_of, parsed, services_of

SCENE = ("worker.demo", "worker.emulators", "worker.testing")
"""Packages whose calls are made by demo and tests alone; so are those of the jobs' `demo.py`."""

NO_TASK = ("worker.cli", *SCENE)
"""Packages whose calls no task makes."""

FOR_COMMANDS = (".checks", ".by_hand", "worker.clients.aws.probes")
"""Ends of modules that commands alone run: what jobs declare for them, and what these use."""

NO_OPERATOR = {"worker.cli.run", "worker.cli.demo"}
"""Commands that are not an operator's: the daemon, and the demo with its emulators."""

Needs = dict[str, str]
"""Actions, and where in the code one of their calls stands."""


def main() -> int:
    """Compare both policies; 0 if both are equal to what the code needs."""
    package, states = Path(sys.argv[1]), Path(sys.argv[2])
    modules = {
        name: tree
        for name, tree in parsed(package).items()
        if not (_within(name, SCENE) or name.endswith(".demo"))
    }
    operations = Operations(services_of(modules))
    found = {
        name: {action: f"{name}:{line}" for action, line in actions_in(tree, operations).items()}
        for name, tree in modules.items()
    }
    operators = {
        name for name in found if _within(name, ("worker.cli",)) or name.endswith(FOR_COMMANDS)
    } - NO_OPERATOR
    # What a command imports itself; what that imports in turn is for tasks.
    reached = {used for name in operators for used in imports_of(modules[name], modules)}
    reached &= set(found)
    needs = {
        "aws_iam_role_policy.task": _joined(
            found[name]
            for name in found
            if not (_within(name, NO_TASK) or name.endswith(FOR_COMMANDS))
        ),
        "aws_iam_policy.operator": _joined(found[name] for name in sorted(operators | reached)),
    }
    policies = dict(_policies(states))
    passed = [_compare(where, needs[where], _actions(policies[where])) for where in needs]
    sys.stdout.write(f"{passed.count(True)} passed, {passed.count(False)} failed\n")
    return int(not all(passed))


def _within(name: str, packages: tuple[str, ...]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def _joined(parts: Iterator[Needs]) -> Needs:
    return {action: place for part in parts for action, place in part.items()}


def _policies(states: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield each policy of the state that `terraform test -json -verbose` prints, by address."""
    for line in states.read_text().splitlines():
        entry = json.loads(line)
        if entry["type"] == "test_state":
            for resource in entry["test_state"]["root_module"]["resources"]:
                if "policy" in resource["values"] and resource["type"].startswith("aws_iam"):
                    yield resource["address"], json.loads(resource["values"]["policy"])


def _actions(policy: Mapping[str, Any]) -> set[str]:
    actions: set[str] = set()
    for statement in policy["Statement"]:
        named = statement["Action"]
        actions |= {named} if isinstance(named, str) else set(named)
    return actions


def _compare(where: str, needs: Needs, granted: set[str]) -> bool:
    missing, idle = sorted(set(needs) - granted), sorted(granted - set(needs))
    sys.stdout.write(
        f"{'FAILED' if missing or idle else 'ok    '} {where}: {len(granted)} actions\n"
    )
    for action in sorted(set(needs) & granted):
        sys.stdout.write(f"         {action:32} {needs[action]}\n")
    sys.stdout.writelines(
        f"       - {action:32} called at {needs[action]}, not granted\n" for action in missing
    )
    sys.stdout.writelines(f"       + {action:32} granted, never called\n" for action in idle)
    return not missing and not idle


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Writes the README of the Terraform module from its files, in the form of terraform-docs.

Without an option it prints it; `--write` replaces the file beside this script. What the files say
is all there is: descriptions, types and defaults of variables and outputs, resources, and the
examples. Reads HCL as `terraform fmt` leaves it, and no other.
"""

import argparse
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path

MODULE = Path(__file__).parent
README = MODULE / "README.md"
ABOUT = """\
Made by `readme.py` from the files beside it (`make docs`). What it makes and why, how to apply it,
and how it was tested: [deploy/README.md](../README.md#terraform).
"""

EXAMPLES = ("minimal", "complete", "own-job")
"""In the order in which one reads them."""

KINDS = {"resource": "resource", "data": "data source"}

BLOCK = re.compile(r'^(\w+) "(\w+)"(?: "(\w+)")? \{\n(.*?)^\}', re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """A block of the module's own."""

    kind: str
    labels: tuple[str, ...]
    body: str

    def attribute(self, name: str) -> str:
        """Return an attribute's expression as it is written, without its indent; empty if none."""
        lines = self.body.splitlines()
        begins = (number for number, line in enumerate(lines) if re.match(rf"  {name} +=", line))
        if (first := next(begins, None)) is None:
            return ""
        found = [lines[first].partition("= ")[2]]
        # Until the next attribute: what is indented further, or closes.
        found += takewhile(re.compile(r"   |  [)\]}]").match, lines[first + 1 :])
        return "\n".join(line.removeprefix("  ") for line in found)

    def text(self, name: str) -> str:
        """Return an attribute that is a text."""
        return self.attribute(name).strip('"').replace('\\"', '"')


def blocks() -> Iterator[Block]:
    """Yield the blocks of all files of the module."""
    for file in sorted(MODULE.glob("*.tf")):
        for kind, first, second, body in BLOCK.findall(file.read_text()):
            yield Block(kind, tuple(filter(None, (first, second))), body)


def made() -> str:
    """Return the README."""
    found = list(blocks())
    parts = [
        "# Terraform module: the worker on ECS Fargate\n",
        ABOUT,
        "## Examples\n",
        *map(_example, EXAMPLES),
        "## Requirements\n",
        _requirements((MODULE / "versions.tf").read_text()),
        "## Resources\n",
        _resources(found),
        "## Inputs\n",
        _inputs([one for one in found if one.kind == "variable"]),
        "## Outputs\n",
        _outputs([one for one in found if one.kind == "output"]),
    ]
    return "\n".join(parts)


def _example(name: str) -> str:
    """Return the module's call; the first comment of the file says what it is for."""
    text = (MODULE / "examples" / name / "main.tf").read_text()
    about = " ".join(_only(r"((?:# .*\n)+)", text).replace("# ", "").split())
    call = _only(r'^(module "worker" \{\n.*?^\})', text)
    return f"**[{name}](examples/{name}/main.tf).** {about}\n\n```hcl\n{call}\n```\n"


def _requirements(text: str) -> str:
    terraform, aws = (
        _only(rf'{name} = "(.*?)"', text) for name in ("required_version", " version")
    )
    rows = [f"| terraform | {terraform} |", f"| aws | {aws} |"]
    return "\n".join(["| Name | Version |", "|------|---------|", *rows, ""])


def _only(pattern: str, text: str) -> str:
    """Return the first match. Raises ValueError without one."""
    if (found := re.search(pattern, text, re.MULTILINE | re.DOTALL)) is None:
        raise ValueError(pattern)
    return found[1]


def _resources(found: list[Block]) -> str:
    rows = sorted(
        f"| {'.'.join(one.labels)} | {KINDS[one.kind]} |" for one in found if one.kind in KINDS
    )
    return "\n".join(["| Name | Type |", "|------|------|", *rows, ""])


def _inputs(variables: list[Block]) -> str:
    """Return a row for each: those without a default first, each group by its name."""
    rows = sorted((bool(one.attribute("default")), one.labels[0], _input(one)) for one in variables)
    head = ["| Name | Description | Type | Default | Required |"]
    head.append("|------|-------------|------|---------|:--------:|")
    return "\n".join([*head, *(row for _, _, row in rows), ""])


def _input(variable: Block) -> str:
    default = variable.attribute("default")
    required = "no" if default else "yes"
    cells = (
        f"`{variable.labels[0]}`",
        _cell(variable.text("description")),
        _code(variable.attribute("type")),
        _code(default) or "n/a",
        required,
    )
    return f"| {' | '.join(cells)} |"


def _outputs(outputs: list[Block]) -> str:
    rows = sorted(f"| `{one.labels[0]}` | {_cell(one.text('description'))} |" for one in outputs)
    return "\n".join(["| Name | Description |", "|------|-------------|", *rows, ""])


def _code(expression: str) -> str:
    """Return code for a cell: on one line where it is short, else as terraform-docs has it."""
    if not expression:
        return ""
    if "\n" not in expression:
        return f"`{_cell(expression)}`"
    text = expression.replace("&", "&amp;").replace("<", "&lt;").replace("\n", "<br>")
    return f"<pre>{_cell(text)}</pre>"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> None:
    """Print or write it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    if parser.parse_args().write:
        README.write_text(made())
    else:
        sys.stdout.write(made())


if __name__ == "__main__":
    main()

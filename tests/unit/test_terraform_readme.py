"""The README of the Terraform module: made from its files, in the form of terraform-docs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

MODULE = Path(__file__).parents[2] / "deploy" / "terraform"
FILES = "\n".join(file.read_text() for file in sorted(MODULE.glob("*.tf")))


@pytest.fixture(scope="module")
def readme():
    command = [sys.executable, MODULE / "readme.py"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout  # noqa: S603  ours


def rows(readme, heading):
    section = readme.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return [line for line in section.splitlines() if line.startswith("| `")]


def test_the_file_is_what_the_script_makes(readme):
    assert (MODULE / "README.md").read_text() == readme, "make docs"


@pytest.mark.parametrize(("kind", "heading"), [("variable", "Inputs"), ("output", "Outputs")])
def test_each_variable_and_each_output_has_a_row_with_its_description(readme, kind, heading):
    named = set(re.findall(rf'^{kind} "(\w+)"', FILES, re.MULTILINE))

    found = {row.split("`")[1] for row in rows(readme, heading)}

    assert found == named
    assert [row for row in rows(readme, heading) if "|  |" in row] == []


def test_types_and_defaults_of_many_lines_are_whole(readme):
    [reports] = (row for row in rows(readme, "Inputs") if row.startswith("| `reports`"))

    assert "<pre>map(object({<br>  schedule   = string<br>" in reports
    assert "}))</pre>" in reports
    assert '`{ daily = { schedule = "cron(0 2 * * ? *)" } }`' in reports
    [metrics] = (row for row in rows(readme, "Inputs") if row.startswith("| `collector_metrics`"))
    assert metrics.endswith('<br>  "worker_replicas_useful",<br>]</pre> | no |')


def test_the_examples_are_those_in_the_folder(readme):
    folders = {folder.name for folder in (MODULE / "examples").iterdir()}

    assert set(re.findall(r"\(examples/([\w-]+)/main\.tf\)", readme)) == folders
    for name in folders:
        text = (MODULE / "examples" / name / "main.tf").read_text()
        assert (
            re.search(r'^module "worker" \{\n.*?^\}', text, re.MULTILINE | re.DOTALL)[0] in readme
        )

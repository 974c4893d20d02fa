"""The Helm chart beside what it is made of; deploy/tests/kubernetes/run renders it."""

import json
import re
import tomllib
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from worker.app.jobs import describe
from worker.settings.describe import HIDDEN

DEPLOY = Path(__file__).parents[2] / "deploy"
CHART = DEPLOY / "helm" / "genesys-event-worker"
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
EXAMPLES = sorted((DEPLOY / "helm" / "examples").glob("*.yaml"))


def test_chart_and_image_have_the_version_of_the_package():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    package = tomllib.loads((DEPLOY.parent / "pyproject.toml").read_text())["project"]

    assert {chart["version"], chart["appVersion"]} == {package["version"]}


def test_every_value_has_its_form_and_every_form_its_default():
    Draft202012Validator.check_schema(SCHEMA)

    assert set(VALUES) == set(SCHEMA["properties"]) - {"global"}
    assert list(Draft202012Validator(SCHEMA).iter_errors(VALUES)) == []


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_an_example_fits(file):
    values = yaml.safe_load(file.read_text())

    assert list(Draft202012Validator(SCHEMA).iter_errors(values)) == []


def test_what_one_worker_may_say_is_what_the_templates_merge():
    helpers = (CHART / "templates" / "_helpers.tpl").read_text()
    merged = re.search(r"\$own := list (.*?) -}}", helpers)[1]

    assert set(re.findall(r'"(\w+)"', merged)) == set(SCHEMA["$defs"]["worker"]["properties"])


def test_no_setting_that_is_secret_goes_into_a_configmap():
    names = [row.name for row in describe({})]
    shown = describe(dict.fromkeys(names, "a-text-of-some-length"))
    secrets = {row.name for row in shown if row.value == HIDDEN}
    refused = set(SCHEMA["$defs"]["config"]["propertyNames"]["not"]["enum"])

    assert secrets == refused - {"OPS_HOST", "OPS_PORT", "HANDLERS"}


def test_its_files_are_the_repositorys():
    links = {file.name: file.resolve() for file in (CHART / "files").iterdir()}

    assert links == {
        "jobs.json": DEPLOY / "jobs.json",
        "rules.yml": DEPLOY / "monitoring" / "rules.yml",
        "dashboard.json": DEPLOY / "monitoring" / "grafana" / "dashboards" / "worker.json",
    }

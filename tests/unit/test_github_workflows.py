"""What the workflows promise: no secret, few permissions, pinned actions."""

import os
import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
ON = True
"""What YAML 1.1 reads for the key `on`."""

WRITES = {
    ("release", "attest"): {"id-token", "attestations"},
    ("release", "index"): {"id-token"},
    ("release", "image"): {"packages", "id-token", "attestations"},
    ("release", "release"): {"contents"},
}
"""Which job may write what; no other may write anything."""

PINNED = re.compile(r"uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")
REGISTRIES = re.compile(r"ghcr\.io|docker\.io|quay\.io|pypi\.org|npmjs\.org|amazonaws\.com")


def read(file):
    return yaml.safe_load(file.read_text())


def jobs():
    return {(file.stem, name): job for file in FILES for name, job in read(file)["jobs"].items()}


def steps():
    return [(key, step) for key, job in jobs().items() for step in job["steps"]]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_action_is_pinned_to_a_commit_with_its_version(file):
    used = [line.strip(" -") for line in file.read_text().splitlines() if "uses:" in line]

    assert used != []
    assert [line for line in used if not PINNED.fullmatch(line)] == []


def test_an_action_has_one_version_in_all_workflows():
    versions = {}
    for _, step in steps():
        action, _, commit = step.get("uses", "").partition("@")
        versions.setdefault(action, set()).add(commit)

    assert {action: found for action, found in versions.items() if len(found) > 1} == {}


def test_no_job_may_write_more_than_its_work_needs():
    granted = {}
    for file in FILES:
        document = read(file)
        for name, job in document["jobs"].items():
            allowed = job.get("permissions", document["permissions"])
            assert set(allowed.values()) <= {"read", "write"}
            granted[file.stem, name] = {key for key, value in allowed.items() if value == "write"}

    assert {key: writes for key, writes in granted.items() if writes} == WRITES


def test_what_is_installed_for_the_build_cannot_sign():
    build = jobs()["release", "build"]

    assert build["permissions"] == {"contents": "read"}
    assert ".ci/release" in [step.get("run") for step in build["steps"]]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_there_is_no_secret_but_the_runs_own_token_and_no_registry(file):
    text = file.read_text()

    assert set(re.findall(r"secrets\.(\w+)", text)) <= {"GITHUB_TOKEN"}
    assert "pull_request_target" not in text
    assert REGISTRIES.findall(text) == []


def test_no_script_contains_what_a_stranger_may_write():
    scripts = [step["run"] for _, step in steps() if "run" in step]

    assert scripts != []
    assert [script for script in scripts if "${{" in script] == []


def test_a_checkout_leaves_no_credentials_behind():
    checkouts = [step for _, step in steps() if step.get("uses", "").startswith("actions/checkout")]

    assert {step["with"]["persist-credentials"] for step in checkouts} == {False}


def test_every_job_has_an_end():
    assert [key for key, job in jobs().items() if "timeout-minutes" not in job] == []


def test_ci_runs_what_developers_run_on_every_python_of_the_package():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    supported = re.findall(r"Python :: (3\.\d+)", "\n".join(project["classifiers"]))
    job = jobs()["ci", "run"]

    assert job["strategy"]["matrix"]["python"] == supported
    assert any(step.get("run", "").endswith(" .ci/run") for step in job["steps"])
    assert set(read(ROOT / ".github/workflows/ci.yml")[ON]) == {"push", "pull_request"}


def test_no_leg_of_ci_is_left_out_for_want_of_a_tool_in_the_workflow():
    used = [step.get("uses", step.get("run", "")) for step in jobs()["ci", "run"]["steps"]]
    tools = next(
        line.split(" in ")[1].removesuffix("; do").split()
        for line in (ROOT / ".ci" / "run").read_text().splitlines()
        if line.startswith("for tool in ")
    )

    # kubectl is in the image of the runner.
    assert set(tools) == {"terraform", "kubectl"}
    assert [one for one in used if one.startswith("hashicorp/setup-terraform@")] != []


def test_a_release_is_for_a_tag_attested_and_for_two_architectures():
    assert list(read(ROOT / ".github/workflows/release.yml")[ON]["push"]) == ["tags"]
    used = {
        (key[1], step["uses"].partition("@")[0]): step.get("with", {})
        for key, step in steps()
        if key[0] == "release" and "uses" in step
    }
    image = used["image", "docker/build-push-action"]

    assert used["index", "pypa/gh-action-pypi-publish"]["attestations"]
    assert "password" not in used["index", "pypa/gh-action-pypi-publish"]
    assert used["attest", "actions/attest-sbom"]["sbom-path"] == "dist/sbom.cdx.json"
    assert ("attest", "actions/attest-build-provenance") in used
    assert ("image", "actions/attest-build-provenance") in used
    assert image["platforms"] == "linux/amd64,linux/arm64"
    assert (image["provenance"], image["sbom"]) == ("mode=max", True)


def test_what_is_pinned_is_scanned_for_vulnerabilities_each_week():
    workflow = read(ROOT / ".github/workflows/osv.yml")
    [arguments] = [
        step["with"]["scan-args"]
        for step in workflow["jobs"]["scan"]["steps"]
        if "with" in step and "scan-args" in step["with"]
    ]
    pins = {f"deploy/{path.name}" for path in (ROOT / "deploy").glob("requirements*.txt")}

    assert set(re.findall(r"requirements\.txt:(\S+)", arguments)) == pins
    assert re.fullmatch(r"\d+ \d+ \* \* \d", workflow[ON]["schedule"][0]["cron"])


def test_updates_are_proposed_for_every_kind_of_dependency():
    updates = read(ROOT / ".github/dependabot.yml")["updates"]

    assert {one["package-ecosystem"] for one in updates} == {
        "docker",
        "github-actions",
        "pip",
        "terraform",
    }
    assert [one for one in updates if not (ROOT / one["directory"].strip("/")).is_dir()] == []


def test_what_makes_a_release_can_be_run():
    script = ROOT / ".ci" / "release"

    assert os.access(script, os.X_OK)
    for part in ("cyclonedx-py", "schema --asyncapi", "helm.package", "--require-hashes"):
        assert part in script.read_text()


def test_the_changelog_has_a_section_for_the_version_that_comes_next():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)

    assert headings[0] == version

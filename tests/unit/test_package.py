"""What a package index gets: metadata, links that lead somewhere, both commands."""

import os
import re
import subprocess
import sys
import tarfile
import tomllib
from email.parser import Parser
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[2]
URL = "https://git.example/genesys/worker"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
FILES = f"{URL}/blob/v{PROJECT['version']}/"
PREFIX = f"genesys_event_worker-{PROJECT['version']}"


def build(where, target, out, **environment):
    """Build with what is installed: no index is asked."""
    command = (sys.executable, "-m", "hatchling", "build", "-t", target, "-d", out)
    kept = {name: text for name, text in os.environ.items() if name != "PROJECT_URL"}
    subprocess.run(command, cwd=where, env=kept | environment, check=True, capture_output=True)  # noqa: S603
    [made] = out.glob("*.whl" if target == "wheel" else "*.tar.gz")
    return made


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    """The wheel of a release: built from its sdist, in a place that knows no PROJECT_URL."""
    place = tmp_path_factory.mktemp("release")
    with tarfile.open(build(ROOT, "sdist", place / "sdist", PROJECT_URL=URL)) as sdist:
        sdist.extractall(place, filter="data")
    return build(place / PREFIX, "wheel", place / "wheel")


@pytest.fixture(scope="module")
def by_hand(tmp_path_factory):
    return build(ROOT, "wheel", tmp_path_factory.mktemp("wheel"))


def inside(wheel, name):
    with ZipFile(wheel) as archive:
        return archive.read(f"{PREFIX}.dist-info/{name}").decode()


def metadata_of(wheel):
    return Parser().parsestr(inside(wheel, "METADATA"))


def links_of(wheel):
    return re.findall(r"\]\(([^)]+)\)", metadata_of(wheel).get_payload())


def test_every_link_of_a_released_readme_leads_to_a_file_or_a_vendor(released):
    links = links_of(released)
    files = [link.removeprefix(FILES) for link in links if link.startswith(FILES)]

    assert len(files) > 10
    assert [file for file in files if not (ROOT / file.partition("#")[0]).exists()] == []
    assert [link for link in links if not link.startswith("https://")] == []


def test_without_an_address_no_link_leads_to_a_file(by_hand):
    assert [link for link in links_of(by_hand) if not link.startswith("https://")] == []
    assert "tests/README.md" in metadata_of(by_hand).get_payload()
    assert metadata_of(by_hand).get_all("Project-URL") is None


def test_a_release_says_where_its_source_changes_and_issues_are(released):
    urls = dict(entry.split(", ") for entry in metadata_of(released).get_all("Project-URL"))

    assert urls["Source"] == URL
    assert urls["Changelog"] == FILES + "CHANGELOG.md"
    assert urls["Issues"] == URL + "/issues"


def test_metadata_names_version_keywords_and_every_python(released):
    metadata = metadata_of(released)
    pythons = re.findall(r"Python :: (3\.\d+)", "\n".join(metadata.get_all("Classifier")))

    assert metadata["Version"] == PROJECT["version"]
    assert pythons == ["3.11", "3.12", "3.13", "3.14"]
    assert "genesys-cloud" in metadata["Keywords"].split(",")


def test_there_are_two_commands_and_they_are_the_same(released):
    text = inside(released, "entry_points.txt")
    scripts = dict(re.findall(r"^(\S+) = (\S+)$", text, re.MULTILINE))

    assert scripts == dict.fromkeys(("worker", "genesys-event-worker"), "worker.__main__:main")


def test_the_wheel_has_the_worker_and_nothing_else(released):
    with ZipFile(released) as archive:
        names = set(archive.namelist())

    assert {name.split("/")[0] for name in names} == {"worker", f"{PREFIX}.dist-info"}
    assert f"{PREFIX}.dist-info/licenses/LICENSE" in names
    assert "worker/jobs/reports/schemas/report_ready.json" in names

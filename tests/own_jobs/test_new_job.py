"""`worker new-job` writes a package that every command of the worker knows once it is installed."""

import ast
import os
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from tests.own_jobs.conftest import ROOT, run_python
from worker.cli.jobs import written
from worker.testing import an_event, run_worker, until_settled

TOPIC = "v2.users.{id}.presence"
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
PUBLIC = {"worker.api", "worker.demo", "worker.testing"}
LINES = 40


@pytest.fixture(scope="session")
def package(tmp_path_factory):
    """The folder that `worker new-job presence` writes."""
    folder = tmp_path_factory.mktemp("own") / "presence"
    command = [sys.executable, "-m", "worker", "new-job", "presence", "--folder", str(folder)]
    subprocess.run(command, check=True, capture_output=True, cwd=ROOT)  # noqa: S603
    return folder


@pytest.fixture(scope="session")
def site(package):
    """Where pip has installed it, without a network."""
    target = package.parent / "site"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation"]
    pip += ["--no-index", "--disable-pip-version-check", "--target", str(target), str(package)]
    subprocess.run(pip, check=True, capture_output=True)  # noqa: S603
    return target


@pytest.fixture
def worker(site):
    async def run(*arguments, **environ):
        return await run_python("-m", "worker", *arguments, site=site, **environ)

    return run


@pytest.fixture
async def stream(emulators):
    async with emulators.aws("kinesis") as kinesis:
        await kinesis.create_stream(StreamName="presence", ShardCount=1)
        [shard] = (await kinesis.list_shards(StreamName="presence"))["Shards"]

        async def records():
            start = await kinesis.get_shard_iterator(
                StreamName="presence", ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
            )
            return (await kinesis.get_records(ShardIterator=start["ShardIterator"]))["Records"]

        yield records


def test_the_authors_code_fits_in_40_lines():
    code = dict(written("presence"))["src/presence/__init__.py"]

    assert len(code.splitlines()) <= LINES


def test_no_private_name_is_used():
    for path, text in written("presence"):
        if path.endswith(".py"):
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, ast.ImportFrom) and node.module.split(".")[0] == "worker":
                    assert node.module in PUBLIC
                if isinstance(node, ast.Attribute) and not _of_self(node):
                    assert not node.attr.startswith("_"), (path, node.lineno)


def _of_self(node):
    return isinstance(node.value, ast.Name) and node.value.id == "self"


def test_another_name_and_topic_stand_in_every_file():
    files = dict(written("queue_alerts", "v2.routing.queues.{id}.users"))

    assert "class QueueAlertsSettings" in files["src/queue_alerts/__init__.py"]
    assert '"v2.routing.queues.*.users"' in files["src/queue_alerts/__init__.py"]
    assert not [path for path, text in files.items() if "presence" in text or "@n" in text.lower()]


async def test_mypy_strict_finds_nothing(package, site):
    command = ("-m", "mypy", "--strict", "--cache-dir", ROOT / ".mypy_cache" / "own-job")

    done = await run_python(*command, site=site, cwd=package)

    assert (done.code, done.out) == (0, "Success: no issues found in 3 source files\n")


async def test_its_own_tests_pass(package, site):
    command = ("-m", "pytest", "-q", "-p", "no:cacheprovider")

    done = await run_python(*command, site=site, cwd=package)

    assert done.code == 0, done.out
    assert "2 passed" in done.out


async def test_the_worker_handles_it_without_any_genesys_setting(
    emulators, stream, site, monkeypatch
):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), str(ROOT)]))
    nothing = {name: None for name in emulators.variables() if name.startswith("GENESYS_")}
    bodies = [an_event(TOPIC, {"number": number}, at=NOON) for number in range(20)]
    copies = [an_event(TOPIC, {"number": number}, at=NOON) for number in range(4)]

    async with run_worker(emulators, HANDLERS="presence", PRESENCE_STREAM="presence", **nothing):
        for body in [*bodies, *copies]:
            emulators.put(body)
        await until_settled(emulators)

    assert len(await stream()) == 20


async def test_jobs_and_settings_know_it(worker):
    jobs, settings = await worker("jobs", "--json"), await worker("settings", "--json")

    assert [one["name"] for one in jobs.json["jobs"]][-1] == "presence"
    assert "PRESENCE_STREAM" in [row["name"] for row in settings.json["settings"]]


async def test_check_knows_it(worker, emulators):
    checked = await worker("check", "--json", HANDLERS="presence", PRESENCE_STREAM="presence")

    rows = {row["name"]: (row["state"], row["found"]) for row in checked.json}
    assert rows["job presence"] == ("ok", "set: PRESENCE_STREAM")
    assert rows["job presence: kinesis"] == ("ok", "a client opens; not called")
    assert "Genesys token" not in rows


async def test_inspect_knows_it(worker, tmp_path):
    (tmp_path / "event.json").write_text(an_event(TOPIC, {"number": 1}))

    [found] = (await worker("inspect", "--json", tmp_path / "event.json")).json

    assert (found["event"], found["job"], found["passed"]) == ("AnyEvent", "presence", True)
    assert found["state"] == "off: lacks PRESENCE_STREAM"
    assert found["effects"] == {"partitionKey": found["facts"]["dedupeKey"]}


async def test_source_knows_its_topic(worker, emulators):
    create = ("source", "create", "s", "--account", "111122223333", "--region", "eu-west-1")

    done = await worker(*create, "--json", PRESENCE_STREAM="presence")

    assert done.json["steps"] == ["create", "configure"]
    assert done.json["topics"][-1] == TOPIC


async def test_the_demo_proves_it(worker):
    done = await worker("demo", "--events", "20")

    assert done.code == 0, done.out + done.err
    assert "Kinesis records of presence" in done.out


@pytest.mark.parametrize("name", ["voice", "json", "class", "Presence", "a", "worker"])
async def test_a_name_that_could_be_no_job_is_refused(worker, tmp_path, name):
    done = await worker("new-job", name, "--folder", tmp_path / "new")

    assert (done.code, done.err.startswith("NAME: ")) == (2, True)
    assert not (tmp_path / "new").exists()


def names_in(folder):
    return [path.name for path in folder.iterdir()]


async def test_what_is_there_is_not_overwritten(worker, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")

    done = await worker("new-job", "presence", "--folder", tmp_path)

    assert done.code == 2
    assert names_in(tmp_path) == ["mine.txt"]

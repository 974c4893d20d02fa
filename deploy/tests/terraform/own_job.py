"""A job of another package, as `worker new-job` writes it, for the module to take by its entry."""  # noqa: INP001  a script's folder

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

NAME = "presence"
STREAM = "presence"
SETTINGS = {"PRESENCE_STREAM": STREAM}
TOPIC = "v2.users.{id}.presence"
SOURCES = f"{NAME}/src"
ENTRY = f"[genesys_event_worker.jobs]\n{NAME} = {NAME}:JOB\n"


def install(work: Path) -> None:
    """Write the job, and beside it what pip would leave of it."""
    subprocess.run((sys.executable, "-m", "worker", "new-job", NAME), cwd=work, check=True)  # noqa: S603  our own interpreter
    about = work / SOURCES / f"{NAME}-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {NAME}-jobs\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(ENTRY)


def path(work: Path) -> dict[str, str]:
    """Return the environment that has the job."""
    found = (str(work / SOURCES), os.environ.get("PYTHONPATH", ""))
    return {"PYTHONPATH": os.pathsep.join(filter(None, found))}


def catalogue(work: Path) -> list[dict[str, Any]]:
    """Return what `worker jobs --json` prints where the job is installed."""
    if not (work / SOURCES).exists():
        install(work)
    command = (sys.executable, "-m", "worker", "jobs", "--json")
    printed = subprocess.check_output(command, env={**os.environ, **path(work)})  # noqa: S603  our own interpreter
    jobs: list[dict[str, Any]] = json.loads(printed)["jobs"]
    return jobs


def event(bus: str, number: int) -> Mapping[str, Any]:
    """Return an entry for the bus."""
    user = f"0a5e7000-0000-4000-8000-{number:012d}"
    detail = {"topicName": TOPIC.replace("{id}", user), "eventBody": {"id": user}}
    return {
        "Source": bus,
        "DetailType": TOPIC,
        "Detail": json.dumps(detail),
        "EventBusName": bus,
    }

"""Commands of a worker that has more jobs than those of the box."""

import asyncio
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from worker.testing import emulators  # noqa: F401  a fixture

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Run:
    code: int
    out: str
    err: str

    @property
    def json(self):
        return json.loads(self.out)


async def run_python(*arguments, site, cwd=None, **environ):
    """Run the interpreter with the packages of a folder; None unsets a variable."""
    path = os.pathsep.join([str(site), str(ROOT)])
    merged = {**os.environ, "PYTHONPATH": path, "COLUMNS": "200", **environ}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *map(str, arguments),
        cwd=cwd,
        env={name: value for name, value in merged.items() if value is not None},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return Run(process.returncode, out.decode(), err.decode())


@pytest.fixture
def a_distribution(tmp_path):
    """Install a module with an entry point, as pip would leave it; return the folder."""

    def install(name, source, target="JOB"):
        site = tmp_path / "site"
        info = site / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (site / f"{name}.py").write_text(source)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-jobs\nVersion: 1.0\n")
        entry = f"[genesys_event_worker.jobs]\n{name} = {name}:{target}\n"
        (info / "entry_points.txt").write_text(entry)
        return site

    return install

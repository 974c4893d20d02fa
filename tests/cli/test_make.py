"""`make demo` and `make test` where Python is too old: one line, and nothing left behind."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NEEDED = "Python 3.11 or newer with venv is needed. python3: "

INTERPRETER = """#!/bin/sh
[ "$1" = -c ] && exec {python} -c 'import sys; {lie}; exec(sys.argv[1])' "$2"
exec {python} "$@"
"""
OLDER = "sys.version_info = (3, 10, 13)"
WITHOUT_VENV = 'sys.modules["ensurepip"] = None'
"""As Debian's without python3-venv."""


@pytest.fixture
def make(tmp_path):
    """Run make in a copy of what it reads, with a `python3` of the test's first on PATH."""
    (tmp_path / "deploy").mkdir()
    for path in ("Makefile", "pyproject.toml", "deploy/requirements-demo.txt"):
        shutil.copy(ROOT / path, tmp_path / path)
    shutil.copy(ROOT / "deploy/requirements-dev.txt", tmp_path / "deploy")
    binaries = tmp_path / "bin"
    binaries.mkdir()

    def run(target, lie=None):
        if lie:
            (binaries / "python3").write_text(INTERPRETER.format(python=sys.executable, lie=lie))
            (binaries / "python3").chmod(0o755)
        else:
            (binaries / "tail").symlink_to(shutil.which("tail"))
        path = f"{binaries}:/usr/bin:/bin" if lie else str(binaries)
        # Without MAKEFLAGS: these tests are run by make, too.
        return subprocess.run(  # noqa: S603
            [shutil.which("make"), "-C", tmp_path, "--no-print-directory", target],
            env={"PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.mark.parametrize("target", ["demo", "test"])
def test_an_older_python_ends_in_one_line_that_says_what_is_needed(make, tmp_path, target):
    done = make(target, OLDER)

    [line] = (done.stdout + done.stderr).splitlines()
    assert NEEDED + "3.10." in line
    assert f"make {target} PYTHON=" in line
    assert done.returncode == 2
    assert not (tmp_path / ".venv").exists()


def test_a_python_without_venv_is_named_before_anything_is_made(make, tmp_path):
    done = make("demo", WITHOUT_VENV)

    [line] = done.stderr.splitlines()
    assert NEEDED in line
    assert "ensurepip" in line
    assert not (tmp_path / ".venv").exists()


def test_no_python_at_all_ends_in_one_line_too(make, tmp_path):
    done = make("demo")

    [line] = done.stderr.splitlines()
    assert NEEDED in line
    assert not (tmp_path / ".venv").exists()

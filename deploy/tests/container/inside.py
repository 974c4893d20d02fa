"""Run by the image's own Python: prints what is not as promised, and then ends with 1.

The container must be started as in production: read-only, /tmp in memory, no capabilities.
"""  # noqa: INP001  a script

import errno
import os
import shutil
import stat
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

UID = 10001
TOOLS = ("pip", "pip3", "wheel", "gcc", "cc", "g++", "clang", "ld", "strip", "make", "git", "uv")
PACKAGES = (
    "pip",
    "setuptools",
    "wheel",
    "pkg_resources",
    "ensurepip",
    "hatchling",
    "moto",
    "pytest",
)


def main() -> None:
    """Check, report, and return the exit code."""
    found = list(_wrong())
    for line in found:
        sys.stdout.write(f"{line}\n")
    sys.exit(1 if found else 0)


def _wrong() -> Iterator[str]:
    yield from _user()
    yield from _files()
    yield from (f"{tool} is there" for tool in TOOLS if shutil.which(tool))
    yield from (f"package {name} is there" for name in PACKAGES if find_spec(name))


def _user() -> Iterator[str]:
    status = dict(
        line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines()
    )
    if (os.getuid(), os.getgid()) != (UID, UID):
        yield f"uid {os.getuid()}, gid {os.getgid()}"
    if int(status["CapEff"], 16) or int(status["CapBnd"], 16):
        yield f"capabilities {status['CapEff']} of {status['CapBnd']}"
    if status["NoNewPrivs"].strip() != "1":
        yield "may gain privileges"


def _files() -> Iterator[str]:
    try:
        Path("/opt/worker/written").touch()
        yield "/opt/worker can be written"
    except OSError as error:
        if error.errno != errno.EROFS:
            yield f"/opt/worker: {error.strerror}, not a read-only file system"
    Path("/tmp/written").touch()  # noqa: S108  the mount is what is tested
    packages = next(Path("/opt/worker/lib").glob("python3*/site-packages"))
    if not list(packages.glob("worker/__pycache__/errors.*.pyc")):
        yield "the worker is not compiled"
    if Path("/build").exists():
        yield "the build's folder is there"
    for path in Path("/opt").rglob("*"):
        mode = path.lstat().st_mode
        if not stat.S_ISLNK(mode) and mode & (stat.S_IWOTH | stat.S_ISUID | stat.S_ISGID):
            yield f"{path}: mode {mode:o}"


if __name__ == "__main__":
    main()

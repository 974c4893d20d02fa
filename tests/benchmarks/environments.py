"""An environment for each peer, from exact pins; made once, kept until the pins change."""

import asyncio
import hashlib
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.benchmarks.contest import Unmeasured

ROOT = Path(__file__).parents[2]
PEERS = Path(__file__).parent / "peers"
REQUIREMENTS = ROOT / "deploy" / "requirements.txt"
OPTIMISED = Path(os.environ.get("BENCH_OPTIMISED_PYTHON") or "/usr/bin/python3")
"""A Python built with PGO and LTO, as in the worker's image: Debian's, if no other is named."""


class NotInstalled(Unmeasured):
    """An environment could not be made; its text says why."""


async def python_of(name: str, work: Path, *, optimised: bool = False) -> Path:
    """Return the interpreter of an environment with what `peers/<name>.txt` pins.

    Raises NotInstalled.
    """
    pins = PEERS / f"{name}.txt"
    home = work / f"{name}-{_digest(pins)}{'-optimised' * optimised}"
    base = _optimised() if optimised else Path(sys.executable)
    return await _environment(home, base, ["-r", pins])


async def our_python(work: Path) -> Path:
    """Return the optimised Python with what the worker's image has, and this worker.

    Raises NotInstalled.
    """
    home = work / f"ours-optimised-{_digest(REQUIREMENTS, str(ROOT))}"
    pinned = ["--require-hashes", "-r", REQUIREMENTS]
    return await _environment(home, _optimised(), pinned, ["--no-deps", "-e", ROOT])


async def _environment(home: Path, base: Path, *installed: Sequence[str | Path]) -> Path:
    python = home / "bin" / "python"
    if not (home / "complete").exists():
        uv = Path(sys.executable).parent / "uv"
        await _call(uv, "venv", "-q", "--clear", "--python", base, home)
        for arguments in installed:
            await _call(uv, "pip", "install", "-q", "--python", python, *arguments)
        (home / "complete").touch()
    return python


def _optimised() -> Path:
    if not OPTIMISED.exists():
        raise NotInstalled(
            f"there is no {OPTIMISED}: install Debian's python3, "
            "or name another Python with PGO and LTO by BENCH_OPTIMISED_PYTHON"
        )
    return OPTIMISED


async def node_modules(work: Path) -> Path:
    """Return a folder with the Node peers' programs and, beside them, what `package.json` pins.

    Raises NotInstalled.
    """
    package = PEERS / "package.json"
    home = work / f"node-{_digest(package)}"
    if not (home / "complete").exists():
        home.mkdir(parents=True, exist_ok=True)
        shutil.copy(package, home)
        await _call("npm", "install", "--no-audit", "--no-fund", "--silent", cwd=home)
        (home / "complete").touch()
    for program in PEERS.glob("*.mjs"):  # Node looks for modules from where the program is
        shutil.copy(program, home)
    return home


async def go_program(source: str, work: Path) -> Path:
    """Return a Go peer, built with the compiler and the AWS SDK that Debian packages.

    Debian: golang-go, golang-github-aws-aws-sdk-go-v2-dev. Raises NotInstalled.
    """
    path = PEERS / source
    program = work / f"{path.stem}-{_digest(path)}"
    if not program.exists():
        debian = {"GOPATH": "/usr/share/gocode", "GO111MODULE": "off", "GOCACHE": str(work / "go")}
        await _call("go", "build", "-o", program, path, environment=debian)
    return program


async def _call(
    *command: str | Path, cwd: Path | None = None, environment: Mapping[str, str] | None = None
) -> None:
    try:
        process = await asyncio.create_subprocess_exec(
            *map(str, command),
            cwd=cwd,
            env={**os.environ, **(environment or {})},
            stdout=-1,
            stderr=asyncio.subprocess.STDOUT,
        )
    except OSError as error:
        raise NotInstalled(f"{command[0]}: {error.strerror}") from error
    output, _ = await process.communicate()
    if process.returncode:
        last = output.decode(errors="replace").strip().splitlines()[-1:]
        raise NotInstalled(f"{Path(command[0]).name} ended with {process.returncode}: {last}")


def _digest(pins: Path, more: str = "") -> str:
    return hashlib.sha256(pins.read_bytes() + more.encode()).hexdigest()[:12]

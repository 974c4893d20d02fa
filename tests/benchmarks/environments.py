"""An environment for each peer, from exact pins; made once, kept until the pins change."""

import asyncio
import hashlib
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.benchmarks.contest import Unmeasured

PEERS = Path(__file__).parent / "peers"


class NotInstalled(Unmeasured):
    """An environment could not be made; its text says why."""


async def python_of(name: str, work: Path) -> Path:
    """Return the interpreter of an environment with what `peers/<name>.txt` pins.

    Raises NotInstalled.
    """
    pins = PEERS / f"{name}.txt"
    home = work / f"{name}-{_digest(pins)}"
    python = home / "bin" / "python"
    if not (home / "complete").exists():
        uv = Path(sys.executable).parent / "uv"
        await _call(uv, "venv", "-q", "--clear", "--python", sys.executable, home)
        await _call(uv, "pip", "install", "-q", "--python", python, "-r", pins)
        (home / "complete").touch()
    return python


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


def _digest(pins: Path) -> str:
    return hashlib.sha256(pins.read_bytes()).hexdigest()[:12]

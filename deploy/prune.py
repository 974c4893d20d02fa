"""Drops from the installed packages what the worker cannot need; a step of the image's build.

botocore describes some 400 services. A client of one that was dropped fails with
UnknownServiceError, so each service that is kept is opened here, the way the worker does it.
Also dropped: boto3's resources, pygments' languages (rich colours code with them; we print none),
and what only compilers and type checkers read.
"""  # noqa: INP001  a script

import asyncio
import shutil
import sys
from importlib import resources
from pathlib import Path

from botocore.session import get_session

from worker.app.jobs import known_jobs
from worker.clients.aws.session import AwsSession, ClientLimits

OWN = ("dynamodb", "events", "iam", "sqs")
"""What the worker calls, whatever its jobs; `iam` is `worker check`'s, about its own role."""

CREDENTIALS = ("sso", "sso-oidc", "sts")
"""What the SDK calls on its way to credentials: roles of pods, profiles of people."""

SOURCES = {".pyi", ".pyx", ".pxd", ".c", ".h"}


def services() -> tuple[str, ...]:
    """Return what the worker and the installed jobs call: each job declares it."""
    declared = {service for job in known_jobs().values() for service in job.aws_services}
    return tuple(sorted({*OWN, *declared}))


def main() -> None:
    """Prune, report how much that was, and prove that every client still opens."""
    kept = services()
    data = _folder("botocore") / "data"
    packages = _folder("botocore").parent
    before = _size(packages)
    for folder in data.iterdir():
        if folder.is_dir() and folder.name not in {*kept, *CREDENTIALS}:
            shutil.rmtree(folder)
    shutil.rmtree(_folder("boto3") / "data")
    for file in (_folder("pygments") / "lexers").glob("*.py"):
        if file.stem not in {"__init__", "_mapping"}:
            file.unlink()
    for file in packages.rglob("*"):
        if file.suffix in SOURCES:
            file.unlink()
    asyncio.run(_open_all(kept))
    sys.stdout.write(f"kept: {', '.join(kept)}\n")
    sys.stdout.write(f"pruned: {before / 1e6:.1f} MB to {_size(packages) / 1e6:.1f} MB\n")


async def _open_all(services: tuple[str, ...]) -> None:
    limits = ClientLimits(pool=1, read_seconds=1, attempts=1)
    # The wire clients need the endpoint rules only; a setting away, the SDK's need the models.
    for session in (AwsSession("eu-west-1", "wire"), AwsSession("eu-west-1", "sdk")):
        for service in services:
            async with session.client(service, limits):
                pass
    for service in CREDENTIALS:
        get_session().create_client(service, region_name="eu-west-1")


def _folder(package: str) -> Path:
    return Path(str(resources.files(package)))


def _size(folder: Path) -> int:
    return sum(file.lstat().st_size for file in folder.rglob("*"))


if __name__ == "__main__":
    main()

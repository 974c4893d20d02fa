"""The report by hand: the reader and the writer of the handler, with a progress bar."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from worker.app.upstreams import Upstreams
from worker.cli.report_wanted import Wanted
from worker.cli.upstream import open_genesys
from worker.clients.aws.session import AwsSession, ClientLimits
from worker.clients.genesys.details_jobs import DetailsJobs
from worker.clients.genesys.dialects import dialect_of
from worker.errors import ConfigurationError, Permanent
from worker.jobs.reports.bucket import Bucket
from worker.jobs.reports.events import ReportDue
from worker.jobs.reports.files import File, folder
from worker.jobs.reports.handler import Shelf, links, ready, written
from worker.jobs.reports.manifest import Manifest, manifest_key
from worker.jobs.reports.reader import DetailsReader, Progress
from worker.jobs.reports.report import iso
from worker.settings import Aws, Genesys, Report, load_group
from worker.settings import Breaker as BreakerSettings

S3_LIMITS = ClientLimits(pool=4, read_seconds=30, attempts=4)
GLANCE_SECONDS = 0.2


class Folder:
    """Files on this machine, laid out as in the bucket."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def put(self, folder: str, file: File) -> str:
        """Write or replace one file; return its path."""
        return await asyncio.to_thread(self._write, self._root / folder / file.name, file.body)

    def _write(self, path: Path, body: bytes) -> str:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        return str(path)


async def report_to_folder(wanted: Wanted, root: Path) -> dict[str, Any]:
    """Write the report below `root`; return what to tell."""
    due = wanted.due()
    manifest = await _report(due, Folder(root))
    place = root / folder(due.name, due.start)
    return _told(manifest) | {
        "files": [{"path": str(place / entry.name)} for entry in manifest.files]
    }


async def report_to_bucket(wanted: Wanted) -> dict[str, Any]:
    """Write the report to REPORT_BUCKET; return what to tell, links included."""
    due = wanted.due()
    async with _open_bucket() as bucket:
        manifest = await _report(due, bucket)
        signed = await links(bucket, folder(due.name, due.start), manifest)
        return ready(manifest, bucket.name, signed)


async def links_anew(name: str, start: datetime) -> dict[str, Any]:
    """Sign links to a report that is there; Permanent when there is none."""
    async with _open_bucket() as bucket:
        manifest = Manifest.read(await bucket.get(manifest_key(name, start)))
        if manifest is None:
            raise Permanent(f"no report {name} from {iso(start)} in the bucket")
        return ready(manifest, bucket.name, await links(bucket, folder(name, start), manifest))


async def _report(due: ReportDue, shelf: Shelf) -> Manifest:
    settings, genesys = load_group(Report), load_group(Genesys)
    dialect = dialect_of(genesys)
    async with open_genesys(genesys) as api:
        reader = DetailsReader(
            api,
            dialect.pages(settings.page_size),
            settings.concurrency,
            _now,
            DetailsJobs(api) if settings.use_jobs and "details_jobs" in dialect.features else None,
        )
        async with _shown() as progress:
            return await written(due, reader, shelf, now=_now, progress=progress)


def _told(manifest: Manifest) -> dict[str, Any]:
    return {
        "reportId": manifest.report_id,
        "name": manifest.name,
        "interval": manifest.interval,
        "asOf": iso(manifest.as_of),
        "conversationCount": manifest.conversation_count,
        "rowCount": manifest.row_count,
        "complete": not manifest.is_degraded,
    }


@asynccontextmanager
async def _open_bucket() -> AsyncIterator[Bucket]:
    settings, aws = load_group(Report), load_group(Aws)
    if settings.bucket is None:
        raise ConfigurationError(["REPORT_BUCKET: is missing; or name a folder with --out"])
    upstreams = Upstreams(load_group(BreakerSettings), Random())  # noqa: S311  jitter, not secrets
    async with AwsSession(aws).client("s3", S3_LIMITS) as client:
        yield Bucket(client, settings.bucket, upstreams.aws("s3"), settings.url_seconds, _now)


@asynccontextmanager
async def _shown() -> AsyncIterator[Progress]:
    """Show how far the reading is; on stderr, and only where somebody looks."""
    progress = Progress()
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("slices  {task.fields[rows]:,} conversations"),
        TimeElapsedColumn(),
    )
    with Bar(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        looking = asyncio.create_task(_follow(bar, progress))
        try:
            yield progress
        finally:
            looking.cancel()
            await asyncio.wait([looking])


async def _follow(bar: Bar, progress: Progress) -> None:
    task = bar.add_task("reading", total=None, rows=0)
    while True:
        bar.update(
            task,
            total=progress.slices or None,
            completed=progress.slices_done,
            rows=progress.conversations,
        )
        await asyncio.sleep(GLANCE_SECONDS)


def _now() -> datetime:
    return datetime.now(UTC)

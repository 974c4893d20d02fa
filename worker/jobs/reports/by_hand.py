"""The report by hand, as `worker report` makes it: what can be asked for, and where files go.

The command's own door: nothing else of this folder is imported from outside.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from worker.api import ConfigurationError, Context, Origin, Permanent, read_id
from worker.jobs.reports import ReportSettings, open_bucket, open_names, open_reader
from worker.jobs.reports.bucket import ReportBucket
from worker.jobs.reports.events import ReportDue, timezone_of
from worker.jobs.reports.files import File, Manifest, folder, manifest_key
from worker.jobs.reports.handler import FileStore, links, ready, written
from worker.jobs.reports.reader import Progress, day_slices
from worker.jobs.reports.report import iso
from worker.jobs.reports.rows import MEDIA_TYPES, dimensions_of

__all__ = [
    "Progress",
    "ReportSettings",
    "Wanted",
    "sign_again",
    "timezone_of",
    "to_bucket",
    "to_folder",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The report that is asked for on the command line."""

    name: str
    start: datetime
    end: datetime
    media_type: str | None
    queue_ids: tuple[str, ...]
    group_by: tuple[str, ...]
    timezone: str = "UTC"

    def due(self) -> ReportDue:
        """Return it as an event; each run is one of its own.

        Raises ConfigurationError that names every option no report can have.
        """
        if problems := list(self._problems()):
            raise ConfigurationError(problems)
        return ReportDue(
            origin=self._origin(datetime.now(UTC)),
            name=self.name,
            start=self.start,
            end=self.end,
            media_type=self.media_type and self.media_type.lower(),
            queue_ids=self.queue_ids,
            group_by=self.group_by,
            timezone=self.timezone,
        )

    def _origin(self, moment: datetime) -> Origin:
        parts = (self.name, iso(self.start), iso(self.end), iso(moment))
        identity = "|".join(parts)
        return Origin(
            event_id=sha256(identity.encode()).hexdigest(),
            detail_type="report.due",
            identity=identity,
            occurred_at=moment,
        )

    def _problems(self) -> Iterator[str]:
        try:
            day_slices(self.start, self.end)
        except Permanent as error:
            yield f"--from, --to: {_fault(error)}"
        try:
            dimensions_of(self.group_by)
        except Permanent as error:
            yield f"--group-by: {_fault(error)}"
        # Stricter than for an event: Genesys may add a type before we know it, and a schedule that
        # names it must not be dead-lettered. Here it is a typing error: an empty report.
        if self.media_type is not None and self.media_type.lower() not in MEDIA_TYPES:
            yield f"--media-type: none of {', '.join(MEDIA_TYPES)}"
        yield from self._queue_problems()

    def _queue_problems(self) -> Iterator[str]:
        for position, queue_id in enumerate(self.queue_ids, start=1):
            try:
                read_id(queue_id, f"--queue-id: entry {position}")
            except Permanent:
                known = "GET /api/v2/routing/queues lists the ids of the queues"
                yield f"--queue-id: entry {position} is not a UUID; {known}"


def _fault(error: Permanent) -> str:
    """Return what is wrong, without the name that it has in an event."""
    return error.reason.partition(": ")[2]


class Folder:
    """Files on this machine, laid out as in the bucket."""

    def __init__(self, root: Path) -> None:
        self._root = root

    async def put(self, folder: str, file: File) -> str:
        """Write or replace one file; return its path."""
        return await asyncio.to_thread(self._write, self._root / folder / file.name, file.body)

    async def get(self, key: str) -> bytes | None:
        """Return a file; None when there is none."""
        return await asyncio.to_thread(self._read, self._root / key)

    def _read(self, path: Path) -> bytes | None:
        return path.read_bytes() if path.is_file() else None

    def _write(self, path: Path, body: bytes) -> str:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        return str(path)


async def to_folder(
    context: Context, settings: ReportSettings, due: ReportDue, root: Path, progress: Progress
) -> dict[str, Any]:
    """Write the report below `root`; return what to print."""
    manifest = await _report(context, settings, due, Folder(root), progress)
    place = root / folder(due.name, due.start)
    return _facts(manifest) | {
        "files": [{"path": str(place / entry.name)} for entry in manifest.files]
    }


async def to_bucket(
    context: Context, settings: ReportSettings, due: ReportDue, progress: Progress
) -> dict[str, Any]:
    """Write the report to REPORT_BUCKET; return what to print, links included."""
    bucket = await _bucket(context, settings)
    manifest = await _report(context, settings, due, bucket, progress)
    return await _signed(bucket, folder(due.name, due.start), manifest)


async def sign_again(
    context: Context, settings: ReportSettings, name: str, start: datetime
) -> dict[str, Any]:
    """Sign links to a report that exists; Permanent when it does not."""
    bucket = await _bucket(context, settings)
    manifest = Manifest.read(await bucket.get(manifest_key(name, start)))
    if manifest is None:
        raise Permanent(f"no report {name} from {iso(start)} in the bucket")
    return await _signed(bucket, folder(name, start), manifest)


async def _signed(bucket: ReportBucket, place: str, manifest: Manifest) -> dict[str, Any]:
    return ready(manifest, bucket.name, await links(bucket, place, manifest))


async def _bucket(context: Context, settings: ReportSettings) -> ReportBucket:
    if settings.report_bucket is None:
        raise ConfigurationError(["REPORT_BUCKET: is not set; or name a folder with --out"])
    return await open_bucket(context, settings)


async def _report(
    context: Context,
    settings: ReportSettings,
    due: ReportDue,
    store: FileStore,
    progress: Progress,
) -> Manifest:
    genesys = await context.genesys()
    # A report waits minutes for an upstream that is down: a wrong host is found out first.
    await genesys.tokens.get()
    return await written(
        due,
        open_reader(context, settings, genesys),
        store,
        now=context.now,
        names=open_names(context, genesys),
        progress=progress,
        reads_previous=settings.report_read_previous,
    )


def _facts(manifest: Manifest) -> dict[str, Any]:
    return {
        "reportId": manifest.report_id,
        "name": manifest.name,
        "interval": manifest.interval,
        "asOf": iso(manifest.as_of),
        "conversationCount": manifest.conversation_count,
        "rowCount": manifest.row_count,
        "complete": not manifest.is_degraded,
    }

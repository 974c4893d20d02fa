"""A due report becomes files in S3, and a notification to its subscribers."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Protocol

import structlog

from worker.api import Bus, Names, OncePerKey, Result, Webhook, best_effort
from worker.jobs.reports.bucket import Bucket, Link
from worker.jobs.reports.events import ReportDue
from worker.jobs.reports.files import File, Manifest, files_of, folder, manifest_key
from worker.jobs.reports.reader import DetailsReader, Progress
from worker.jobs.reports.report import Report, ids_of, iso, report_id, report_of

SOURCE = "genesys.report.writer"
READY = "report.ready"
"""`detail-type` of the event, and `eventType` of the webhook's body."""

NAMES = "report_names"
"""The optional effect, in logs and metrics."""

NAMES_SECONDS = 300.0
"""Time for the names of a report, the wait for the request budget included."""

log = structlog.get_logger(__name__)


class FileStore(Protocol):
    """Where files go: the bucket, or a folder on this machine."""

    async def put(self, folder: str, file: File) -> str:
        """Write or replace one file; return where it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscribers:
    """Who is notified that a report is ready, and who was notified already."""

    bus: Bus
    hook: Webhook | None
    once_per_key: OncePerKey


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteReport:
    """ReportDue → conversations → figures → files → links → `report.ready`."""

    reader: DetailsReader
    bucket: Bucket
    subscribers: Subscribers
    now: Callable[[], datetime]
    """Wall clock, aware: what figures are «as of»."""

    names: Names | None = None
    """None: the dialect has no lists of them."""

    async def __call__(self, event: ReportDue) -> Result:
        """Write the report and announce that it is ready.

        Raises what the clients raise. A repeat of an event whose files are all there only
        announces it again: reading costs thousands of requests, and a receiver that is down must
        not cost them.
        """
        manifest = await self._written_before(event)
        if manifest is None:
            store, names = self.bucket, self.names
            manifest = await written(event, self.reader, store, now=self.now, names=names)
        signed = await links(self.bucket, folder(event.name, event.start), manifest)
        await self._announce(event, manifest.report_id, ready(manifest, self.bucket.name, signed))
        return Result.DEGRADED if manifest.is_degraded else Result.OK

    async def _written_before(self, event: ReportDue) -> Manifest | None:
        found = Manifest.read(await self.bucket.get(manifest_key(event.name, event.start)))
        return found if found is not None and found.report_id == report_id(event) else None

    async def _announce(self, event: ReportDue, report: str, body: Mapping[str, Any]) -> None:
        to = self.subscribers
        time = event.origin.occurred_at
        put = partial(to.bus.put, READY, body, source=SOURCE, time=time)
        await to.once_per_key.once((READY, report), put)
        if to.hook is not None:
            await to.hook.post({"eventType": READY, **body}, delivery_id=report)


async def written(
    due: ReportDue,
    reader: DetailsReader,
    store: FileStore,
    *,
    now: Callable[[], datetime],
    names: Names | None = None,
    progress: Progress | None = None,
) -> Manifest:
    """Read, add up and write all files; the manifest is the last one."""
    as_of = now()
    aggregate = await reader.read(due, progress)
    report = report_of(due, aggregate, as_of)
    files = files_of(report, await names_of(report, names) if names else {})
    manifest = Manifest.of(report, files)
    place = folder(due.name, due.start)
    for file in (*files, manifest.file()):
        await store.put(place, file)
    log.info(
        "report_written",
        report=due.name,
        report_id=report.id,
        conversations=manifest.conversation_count,
        groups=manifest.row_count,
        unsettled_slices=manifest.unsettled_slices,
    )
    return manifest


async def names_of(report: Report, names: Names) -> Mapping[str, str]:
    """Return the names of what a report has ids of, as far as they can be had."""
    found: dict[str, str] = {}
    await asyncio.gather(*(_find(names, *asked, found) for asked in ids_of(report).items()))
    return found


async def _find(names: Names, dimension: str, ids: Iterable[str], found: dict[str, str]) -> None:
    # Apart: a client may be allowed to see queues, and not users.
    async with best_effort(NAMES), asyncio.timeout(NAMES_SECONDS):
        await names.find(dimension, ids, found)


async def links(bucket: Bucket, place: str, manifest: Manifest) -> list[Link]:
    """Sign a link to each file of the report in the folder `place`."""
    return [await bucket.link(place + entry.name) for entry in manifest.files]


def ready(manifest: Manifest, bucket: str, signed: list[Link]) -> dict[str, Any]:
    """Return the body of `report.ready`."""
    return {
        "reportId": manifest.report_id,
        "name": manifest.name,
        "interval": manifest.interval,
        "asOf": iso(manifest.as_of),
        "conversationCount": manifest.conversation_count,
        "rowCount": manifest.row_count,
        "complete": not manifest.is_degraded,
        "bucket": bucket,
        "files": [{"key": link.key, "url": link.url} for link in signed],
        "expiresAt": iso(min(link.expires_at for link in signed)),
        "expiryLimitedByCredentials": any(link.cut_by_credentials for link in signed),
    }

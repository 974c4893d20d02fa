"""A due report becomes files in S3, and a notification to its subscribers."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import structlog
from msgspec.structs import replace

from worker.api import Bus, Names, OncePerKey, Result, Webhook, best_effort
from worker.jobs.reports.bucket import Link, ReportBucket
from worker.jobs.reports.events import ReportDue
from worker.jobs.reports.files import (
    File,
    Manifest,
    figures_key,
    files_of,
    folder,
    manifest_key,
    previous_in,
)
from worker.jobs.reports.reader import DetailsReader, Progress
from worker.jobs.reports.report import (
    Previous,
    Report,
    ids_of,
    iso,
    period,
    previous_of,
    report_id,
    report_of,
    span_before,
)

SOURCE = "genesys.report.writer"
READY = "report.ready"
"""`detail-type` of the event, and `eventType` of the webhook's body."""

NAMES = "report_names"
"""The optional effect, in logs and metrics."""

NAMES_SECONDS = 300.0
"""Time for the names of a report, the wait for the request budget included."""

FIRST_YEAR = 1970
"""No conversation is older, and no calendar has a period before the first one."""

PREVIOUS = "report_previous"
"""The optional effect, in logs and metrics."""

PREVIOUS_SECONDS = 600.0
"""Time for the figures of the period before: a report must not fail for a comparison."""

log = structlog.get_logger(__name__)


class FileStore(Protocol):
    """Where files go: the bucket, or a folder on this machine."""

    async def put(self, folder: str, file: File) -> str:
        """Write or replace one file; return where it is."""

    async def get(self, key: str) -> bytes | None:
        """Return a file; None when there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscribers:
    """Who is notified that a report is ready, and who was notified already."""

    bus: Bus
    hook: Webhook | None
    once_per_key: OncePerKey
    form: str = "json"
    """A key of `FORMS`: what the hook takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteReport:
    """ReportDue → conversations → figures → files → links → `report.ready`."""

    reader: DetailsReader
    bucket: ReportBucket
    subscribers: Subscribers
    now: Callable[[], datetime]
    """Wall clock, aware: what figures are «as of»."""

    names: Names | None = None
    """None: the dialect has no lists of them."""

    reads_previous: bool = False
    """Whether the period before is read where no report of it is stored."""

    async def __call__(self, event: ReportDue) -> Result:
        """Write the report and announce that it is ready.

        Raises what the clients raise. A repeat of an event whose files are all there only
        announces it again: reading costs thousands of requests, and a receiver that is down must
        not cost them.
        """
        manifest = await self._written_before(event)
        if manifest is None:
            manifest = await written(
                event,
                self.reader,
                self.bucket,
                now=self.now,
                names=self.names,
                reads_previous=self.reads_previous,
            )
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
            await to.hook.post(FORMS[to.form]({"eventType": READY, **body}), delivery_id=report)


async def written(
    due: ReportDue,
    reader: DetailsReader,
    store: FileStore,
    *,
    now: Callable[[], datetime],
    names: Names | None = None,
    progress: Progress | None = None,
    reads_previous: bool = False,
) -> Manifest:
    """Read, add up and write all files; the manifest is the last one."""
    as_of = now()
    aggregate = await reader.read(due, progress)
    previous = await previous_figures(due, store, reader if reads_previous else None, progress)
    # In a thread: of a thousand groups it takes a while, and once only.
    report = await asyncio.to_thread(report_of, due, aggregate, as_of, previous)
    found = await names_of(report, names) if names else {}
    files = await asyncio.to_thread(files_of, report, found)
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


async def previous_figures(
    due: ReportDue, store: FileStore, reader: DetailsReader | None, progress: Progress | None
) -> Previous | None:
    """Return the figures of the period before from its report, or read them if there is a reader.

    Best effort. Those of the stored report are preferred: they cost nothing, and were read as long
    after their period as these are.
    """
    previous = None
    if due.start.year < FIRST_YEAR:
        return None
    async with best_effort(PREVIOUS), asyncio.timeout(PREVIOUS_SECONDS):
        span = span_before(due)
        previous = previous_in(await store.get(figures_key(due.name, span[0])), due, span)
        if previous is None and reader is not None:
            before = replace(due, start=span[0], end=span[1])
            previous = previous_of(span, await reader.read(before, progress))
    return previous


async def names_of(report: Report, names: Names) -> Mapping[str, str]:
    """Return the names of what a report has ids of, as far as they can be had."""
    found: dict[str, str] = {}
    await asyncio.gather(*(_find(names, *asked, found) for asked in ids_of(report).items()))
    return found


async def _find(names: Names, dimension: str, ids: Iterable[str], found: dict[str, str]) -> None:
    # Apart: a client may be allowed to see queues, and not users.
    async with best_effort(NAMES), asyncio.timeout(NAMES_SECONDS):
        await names.find(dimension, ids, found)


async def links(bucket: ReportBucket, place: str, manifest: Manifest) -> list[Link]:
    """Sign a link to each file of the report in the folder `place`."""
    return [await bucket.link(place + entry.name) for entry in manifest.files]


def ready(manifest: Manifest, bucket: str, signed: list[Link]) -> dict[str, Any]:
    """Return the body of `report.ready`."""
    return {
        "reportId": manifest.report_id,
        "name": manifest.name,
        "interval": manifest.interval,
        "timezone": manifest.timezone,
        "asOf": iso(manifest.as_of),
        "conversationCount": manifest.conversation_count,
        "rowCount": manifest.row_count,
        "complete": not manifest.is_degraded,
        "bucket": bucket,
        "files": [{"key": link.key, "url": link.url} for link in signed],
        "expiresAt": iso(min(link.expires_at for link in signed)),
        "expiryLimitedByCredentials": any(link.cut_by_credentials for link in signed),
    }


Body = Mapping[str, Any]

LABELS = {"report.html": "Page", "report.csv": "CSV", "report.json": "JSON"}

SLACK_TEXT = 3_000
"""Characters of a section: https://docs.slack.dev/reference/block-kit/blocks/section-block"""


def slack(body: Body) -> Body:
    """Return the message for an incoming webhook of Slack.

    A section per link: together, signed ones are longer than a section may be. Not buttons: Slack
    reports each click on one to an app, and warns where none answers. Without previews: Slack would
    fetch the files. https://docs.slack.dev/messaging/sending-messages-using-incoming-webhooks
    """
    summary = _slack_text(_summary(body))
    links = (f"<{_slack_text(url)}|{label}>" for label, url in _links(body))
    texts = [f"*{_slack_text(body['name'])}*\n{summary}"]
    texts += [link for link in links if len(link) <= SLACK_TEXT]
    return {
        "text": f"{_slack_text(body['name'])}: {summary}",
        "blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": text}} for text in texts],
        "unfurl_links": False,
        "unfurl_media": False,
    }


def _slack_text(text: str) -> str:
    """Escape: https://docs.slack.dev/messaging/formatting-message-text#escaping."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def teams(body: Body) -> Body:
    """Return the message for a webhook of Teams' Workflows: an adaptive card.

    Runs of text, as a block of text is read as Markdown. At most 28 KB:
    https://learn.microsoft.com/en-us/microsoftteams/platform/webhooks-and-connectors/how-to/add-incoming-webhook
    """
    kind = "application/vnd.microsoft.card.adaptive"
    attachment = {"contentType": kind, "contentUrl": None, "content": _card(body)}
    return {"type": "message", "attachments": [attachment]}


def _card(body: Body) -> Body:
    return {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": [
            _run(body["name"], size="medium", weight="bolder"),
            _run(_summary(body)),
        ],
        "actions": [
            {"type": "Action.OpenUrl", "title": label, "url": url} for label, url in _links(body)
        ],
    }


def _run(text: str, **style: str) -> Body:
    return {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": text, **style}]}


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _summary(body: Body) -> str:
    start, end = (datetime.fromisoformat(one) for one in body["interval"].split("/"))
    zone = ZoneInfo(body["timezone"])
    until = datetime.fromisoformat(body["expiresAt"]).astimezone(UTC)
    conversations = _counted(body["conversationCount"], "conversation")
    parts = [
        f"{period(start, end, zone)} ({zone.key}).",
        f"{conversations} in {_counted(body['rowCount'], 'group')}.",
        f"Links are valid until {until:%Y-%m-%d %H:%M} UTC.",
    ]
    if not body["complete"]:
        parts.append("The figures are not complete: see the notes in the report.")
    return " ".join(parts)


def _links(body: Body) -> list[tuple[str, str]]:
    urls = {one["key"].rpartition("/")[2]: one["url"] for one in body["files"]}
    return [(label, urls[name]) for name, label in LABELS.items() if name in urls]


FORMS: Mapping[str, Callable[[Body], Body]] = {"json": dict, "slack": slack, "teams": teams}
"""What the webhook's body becomes, by REPORT_WEBHOOK_FORMAT."""

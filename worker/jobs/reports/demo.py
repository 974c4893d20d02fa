"""A scheduled report: read page by page, written to S3, announced with links that work."""

from datetime import UTC, datetime, timedelta
from random import Random
from uuid import UUID

import httpx
import orjson

from worker.demo import (
    REPORT_BUCKET,
    Effects,
    Environment,
    Fault,
    History,
    MadeUp,
    Named,
    Planned,
    envelope,
    iso,
    put_events,
)

KIND = "report due"
FILES = ("manifest.json", "report.csv", "report.html", "report.json")
DAY = datetime(2026, 3, 1, tzinfo=UTC)
CONVERSATIONS = 1200

QUEUES = {"9e000000-0000-4000-8000-000000000001": "Customer care"}
USERS = {"05000000-0000-4000-8000-000000000001": "Ann Example"}
WRAPUP_CODES = {
    f"3a000000-0000-4000-8000-{place:012}": name
    for place, name in enumerate(("Resolved", "Follow-up", "Order", "Cancellation", "Refund"))
}
"""Names of the first codes: those of the others are not known."""


class ReportJob:
    """The traffic and the proof of the scheduled reports."""

    def __init__(self, random: Random) -> None:
        self._name = f"demo-{random.getrandbits(24):06x}"

    def prepare(self, environment: Environment) -> None:
        """Let analytics know a day of conversations, and the organization what is in them."""
        step = timedelta(days=1) / CONVERSATIONS
        environment.genesys.history = History(
            MadeUp(
                size=CONVERSATIONS,
                first_ms=int(DAY.timestamp() * 1000),
                step_ms=int(step.total_seconds() * 1000),
            )
        )
        environment.genesys.names = Named(queues=QUEUES, users=USERS, wrapup_codes=WRAPUP_CODES)

    def traffic(self) -> list[Planned]:
        """Return the event, twice."""
        return [self._due(copy) for copy in (0, 1)]

    def late_duplicates(self) -> list[Planned]:
        """Return it once more."""
        return [self._due(2)]

    def faults(self) -> list[Fault]:
        """Break nothing of its own."""
        return []

    async def effects(self, environment: Environment) -> list[Effects]:
        """Check the files, the figures, the event, the webhook and the links."""
        events = await put_events(environment, "genesys.report.writer")
        ours = [event["detail"] for event in events if event["detail"]["name"] == self._name]
        hooks = [one for one in environment.sinks["report"].taken if one.body["name"] == self._name]
        announced = {detail["reportId"] for detail in ours} | {one.id for one in hooks}
        return [
            await self._files(environment),
            await self._figures(environment),
            Effects("report.ready, ids", 1, len(announced)),
            await _links(ours[0] if ours else {"files": []}),
        ]

    async def _files(self, environment: Environment) -> Effects:
        async with environment.aws("s3") as s3:
            listed = await s3.list_objects_v2(Bucket=REPORT_BUCKET, Prefix=f"reports/{self._name}/")
        names = [one["Key"].rpartition("/")[2] for one in listed.get("Contents", [])]
        wrong = sorted(set(FILES) ^ set(names))
        return Effects("report files in S3", len(FILES), len(names), wrong)

    async def _figures(self, environment: Environment) -> Effects:
        async with environment.aws("s3") as s3:
            listed = await s3.list_objects_v2(Bucket=REPORT_BUCKET, Prefix=f"reports/{self._name}/")
            keys = [one["Key"] for one in listed.get("Contents", []) if "manifest" in one["Key"]]
            if not keys:
                return Effects("conversations in the report", CONVERSATIONS, 0)
            stored = await s3.get_object(Bucket=REPORT_BUCKET, Key=keys[0])
            manifest = orjson.loads(await stored["Body"].read())
        return Effects("conversations in the report", CONVERSATIONS, manifest["conversationCount"])

    def _due(self, copy: int) -> Planned:
        detail = {"name": self._name, "interval": f"{iso(DAY)}/{iso(DAY + timedelta(days=1))}"}
        event_id = str(UUID(int=(3 << 100) + copy, version=4))
        at = DAY + timedelta(days=1)
        return Planned(KIND, envelope("report.due", detail, at=at, event_id=event_id))


def demo(_: int, random: Random) -> ReportJob:
    """Return its part of the demo: the same, whatever the number of events."""
    return ReportJob(random)


async def _links(detail: dict[str, list[dict[str, str]]]) -> Effects:
    async with httpx.AsyncClient() as http:
        replies = [await http.get(one["url"]) for one in detail["files"]]
    good = sum(reply.status_code == 200 and bool(reply.content) for reply in replies)
    return Effects("presigned links that work", len(FILES) - 1, good)

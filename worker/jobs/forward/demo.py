"""Demo: activity, routing and callback events that are kept in S3, byte for byte."""

import gzip
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

from worker.demo import FORWARD_BUCKET, Effects, Environment, Fault, Planned, an_id, envelope, iso

KIND = "forwarded"
TYPES = ("v2.users.{id}.activity", "v2.routing.queues.{id}.users", "callback.requested")
START = datetime(2026, 3, 2, 12, 50, tzinfo=UTC)
COPIES = 3


@dataclass(frozen=True, slots=True)
class Passing:
    """One event, in the copies that the bus may make of it."""

    number: int
    subject: str

    @property
    def detail_type(self) -> str:
        """Each type in turn."""
        return TYPES[self.number % len(TYPES)]

    def body(self, copy: int) -> str:
        """Return the event under the envelope id of a copy; times go over the full hour."""
        at = START + timedelta(seconds=self.number * 20)
        content: dict[str, Any] = {"subject": self.subject, "n": self.number, "text": "Grüße\n€"}
        detail = content | {"timestamp": iso(at)}
        if self.detail_type.startswith("v2."):
            topic = self.detail_type.replace("{id}", self.subject)
            detail = {"topicName": topic, "eventBody": content, "timestamp": iso(at)}
        event_id = str(UUID(int=(7 << 100) + (self.number << 8) + copy, version=4))
        return envelope(self.detail_type, detail, at=at, event_id=event_id)


def demo(events: int, random: Random) -> "ForwardJob":
    """Return its share of the demo's traffic."""
    return ForwardJob(max(12, events // 8), random)


class ForwardJob:
    """The traffic and the proof of forwarding."""

    def __init__(self, count: int, random: Random) -> None:
        self._passing = [Passing(number, an_id(random)) for number in range(count)]

    def prepare(self, environment: Environment) -> None:
        """Do nothing: forwarding asks no upstream."""

    def traffic(self) -> list[Planned]:
        """Return each event once, and one in four twice, once under another envelope id."""
        once = [Planned(KIND, one.body(0)) for one in self._passing]
        again = [Planned(KIND, one.body(copy)) for one in self._passing[::4] for copy in (0, 1)]
        return once + again

    def late_duplicates(self) -> list[Planned]:
        """Return copies of what is done."""
        return [Planned(KIND, one.body(2)) for one in self._passing[::5]]

    def faults(self) -> list[Fault]:
        """Return none."""
        return []

    async def effects(self, environment: Environment) -> list[Effects]:
        """Look for the very bytes of each event, of one copy at least, and for foreign ones."""
        found = await _lines(environment)
        ours = {
            one.body(copy).encode(): one.subject for one in self._passing for copy in range(COPIES)
        }
        subjects = {ours[line] for line in found if line in ours}
        missing = [one.subject for one in self._passing if one.subject not in subjects]
        foreign = [f"foreign line in {key}" for line, key in found.items() if line not in ours]
        return [Effects("forwarded, in S3", len(self._passing), len(subjects), missing + foreign)]


async def _lines(environment: Environment) -> dict[bytes, str]:
    """Return each line of each object, with the key of one that holds it."""
    lines: dict[bytes, str] = {}
    async with environment.aws("s3") as s3:
        async for page in s3.get_paginator("list_objects_v2").paginate(Bucket=FORWARD_BUCKET):
            for item in page.get("Contents", []):
                stored = await s3.get_object(Bucket=FORWARD_BUCKET, Key=item["Key"])
                content = gzip.decompress(await stored["Body"].read())
                lines |= dict.fromkeys(content.removesuffix(b"\n").split(b"\n"), item["Key"])
    return lines

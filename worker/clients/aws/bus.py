"""EventBridge: our own events, several of them in one call, each with its own result."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from random import Random
from typing import Any

import orjson

from worker.clients.aws.session import AwsService
from worker.errors import Permanent, RateLimited, Rejected, Unavailable, WorkerError
from worker.resilience import Batcher, full_jitter
from worker.telemetry import current_tracing

MAX_ENTRIES = 10
MAX_BYTES = 1024 * 1024
"""Of one call, and so of one entry: time, source, detail-type and detail."""

TIME_BYTES = 14
"""What EventBridge counts for an entry's time."""

WAIT_SECONDS = 0.02
"""How long an event waits for others to share its call."""

MOST_ATTEMPTS = 3
"""Times an entry is sent that EventBridge fails to take, although the call itself is a success."""

_OUR_MISTAKE = re.compile(r"Malformed|Invalid|TooLarge|TooLong|Validation")
"""Codes of entries that no retry fixes. All that are not known are waited out."""

RETRIED = (Unavailable, RateLimited)
"""Failures of an entry that is sent again."""

_CODE = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True, slots=True)
class _Entry:
    fields: Mapping[str, Any] = field(repr=False)
    size: int


class Bus:
    """One event bus."""

    def __init__(
        self,
        events: AwsService,
        name: str,
        random: Random,
        wait_seconds: float = WAIT_SECONDS,
    ) -> None:
        """`events`: EventBridge. `name`: or ARN of the bus. `random`: spreads repetitions."""
        self._events = events
        self._name = name
        self._random = random
        self._batcher: Batcher[_Entry, None] = Batcher(
            self._flush, max_items=MAX_ENTRIES, max_wait_seconds=wait_seconds
        )

    async def put(
        self,
        detail_type: str,
        detail: Mapping[str, Any] | orjson.Fragment,
        *,
        source: str,
        time: datetime,
    ) -> None:
        """Put one event; back when EventBridge has it. A repeat has the very same bytes.

        `detail`: a fragment is sent as it is, byte for byte.

        EventBridge knows no key: an event whose reply was lost is there twice. Raises Permanent
        for one that it does not take or that is larger than a call may be, Transient otherwise.
        """
        body = orjson.dumps(detail, option=orjson.OPT_SORT_KEYS)
        size = TIME_BYTES + len(source.encode()) + len(detail_type.encode()) + len(body)
        if size > MAX_BYTES:
            raise Permanent(f"{detail_type}: larger than an event may be")
        fields = {
            "EventBusName": self._name,
            "Source": source,
            "DetailType": detail_type,
            "Detail": body.decode(),
            "Time": time,
        }
        # Beside the event, not in it: a repeat has another span and still the same bytes.
        if header := current_tracing().trace_header():
            fields["TraceHeader"] = header
        await self._batcher.submit(_Entry(fields, size))

    async def aclose(self) -> None:
        """Send what is waiting."""
        await self._batcher.close()

    async def _flush(self, batch: Sequence[_Entry]) -> list[WorkerError | None]:
        # Side by side: one call's failure is none of the others'.
        parts = await asyncio.gather(*(self._send(part) for part in _within_limit(batch)))
        return [result for part in parts for result in part]

    async def _send(self, part: Sequence[_Entry]) -> list[WorkerError | None]:
        """Send; entries that failed for the moment are sent again, and only those."""
        results: dict[int, WorkerError | None] = {}
        places = list(range(len(part)))
        for attempt in range(1, MOST_ATTEMPTS + 1):
            try:
                failures = await self._events.guard.call(
                    partial(self._put, [part[at] for at in places])
                )
            except WorkerError as error:
                # Not again: the SDK retries a failed call, and one layer is enough.
                results |= dict.fromkeys(places, error)
                break
            results |= dict(zip(places, failures, strict=True))
            places = [at for at in places if isinstance(results[at], RETRIED)]
            if not places or attempt == MOST_ATTEMPTS:
                break
            await asyncio.sleep(full_jitter(attempt, base=0.1, cap=1, random=self._random))
        return [results[at] for at in range(len(part))]

    async def _put(self, entries: Sequence[_Entry]) -> list[WorkerError | None]:
        with self._events.errors():
            reply = await self._events.client.put_events(
                Entries=[dict(one.fields) for one in entries]
            )
        failures = [self._failure(answer) for answer in reply["Entries"]]
        if len(failures) != len(entries):
            raise Unavailable("events: reply does not fit the call")
        return failures

    def _failure(self, answer: Mapping[str, Any]) -> WorkerError | None:
        """Return what became of an entry; a failed one has a code in place of an id."""
        code = answer.get("ErrorCode")
        if not code:
            return None
        code = code if _CODE.fullmatch(str(code)) else "unreadable code"
        failure = self._events.failure(str(code))
        if isinstance(failure, Rejected) and not _OUR_MISTAKE.search(str(code)):
            return Unavailable(failure.reason)
        return failure


def _within_limit(batch: Sequence[_Entry]) -> list[list[_Entry]]:
    """Cut a batch, in order, into calls that are not too large."""
    parts: list[list[_Entry]] = [[]]
    bytes_left = MAX_BYTES
    for entry in batch:
        if entry.size > bytes_left:
            parts.append([])
            bytes_left = MAX_BYTES
        parts[-1].append(entry)
        bytes_left -= entry.size
    return parts

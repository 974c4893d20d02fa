"""Traffic without end, and with the demo's troubles; what nobody will ask for is forgotten."""

import asyncio
import itertools
from collections.abc import Sequence
from random import Random
from typing import Any

from worker.demo.plan import Planned, Trouble
from worker.demo.run import jobs_of
from worker.demo.stage import Stage
from worker.demo.surroundings import SOURCES, put_events

ROUND = 240
"""Events of one round, about; each round has all the troubles once."""

KEEP_SECONDS = 120
"""Longest time a message may wait for an upstream to mend, and still find what it asks for."""


class Endless:
    """Rounds of the demo's traffic at a steady rate."""

    def __init__(self, stage: Stage, rate: float) -> None:
        """`rate`: events a second."""
        self._stage = stage
        self._pause_seconds = 1 / rate
        self._before: list[set[str]] = [set() for _ in self._held()]
        self._marked_at = float("-inf")

    async def send(self, first_seed: int) -> None:
        """Send round after round until cancelled."""
        for seed in itertools.count(first_seed):
            jobs = jobs_of(ROUND, seed)
            for job in jobs:
                job.prepare(self._stage)
            # Unreadable messages in the first round only: nobody empties the dead-letter queue.
            traffic = [
                message
                for job in jobs
                for message in job.traffic()
                if message.fate == "done" or seed == first_seed
            ]
            Random(seed).shuffle(traffic)  # noqa: S311  reproducible traffic
            traffic += [message for job in jobs for message in job.afterthoughts()]
            await self._send(traffic, [trouble for job in jobs for trouble in job.troubles()])
            self._forget()
            await self._leave_unread()

    async def _send(self, traffic: Sequence[Planned], troubles: Sequence[Trouble]) -> None:
        """Send steadily; the troubles come at even distances, each for its time."""
        share = len(traffic) // (len(troubles) + 1) + 1
        for number, message in enumerate(traffic):
            if number and number % share == 0:
                self._trouble(troubles[number // share - 1])
            self._stage.put(message.body, message.queue_of)
            await asyncio.sleep(self._pause_seconds)

    def _trouble(self, trouble: Trouble) -> None:
        trouble.begin(self._stage)
        asyncio.get_running_loop().call_later(trouble.seconds, trouble.end, self._stage)

    def _forget(self) -> None:
        """Drop what was there at the last mark, and set a new mark."""
        now = asyncio.get_running_loop().time()
        if now - self._marked_at < KEEP_SECONDS:
            return
        held = self._held()
        for answers, old in zip(held, self._before, strict=True):
            for key in old & answers.keys():
                del answers[key]
        self._before = [set(answers) for answers in held]
        self._marked_at = now

    async def _leave_unread(self) -> None:
        """Drop what only a proof at the end would read."""
        journal = self._stage.sqs.journal
        for written in (journal.records, journal.receives, journal.deletes):
            written.clear()
        for sink in self._stage.sinks.values():
            sink.deliveries.clear()
        for source in SOURCES:
            await put_events(self._stage, source)

    def _held(self) -> list[dict[str, Any]]:
        genesys, crm = self._stage.genesys, self._stage.crm
        speech = genesys.speech
        spoken: list[dict[str, Any]] = [speech.conversations, speech.links]
        return [
            genesys.customers,
            genesys.conversations,
            genesys.ended,
            crm.by_phone,
            *spoken,
        ]

"""The SQS server: HTTP on a port of its own, and a short way to everything for tests.

It speaks SQS's JSON protocol and checks no signature. What it keeps is in memory. Faults can be
switched from another process: see `worker.emulators.sqs.control`.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
from typing import Self

from aiohttp import web

from worker.emulators.loopback import ANYWHERE, Place
from worker.emulators.sqs.actions import MessageActions
from worker.emulators.sqs.admin import QueueActions
from worker.emulators.sqs.api import Api, ResetWanted, SilenceWanted
from worker.emulators.sqs.control import Control
from worker.emulators.sqs.errors import SqsError
from worker.emulators.sqs.faults import FaultPlan
from worker.emulators.sqs.journal import Journal
from worker.emulators.sqs.message import Attributes, Message, Sending
from worker.emulators.sqs.moves import MoveTasks
from worker.emulators.sqs.queue import Depth
from worker.emulators.sqs.queues import Clocks, Queues
from worker.emulators.sqs.wire import (
    answer,
    drip,
    error_answer,
    read_action,
    read_parameters,
    reset,
    silence,
)


class SqsServer:
    """An SQS of our own, to be entered as an async context or started and stopped by hand.

    Stopping keeps queues and messages, and the port: started again, it is the same server
    after an outage.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] | None = None,
        wall_clock: Callable[[], float] = time.time,
        round_trip_seconds: float = 0.0,
        faults: FaultPlan | None = None,
        journal_path: Path | None = None,
    ) -> None:
        """`clock`: seconds by which leases and delays pass; by default the loop's.

        `wall_clock` is for timestamps only; `round_trip_seconds` are added to every call, half
        of them before its effect; `journal_path` takes the journal as JSON lines, too.
        """
        self.counts: Counter[str] = Counter()
        """Calls received, by action."""

        self.round_trip_seconds = round_trip_seconds
        self.faults = faults or FaultPlan()
        self._wall_clock = wall_clock
        self.journal = Journal(journal_path, wall_clock=wall_clock)
        clocks = Clocks(clock or (lambda: asyncio.get_running_loop().time()), wall_clock)
        self._queues = Queues(clocks, self.journal)
        self._moves = MoveTasks(self._queues, wall_clock)
        self._messages = MessageActions(self._queues, self.journal)
        self._api = Api(
            self._messages, QueueActions(self._queues, self._moves), self.faults, self.journal
        )
        self._control = Control(self.faults, self.journal, self.counts)
        self._runner: web.ServerRunner | None = None
        self.place = ANYWHERE
        """Where it listens from the next start on; a free port is kept once it is found."""

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.stop()
        self.journal.close()

    @property
    def endpoint_url(self) -> str:
        """Return what clients take as `AWS_ENDPOINT_URL`; it holds once the server started."""
        return self.place.url(self.place.port)

    async def start(self) -> None:
        """Listen."""
        self._messages.allow_polls()
        server = web.Server(self._serve, access_log=None)
        self._runner = web.ServerRunner(server, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, self.place.host, self.place.port).start()
        self.place = Place(self.place.host, self._runner.addresses[0][1])
        self._queues.base_url = self.endpoint_url

    async def stop(self) -> None:
        """End long polls and move tasks, and close all connections."""
        self._messages.end_polls()
        await self._moves.aclose()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def create_queue(self, name: str, **attributes: str) -> str:
        """Make a queue with attributes under SQS's own names, and return its URL."""
        return self._queues.url(self._queues.create(name, attributes))

    def arn(self, url: str) -> str:
        """Return the queue's ARN."""
        return self._queues.find(url).arn

    def send(
        self,
        url: str,
        body: str,
        *,
        attributes: Attributes | None = None,
        group_id: str | None = None,
        deduplication_id: str | None = None,
    ) -> str:
        """Keep a message, without any check and without a call, and return its id."""
        sending = Sending(
            body=body,
            attributes=attributes or {},
            group_id=group_id,
            deduplication_id=deduplication_id,
        )
        return self._queues.find(url).send(sending).message_id

    def depth(self, url: str) -> Depth:
        """Return how many messages are visible, in flight and delayed."""
        return self._queues.find(url).depth()

    def messages(self, url: str) -> tuple[Message, ...]:
        """Return all messages of the queue, wherever they are, without receiving them."""
        return self._queues.find(url).messages()

    async def wait_until(
        self,
        predicate: Callable[[], bool],
        timeout: float,  # noqa: ASYNC109  a test's deadline belongs to the line that waits
    ) -> None:
        """Return as soon as the predicate holds; it is asked whenever a queue changed.

        Raises:
            TimeoutError: it did not hold within so many seconds.

        """
        async with asyncio.timeout(timeout):
            while not predicate():
                await self._queues.wait_for_any()

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        if (asked := await self._control(request)) is not None:
            return asked
        action = read_action(request)
        self.counts[action] += 1
        # Not `request.read()`: it refuses the JSON of a message of 1 MiB.
        content = await request.content.read()
        await self._travel()
        slowly = None
        try:
            outgoing = await self._api(action, read_parameters(content))
            response, slowly = answer(outgoing.content), outgoing.drip
        except SqsError as error:
            response = error_answer(error)
        except ResetWanted:
            return reset(request)
        except SilenceWanted:
            return await silence(request)
        # Of the clock that also tells when messages were sent: consumers reckon with both.
        response.headers["Date"] = formatdate(self._wall_clock(), usegmt=True)
        await self._travel()
        return response if slowly is None else await drip(request, response, slowly)

    async def _travel(self) -> None:
        if self.round_trip_seconds:
            await asyncio.sleep(self.round_trip_seconds / 2)

"""The SQS server: HTTP on a port of its own, and a short way to everything for tests.

It speaks SQS's JSON protocol and checks no signature. What it keeps is in memory. Faults can be
switched from another process: see `worker.emulators.sqs.control`.
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-json-api-responses.html
"""

import asyncio
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable
from email.utils import formatdate
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import orjson
from aiohttp import web

from worker.emulators import FREE_PORT, Address
from worker.emulators.sqs.actions import (
    Api,
    MessageActions,
    QueueActions,
    ResetWanted,
    SilenceWanted,
)
from worker.emulators.sqs.control import Control, Drip, FaultPlan, Journal
from worker.emulators.sqs.model import Attributes, Message, Sending, SqsError
from worker.emulators.sqs.queue import Depth
from worker.emulators.sqs.queues import Clocks, MoveTasks, Queues

_TARGET_PREFIX = "AmazonSQS."
_JSON = "application/x-amz-json-1.0"
POLL_SECONDS = 0.1
"""How soon it is noticed that a client hung up."""

_LINGER_ZERO = struct.pack("ii", 1, 0)


def read_action(request: web.BaseRequest) -> str:
    """Return the action asked for; empty when the request does not say."""
    target = request.headers.get("X-Amz-Target", "")
    return target.removeprefix(_TARGET_PREFIX) if target.startswith(_TARGET_PREFIX) else ""


def read_parameters(content: bytes) -> dict[str, Any]:
    """Return the JSON object of a request.

    Raises:
        SqsError: `SerializationException`, it is none.

    """
    try:
        parameters = orjson.loads(content or b"{}")
    except orjson.JSONDecodeError as error:
        raise SqsError("SerializationException", "The body is not JSON.") from error
    if not isinstance(parameters, dict):
        raise SqsError("SerializationException", "The body is not a JSON object.")
    return parameters


def answer(content: dict[str, Any] | str) -> web.Response:
    """Return the HTTP response of a call that went well, of an object or of a text as it is."""
    return _respond(200, content, {})


def error_answer(error: SqsError) -> web.Response:
    """Return the HTTP response of an error, with the code older clients look for."""
    blame = "Sender" if error.sender_fault else "Receiver"
    content = {"__type": error.type, "message": error.message}
    return _respond(error.status, content, {"x-amzn-query-error": f"{error.code};{blame}"})


def reset(request: web.BaseRequest) -> web.Response:
    """Reset the connection; the response returned is not written."""
    if request.transport is not None:
        connection = request.transport.get_extra_info("socket")
        # Without this the client would see an orderly end instead of a reset.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
        request.transport.abort()
    return web.Response(status=500)


def _written(response: web.Response) -> tuple[bytes, bytes]:
    """Return the response as it is on the wire: its head, and its body."""
    body = response.body if isinstance(response.body, bytes) else b""
    lines = [f"HTTP/1.1 {response.status} {response.reason}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in response.headers.items()]
    return "\r\n".join((*lines, "", "")).encode(), body


async def drip(request: web.BaseRequest, response: web.Response, slowly: Drip) -> web.Response:
    """Write the response byte by byte, while the client listens; return one that is not written."""
    head, body = _written(response)
    at_once, rest = (b"", head + body) if slowly.head else (head, body)
    if (transport := request.transport) is not None:
        transport.write(at_once)
        for byte in rest:
            if transport.is_closing():
                break
            transport.write(bytes((byte,)))
            await asyncio.sleep(slowly.seconds)
        transport.close()
    return web.Response(status=500)


async def silence(request: web.BaseRequest) -> web.Response:
    """Answer nothing until the client hangs up; return a response that is not written."""
    while (transport := request.transport) is not None and not transport.is_closing():  # noqa: ASYNC110
        await asyncio.sleep(POLL_SECONDS)
    return web.Response(status=500)


def _respond(status: int, content: dict[str, Any] | str, headers: dict[str, str]) -> web.Response:
    return web.Response(
        status=status,
        body=content.encode() if isinstance(content, str) else orjson.dumps(content),
        headers={"Content-Type": _JSON, "x-amzn-RequestId": str(uuid4()), **headers},
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
        self.address = FREE_PORT
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
        return self.address.url(self.address.port)

    async def start(self) -> None:
        """Listen."""
        self._messages.allow_polls()
        server = web.Server(self._serve, access_log=None)
        self._runner = web.ServerRunner(server, shutdown_timeout=1)
        await self._runner.setup()
        await web.TCPSite(self._runner, self.address.host, self.address.port).start()
        self.address = Address(self.address.host, self._runner.addresses[0][1])
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
        # Of the clock that also says when messages were sent: consumers reckon with both.
        response.headers["Date"] = formatdate(self._wall_clock(), usegmt=True)
        await self._travel()
        return response if slowly is None else await drip(request, response, slowly)

    async def _travel(self) -> None:
        if self.round_trip_seconds:
            await asyncio.sleep(self.round_trip_seconds / 2)

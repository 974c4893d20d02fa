"""A service that answers as it is set to, and clients of each transport to ask it with."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import orjson
from aiohttp import web

from worker.clients.aws.session import AwsSession, ClientLimits

REGION = "us-east-1"


@dataclass
class Say:
    """One reply."""

    status: int = 200
    body: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=dict)


def refusal(code, status=400, **fields):
    return Say(status, orjson.dumps({"__type": code, "message": "no", **fields}))


CUT = Say(-1)
"""Half a reply."""

GONE = Say(-2)
"""The connection is closed in place of a reply."""

SILENCE = Say(-3)


class Stub:
    """Says its replies in turn, the last one for ever, and keeps what it was asked."""

    def __init__(self):
        self.replies = [Say()]
        self.asked = []
        self.connections = set()
        self.waiting = asyncio.Event()
        self.url = ""

    async def serve(self, request):
        content = await request.read()
        self.asked.append((request, content))
        self.connections.add(request.transport.get_extra_info("peername"))
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if reply is SILENCE:
            self.waiting.set()
            await asyncio.sleep(3600)
        if reply is GONE:
            request.transport.close()
        if reply is CUT:
            response = web.StreamResponse(headers={"Content-Length": "100"})
            await response.prepare(request)
            await response.write(b'{"Messages"')
            request.transport.close()
            return response
        # A whole body of bytes: aiohttp would take "Content-Encoding" for its own job.
        return web.Response(status=max(200, reply.status), body=reply.body, headers=reply.headers)

    def headers(self, name):
        return [request.headers.get(name) for request, _ in self.asked]


@asynccontextmanager
async def a_client(transport, service="sqs", **limits):
    chosen = {"pool": 5, "read_seconds": 5, "attempts": 1, **limits}
    session = AwsSession(transport=transport, region=REGION)
    async with session.client(service, ClientLimits(**chosen)) as client:
        yield client

"""An EventBridge to test with: fails the entries it is asked to, and keeps what it was sent."""

from contextlib import asynccontextmanager

import orjson
from aiohttp import web

from tests.support.factories import an_id
from worker.emulators import serving


@asynccontextmanager
async def an_event_bridge():
    bridge = EventBridge()
    app = web.Application(client_max_size=4 * 1024 * 1024)
    app.router.add_post("/", bridge.answer)
    async with serving(app) as url:
        bridge.url = url
        yield bridge


class EventBridge:
    """Takes PutEvents; entries whose detail has a `code` fail with it, `times` times."""

    def __init__(self):
        self.calls, self.failed, self.times, self.error = [], {}, 10**9, None

    async def answer(self, request):
        entries = orjson.loads(await request.read())["Entries"]
        self.calls.append(entries)
        if self.error:
            status = 500 if self.error.startswith("Internal") else 400
            return self.reply(status, {"__type": self.error})
        results = [self.result(orjson.loads(entry["Detail"])) for entry in entries]
        failed = sum("ErrorCode" in one for one in results)
        return self.reply(200, {"FailedEntryCount": failed, "Entries": results})

    def result(self, detail):
        key = detail.get("n")
        if "code" in detail and self.failed.get(key, 0) < self.times:
            self.failed[key] = self.failed.get(key, 0) + 1
            return {"ErrorCode": detail["code"], "ErrorMessage": "quoting a customer"}
        return {"EventId": an_id()}

    def reply(self, status, body):
        return web.Response(
            status=status, body=orjson.dumps(body), content_type="application/x-amz-json-1.1"
        )

    def sent(self):
        """How often each detail was sent."""
        flat = [orjson.loads(entry["Detail"])["n"] for call in self.calls for entry in call]
        return {n: flat.count(n) for n in flat}

    def events(self):
        """What was taken or not, in order: detail-type and detail as bytes."""
        return [(entry["DetailType"], entry["Detail"]) for call in self.calls for entry in call]

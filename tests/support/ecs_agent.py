"""An ECS agent to test with: protects the task, refuses, or says nothing at all."""

import asyncio
from contextlib import asynccontextmanager

import orjson
from aiohttp import web

from worker.clients.ecs import AGENT_LIMITS, TaskProtection
from worker.clients.http import HttpClient
from worker.emulators import serving

TASK = "arn:aws:ecs:us-west-2:111122223333:task/1234567890abcdef0"
FAILURE = {"failure": {"Arn": TASK, "Detail": None, "Reason": "TASK_NOT_VALID"}}
THROTTLED = {
    "requestID": "12345-abc-6789-0123-abc",
    "error": {"Arn": TASK, "Code": "ThrottlingException", "Message": "Rate exceeded"},
}
"""Replies as the guide shows them:
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-scale-in-protection-endpoint.html
"""


class Agent:
    """`wishes`: what it was asked, in order; `refusals`: replies to the next wishes."""

    def __init__(self):
        self.wishes, self.times, self.refusals = [], [], []
        self.silent, self.seconds = False, 0
        self.under_way = self.most_under_way = 0

    async def answer(self, request):
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            return await self._answer(request)
        finally:
            self.under_way -= 1

    async def _answer(self, request):
        wish = orjson.loads(await request.read())
        self.wishes.append(wish)
        self.times.append(asyncio.get_running_loop().time())
        await asyncio.sleep(3600 if self.silent else self.seconds)
        status, body = 200, {"protection": {"ProtectionEnabled": wish["ProtectionEnabled"]}}
        if self.refusals:
            status, body = self.refusals.pop(0)
        return web.Response(status=status, body=orjson.dumps(body))

    @property
    def protected(self):
        return [wish["ProtectionEnabled"] for wish in self.wishes]


@asynccontextmanager
async def an_agent():
    agent, app = Agent(), web.Application()
    app.router.add_put("/api/0123-4567/task-protection/v1/state", agent.answer)
    async with serving(app) as url:
        agent.url = f"{url}/api/0123-4567"
        yield agent


@asynccontextmanager
async def a_protection(agent, minutes=60):
    async with HttpClient("task_protection", agent.url, AGENT_LIMITS) as http:
        protection = TaskProtection(http, minutes=minutes)
        try:
            yield protection
        finally:
            await protection.aclose()

"""A stand-in for the ECS agent: it asks ECS with the credentials of the task, as the agent does."""  # noqa: INP001  a script's folder

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from aiohttp import web
from botocore.exceptions import ClientError
from cloud import Cloud
from state import ACCOUNT, REGION

from worker.emulators import FREE_PORT, serving

PATH = "/task-protection/v1/state"


@asynccontextmanager
async def agent(cloud: Cloud, keys: Mapping[str, str]) -> AsyncIterator[tuple[str, list[bool]]]:
    """Serve it; give its URL, and what ECS was asked for and granted, in order.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-scale-in-protection-endpoint.html
    """
    granted: list[bool] = []
    names = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
    ecs = cloud.client("ecs", **{name: keys[name.upper()] for name in names})
    cluster = cloud.values("aws_ecs_cluster.worker[0]")["name"]
    protect = partial(ecs.update_task_protection, cluster=cluster, tasks=[_task(cluster)])

    async def ask(request: web.Request) -> web.Response:
        wish: Mapping[str, Any] = await request.json()
        enabled = bool(wish["ProtectionEnabled"])
        try:
            await asyncio.to_thread(protect, protectionEnabled=enabled)
        except ClientError as error:
            refusal = {name: error.response["Error"][name] for name in ("Code", "Message")}
            return web.json_response({"error": refusal}, status=400)
        granted.append(enabled)
        return web.json_response({"protection": {"ProtectionEnabled": enabled}})

    app = web.Application()
    app.router.add_put(PATH, ask)
    async with serving(app, FREE_PORT) as url:
        yield url, granted


def _task(cluster: str) -> str:
    return f"arn:aws:ecs:{REGION}:{ACCOUNT}:task/{cluster}/{'0' * 32}"

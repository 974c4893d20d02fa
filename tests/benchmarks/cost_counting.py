"""What the worker asks of AWS for each event, counted: a real worker on the demo's emulators.

Each job by itself, on its own queue, with the demo's traffic but for its copies. SQS counts its
calls, a proxy before moto all others, Genesys and the sinks of webhooks theirs. Once with a
backlog, and SQS's calls besides while events come one by one, and while none comes.
"""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from aiohttp import ClientSession, TCPConnector, web

from worker.app.jobs import known_jobs
from worker.demo.environment import LEDGER_TABLE, Environment, make_fixtures, open_environment
from worker.demo.process import WorkerProcess
from worker.demo.scenario import jobs_of, prepare

EVENTS = 1200
"""Of the demo: the jobs share them, about 100 to 400 each."""

RATES = (1, 20)
"""Events a second that come one by one."""

STEADY_SECONDS = 30
DONE_SECONDS = 300
SEED = 7
AS_IN_PRODUCTION = ("SQS_WAIT_SECONDS", "FORWARD_BATCH_SECONDS")
"""Settings that the demo shortens: the defaults are what is paid for."""

Counts = dict[str, float]


@dataclass
class AwsProxy:
    """Counts the calls on their way to moto."""

    target: str
    url: str = ""
    counts: Counter[str] = field(default_factory=Counter)
    _session: ClientSession | None = None

    async def forward(self, request: web.Request) -> web.Response:
        """Pass a request on as it is."""
        body = await request.read()
        self.counts.update(billed(operation_of(request), body))
        async with self._session.request(
            request.method,
            self.target + request.raw_path,
            headers={k: v for k, v in request.headers.items() if k.lower() != "content-length"},
            data=body,
            skip_auto_headers=("Content-Type", "User-Agent", "Accept-Encoding", "Accept"),
        ) as reply:
            kept = ("content-type", "etag", "x-amzn-errortype", "x-amzn-requestid")
            headers = {k: v for k, v in reply.headers.items() if k.lower() in kept}
            return web.Response(status=reply.status, body=await reply.read(), headers=headers)


def operation_of(request: web.Request) -> str:
    """Return `dynamodb:PutItem`, `s3:PUT`, as the bill distinguishes them."""
    target = request.headers.get("X-Amz-Target", "")
    if not target:
        return f"s3:{request.method}"
    service, _, operation = target.partition(".")
    names = {"DynamoDB_20120810": "dynamodb", "AWSStepFunctions": "states", "AWSEvents": "events"}
    return f"{names[service]}:{operation}"


def billed(operation: str, body: bytes) -> dict[str, float]:
    """Return the call, and the units that DynamoDB and EventBridge bill in place of calls.

    The request is larger than the item: its size gives the most units it can be. A read is of items
    below 4 KB here; a look-up of what is not there costs as much.
    """
    service, _, name = operation.partition(":")
    if service == "events":
        return {operation: 1, "events:entries": len(json.loads(body)["Entries"])}
    if service != "dynamodb":
        return {operation: 1}
    if name in {"GetItem", "Query"}:
        units = 1 if json.loads(body).get("ConsistentRead") else 0.5
        return {operation: 1, "dynamodb:read_units": units}
    if name in {"PutItem", "UpdateItem", "DeleteItem"}:
        return {operation: 1, "dynamodb:write_units": -(-len(body) // 1024)}
    raise ValueError(f"{operation}: its price is not known here")


@asynccontextmanager
async def aws_proxy(target: str) -> AsyncIterator[AwsProxy]:
    """Serve the proxy on a free port of loopback."""
    proxy = AwsProxy(target)
    app = web.Application(client_max_size=64 * 2**20)
    app.router.add_route("*", "/{path:.*}", proxy.forward)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    proxy.url = f"http://127.0.0.1:{site._server.sockets[0].getsockname()[1]}"
    # moto closes each connection after its reply.
    async with ClientSession(
        connector=TCPConnector(force_close=True), auto_decompress=False
    ) as session:
        proxy._session = session
        try:
            yield proxy
        finally:
            await runner.cleanup()


async def count(job: str, events: int = EVENTS, *, idempotent: bool = False) -> Counts:
    """Return the calls of a job for a backlog, per event, and how many events there were."""
    async with _one_job(job, events, idempotent=idempotent) as (
        environment,
        proxy,
        variables,
        bodies,
    ):
        url = environment.job_queues[job]
        for body in bodies:
            environment.sqs.send(url, body)
        with TemporaryDirectory() as folder:
            log = Path(folder) / "worker.log"
            before = _totals(environment, proxy)
            async with WorkerProcess(variables, log):
                await _done(environment, url)
                found = _totals(environment, proxy) - before
            found["log:bytes"] = log.stat().st_size
    if environment.sqs.depth(environment.dead_letter_url).visible:
        raise RuntimeError(f"{job}: dead letters; what was counted is not the work")
    per_event = {name: number / len(bodies) for name, number in sorted(found.items())}
    return {"events": len(bodies), **per_event}


async def count_sqs(rate: float, seconds: float = STEADY_SECONDS) -> float:
    """Return the calls of SQS a second, at so many events a second one by one."""
    async with _one_job("voice", EVENTS, idempotent=False) as (environment, _, variables, bodies):
        url = environment.job_queues["voice"]
        with TemporaryDirectory() as folder:
            async with WorkerProcess(variables, Path(folder) / "worker.log"):
                loop = asyncio.get_running_loop()
                before, start = sum(environment.sqs.counts.values()), loop.time()
                for number in range(int(rate * seconds)):
                    await asyncio.sleep(start + number / rate - loop.time())
                    environment.sqs.send(url, bodies[number % len(bodies)])
                await asyncio.sleep(start + seconds - loop.time())
                return (sum(environment.sqs.counts.values()) - before) / seconds


@asynccontextmanager
async def _one_job(
    job: str, events: int, *, idempotent: bool
) -> AsyncIterator[tuple[Environment, AwsProxy, dict[str, str], list[str]]]:
    *demo, _ = jobs_of(events, SEED)  # the last one's events no job can read
    async with (
        open_environment(queues="per-job") as environment,
        aws_proxy(environment.aws_url) as proxy,
    ):
        await make_fixtures(environment)
        await prepare(demo, environment)
        variables = environment.variables() | {
            "AWS_ENDPOINT_URL": proxy.url,
            "SQS_QUEUE_URL": environment.job_queues[job],
            "HANDLERS": job,
        }
        variables |= {"LEDGER_TABLE": LEDGER_TABLE} if idempotent else {}
        for name in AS_IN_PRODUCTION:
            del variables[name]
        yield environment, proxy, variables, _bodies_of(demo, job, environment)


def _bodies_of(demo: list[Any], job: str, environment: Environment) -> list[str]:
    """Return what its queue gets of the demo, without copies."""
    url, found = environment.job_queues[job], {}
    for one in demo:
        for planned in one.traffic():
            if planned.disposition == "done" and url in environment.urls_of(planned.body):
                event = json.loads(planned.body)
                detail = event["detail"].get("eventBody", event["detail"])
                found.setdefault(json.dumps([event["detail-type"], detail]), planned.body)
    return Random(SEED).sample(list(found.values()), len(found))


def _totals(environment: Environment, proxy: AwsProxy) -> Counter[str]:
    found: Counter[str] = Counter(proxy.counts)
    found.update({f"sqs:{name}": number for name, number in environment.sqs.counts.items()})
    found.update({f"genesys:{name}": n for name, n in environment.genesys.counts.items()})
    found["http:crm"] = sum(environment.crm.counts.values())
    found["http:webhooks"] = sum(len(sink.deliveries) for sink in environment.sinks.values())
    return found


async def _done(environment: Environment, url: str) -> None:
    await environment.sqs.wait_until(lambda: not sum(environment.sqs.depth(url)), DONE_SECONDS)


async def count_all() -> dict[str, Any]:
    """Count every job, with and without an idempotency table, and SQS at each rate."""
    jobs = {
        job: {
            "plain": await count(job),
            "idempotent": await count(job, idempotent=True),
        }
        for job in known_jobs()
    }
    rates = {str(rate): await count_sqs(rate) for rate in (0, *RATES)}
    return {"jobs": jobs, "sqs_calls_a_second": rates}

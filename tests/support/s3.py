"""An S3 to test with: moto over HTTP, or one that reads the checksums, which moto ignores."""

from base64 import b64decode
from contextlib import asynccontextmanager
from hashlib import md5
from random import Random
from zlib import crc32

from aiohttp import web

from tests.support.factories import an_id
from tests.support.genesys import OFF
from worker.clients.aws.session import AwsService, AwsSession, ClientLimits
from worker.emulators import serving
from worker.jobs.reports.bucket import ReportBucket
from worker.resilience.breaker import Breaker
from worker.resilience.guard import Guard, GuardPolicy
from worker.resilience.retry import RetryPolicy


@asynccontextmanager
async def an_s3():
    s3 = S3()
    app = web.Application()
    app.router.add_route("PUT", "/{bucket}/{key:.+}", s3.put)
    async with serving(app) as s3.url:
        yield s3


SUMS = {
    "Content-MD5": lambda body: md5(body, usedforsecurity=False).digest(),
    "x-amz-checksum-crc32": lambda body: crc32(body).to_bytes(4, "big"),
}


class S3:
    """Stores what agrees with the checksums it reads; `code`: refuses everything with it."""

    def __init__(self):
        self.stored, self.asked, self.url = {}, [], ""
        self.reads = set(SUMS)
        self.status, self.code = 200, None

    async def put(self, request):
        body, key = await request.read(), request.match_info["key"]
        self.asked.append((request.match_info["bucket"], key))
        if self.code is not None:
            return self.refusal(self.status, self.code)
        if not self.agrees(request.headers, body):
            return self.refusal(400, "BadDigest")
        self.stored[key] = body
        return web.Response()

    def refusal(self, status, code):
        text = f"<Error><Code>{code}</Code><Message>no</Message></Error>"
        return web.Response(status=status, text=text, content_type="application/xml")

    def agrees(self, headers, body):
        given = {name: headers[name] for name in self.reads if name in headers}
        return all(b64decode(text) == SUMS[name](body) for name, text in given.items())


def a_guard(upstream="s3"):
    breaker = Breaker(upstream, OFF, clock=lambda: 0.0, random=Random(1))
    policy = GuardPolicy(RetryPolicy(attempts=1, base_seconds=1, cap_seconds=1), 20)
    return Guard(policy, breaker=breaker, random=Random(1))


def a_client():
    """An S3 client for AWS_ENDPOINT_URL, to be entered."""
    return AwsSession(region="us-east-1").client(
        "s3", ClientLimits(pool=5, read_seconds=60, attempts=1)
    )


@asynccontextmanager
async def a_bucket(now, *, url_seconds=86_400, create=True):
    async with a_client() as client:
        name = f"reports-{an_id()}"
        if create:
            await client.create_bucket(Bucket=name)
        s3 = AwsService("s3", client, a_guard(), "REPORT_BUCKET")
        yield ReportBucket(s3, name, url_seconds, now)

"""An S3 to test with: moto over HTTP."""

from contextlib import asynccontextmanager
from random import Random

from tests.support.factories import an_id
from tests.support.genesys import OFF

from worker.clients.aws.session import AwsSession, ClientLimits
from worker.jobs.reports.bucket import Bucket
from worker.resilience.breaker import Breaker
from worker.resilience.guard import Guard, GuardPolicy
from worker.resilience.retry import RetryPolicy
from worker.settings import Aws


def a_guard(upstream="s3"):
    breaker = Breaker(upstream, OFF, clock=lambda: 0.0, random=Random(1))
    policy = GuardPolicy(RetryPolicy(attempts=1, base_seconds=1, cap_seconds=1), 20)
    return Guard(policy, breaker=breaker, random=Random(1))


def a_client():
    """An S3 client for AWS_ENDPOINT_URL, to be entered."""
    return AwsSession(Aws(region="us-east-1")).client(
        "s3", ClientLimits(pool=5, read_seconds=60, attempts=1)
    )


@asynccontextmanager
async def a_bucket(now, *, url_seconds=86_400, create=True):
    async with a_client() as client:
        name = f"reports-{an_id()}"
        if create:
            await client.create_bucket(Bucket=name)
        yield Bucket(client, name, a_guard(), url_seconds, now)

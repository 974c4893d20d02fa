"""Call details that are too large for the input of an execution, kept in S3."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from worker.clients.aws.errors import aws_errors
from worker.errors import Permanent
from worker.resilience.guard import Guard


class DetailsStore:
    """One bucket. Keys derive from events, so a repeat overwrites its own object."""

    def __init__(self, client: Any, bucket: str | None, guard: Guard) -> None:
        """`client`: S3. `bucket` None: there is nowhere to put them."""
        self._client = client
        self._bucket = bucket
        self._guard = guard

    async def put(self, key: str, content: bytes) -> Mapping[str, str]:
        """Store JSON and return its location; Permanent when no bucket is set."""
        if self._bucket is None:
            raise Permanent("callDetails: too large, and WORKFLOW_DETAILS_BUCKET is not set")
        location = {"bucket": self._bucket, "key": key}
        await self._guard.call(partial(self._put, location, content), repeatable=True)
        return location

    async def _put(self, location: Mapping[str, str], content: bytes) -> None:
        with aws_errors("s3", "WORKFLOW_DETAILS_BUCKET"):
            await self._client.put_object(
                Bucket=location["bucket"],
                Key=location["key"],
                Body=content,
                ContentType="application/json",
            )

"""The report bucket: files in, and links to them that live no longer than who signed them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from worker.api import CREDENTIALS, AwsService, Rejected, Unauthorized
from worker.jobs.reports.files import File


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A presigned GET of one file: its holder may read the file."""

    key: str
    url: str = field(repr=False)
    """Never logged."""

    expires_at: datetime
    """At the latest. Credentials without a known end (a bare session token) may end sooner."""

    cut_by_credentials: bool
    """True: they end before the time that was asked for."""


class ReportBucket:
    """One S3 bucket."""

    def __init__(
        self, s3: AwsService, name: str, url_seconds: int, now: Callable[[], datetime]
    ) -> None:
        """`url_seconds`: life of a link. `now`: wall clock, aware."""
        self.name = name
        self._s3 = s3
        self._url_seconds = url_seconds
        self._now = now

    async def put(self, folder: str, file: File) -> str:
        """Write or replace a file; return its key."""
        key = folder + file.name
        await self._s3.call(
            "put_object",
            Bucket=self.name,
            Key=key,
            Body=file.body,
            ContentType=file.content_type,
            ContentDisposition=_attachment(file.name),
            # A report is replaced under its key: no cache in between shall keep the old one.
            CacheControl="no-store",
        )
        return key

    async def get(self, key: str) -> bytes | None:
        """Return what is under the key; None when nothing is, or when we may not know."""
        try:
            return await self._s3.guard.call(partial(self._get, key))
        except (Rejected, Unauthorized):
            # Without s3:ListBucket a missing key is a 403, not a 404.
            return None

    async def link(self, key: str) -> Link:
        """Sign a GET of the key; no call is made but for fresh credentials."""
        with self._s3.errors():
            s3 = await self._s3.opened()
            credentials = await _credentials(s3)
            now = self._now()
            asked = now + timedelta(seconds=self._url_seconds)
            ends = min(asked, _end_of(credentials) or asked)
            seconds = int((ends - now).total_seconds())
            if seconds < 1:
                raise Unauthorized(
                    "s3: the credentials have expired",
                    setting=CREDENTIALS,
                    remedy="renew the AWS credentials",
                )
            name = key.rpartition("/")[2]
            url = await s3.generate_presigned_url(
                "get_object",
                Params={
                    "Bucket": self.name,
                    "Key": key,
                    "ResponseContentDisposition": _attachment(name),
                },
                ExpiresIn=seconds,
                HttpMethod="GET",
            )
        expires_at = now.replace(microsecond=0) + timedelta(seconds=seconds)
        return Link(key=key, url=url, expires_at=expires_at, cut_by_credentials=ends < asked)

    async def _get(self, key: str) -> bytes:
        with self._s3.errors():
            reply = await self._s3.client.get_object(Bucket=self.name, Key=key)
            async with reply["Body"] as body:
                content: bytes = await body.read()
        return content


async def _credentials(s3: Any) -> Any:
    # The very ones that sign: the session could have others by now.
    credentials = s3._request_signer._credentials  # noqa: SLF001  no public way
    if credentials is not None and hasattr(credentials, "get_frozen_credentials"):
        await credentials.get_frozen_credentials()  # renews those about to end
    return credentials


def _end_of(credentials: Any) -> datetime | None:
    """Return when a role's credentials end; None for keys that have no end, or none we know of."""
    ends = getattr(credentials, "_expiry_time", None)
    return ends.astimezone(UTC) if isinstance(ends, datetime) else None


def _attachment(name: str) -> str:
    return f'attachment; filename="{name}"'

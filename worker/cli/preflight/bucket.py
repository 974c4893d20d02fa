"""The buckets: whether they would take the files that the handlers write."""

from base64 import b64encode
from datetime import UTC, datetime
from hashlib import md5
from typing import Any

from worker.cli.preflight.dry import MARK, Target, refusal_of, refused
from worker.cli.preflight.rows import Row, ok, warn
from worker.jobs.reports.files import folder
from worker.jobs.workflow.execution import Execution

REPORTS = Target(name="report bucket", action="s3:PutObject", setting="REPORT_BUCKET")
DETAILS = Target(
    name="call details bucket", action="s3:PutObject", setting="WORKFLOW_DETAILS_BUCKET"
)

REPORT_KEY = folder(MARK, datetime(1970, 1, 1, tzinfo=UTC)) + MARK
DETAILS_KEY = Execution(MARK, {}).details_key()
"""Keys as the handlers make them: rights are granted by prefix."""

MD5_OF_NOTHING = b64encode(md5(b"", usedforsecurity=False).digest()).decode()
CRC32_OF_NOTHING = "AAAAAA=="
"""Sound in themselves, so that S3 has to read the body, past all rights, to find them wrong. Two of
them, as directory buckets look at the second one only."""

REFUSED_BODY = "BadDigest"
"""https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html."""


async def check_report_bucket(s3: Any, bucket: str) -> Row:
    """Try to write a report."""
    return await _try_write(s3, REPORTS, bucket, REPORT_KEY)


async def check_details_bucket(s3: Any, bucket: str) -> Row:
    """Try to write call details."""
    return await _try_write(s3, DETAILS, bucket, DETAILS_KEY)


async def _try_write(s3: Any, target: Target, bucket: str, key: str) -> Row:
    """Try to put an object whose checksums are those of another one."""
    fault = await refusal_of(
        s3.put_object(
            Bucket=bucket,
            Key=key,
            Body=MARK.encode(),
            ContentMD5=MD5_OF_NOTHING,
            ChecksumCRC32=CRC32_OF_NOTHING,
        )
    )
    if fault is None:
        return warn(target.name, "took an object it should have refused", f"delete {key} in it")
    if fault.code == REFUSED_BODY:
        return ok(target.name, f"writable under {key.partition('/')[0]}/")
    return refused(target, fault)

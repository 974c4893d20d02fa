"""What `worker check` asks for reports: their bucket."""

from datetime import UTC, datetime

from worker.api import Context, Finding, probes
from worker.jobs.reports.files import folder
from worker.jobs.reports.settings import ReportSettings

BUCKET = "report bucket"
"""Name of the finding."""

REPORT_KEY = folder(probes.MARK, datetime(1970, 1, 1, tzinfo=UTC)) + probes.MARK
"""A key as the handler makes them: permissions are granted by prefix."""


async def check_bucket(context: Context, settings: ReportSettings) -> list[Finding]:
    """Try to write a report."""
    s3 = await context.aws("s3", setting="REPORT_BUCKET")
    return [await probes.put_object(BUCKET, s3, settings.report_bucket or "", REPORT_KEY)]

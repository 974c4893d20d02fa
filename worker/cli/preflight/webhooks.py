"""The webhooks: whether their hosts can be reached. Nothing is sent: a POST would be an effect.

Host and port may be told; path and query are often the password.
"""

import asyncio
import ssl
from collections.abc import Iterator

from pydantic import HttpUrl

from worker.cli.preflight.rows import Row, fail, ok
from worker.clients.http import trusted
from worker.settings import Settings

CONNECT_SECONDS = 8.0
SECOND_ADDRESS_SECONDS = 0.25
"""When the next address of a host is tried beside the first one, as the worker's client does."""


def webhooks_of(settings: Settings) -> Iterator[tuple[str, HttpUrl]]:
    """Yield setting and URL of the webhooks that the handlers which are on post to."""
    urls = (
        ("attributes", "ANALYTICS_WEBHOOK_URL", settings.webhooks.analytics_webhook_url),
        ("sentiment", "CRM_WEBHOOK_URL", settings.crm.webhook_url),
        ("sentiment", "ALERT_WEBHOOK_URL", settings.alert.webhook_url),
        ("reports", "REPORT_WEBHOOK_URL", settings.report.webhook_url),
    )
    on = settings.enabled_jobs()
    return ((name, url) for handler, name, url in urls if handler in on and url is not None)


async def check_webhook(name: str, url: HttpUrl) -> list[Row]:
    """Resolve, connect, shake hands, and hang up."""
    where = f"{url.host}:{url.port}"
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            await _reach(url)
    except OSError as error:
        return [fail(name, f"{where} is not reached: {type(error).__name__}", _remedy(name, error))]
    how = "and shakes hands" if url.scheme == "https" else "without TLS"
    return [ok(name, f"{where} is reached {how}; not called")]


async def _reach(url: HttpUrl) -> None:
    _, writer = await asyncio.open_connection(
        (url.host or "").strip("[]"),
        url.port or 443,
        ssl=trusted() if url.scheme == "https" else None,
        happy_eyeballs_delay=SECOND_ADDRESS_SECONDS,
    )
    # Not closed: that would wait for the other side to say goodbye as well.
    writer.transport.abort()


def _remedy(name: str, error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return f"check {name}, and the certificate of its host"
    return f"check {name}, the name service and the way to its host"

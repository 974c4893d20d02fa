"""Builds webhooks: a client, a guard and a signature each."""

from pydantic import HttpUrl

from worker.app.workshop import Workshop
from worker.clients.http import HttpClient
from worker.clients.http_types import origin_of
from worker.clients.webhooks import WEBHOOK_LIMITS, Webhook

ATTEMPTS = 2
DEADLINE_SECONDS = 15


async def build_webhook(workshop: Workshop, name: str, url: HttpUrl | None) -> Webhook | None:
    """Return the webhook called `name` in logs and metrics; None when no URL is set."""
    if url is None:
        return None
    secret = workshop.settings.webhooks.webhook_secret
    http = HttpClient(name, origin_of(name, str(url)), WEBHOOK_LIMITS)
    await workshop.stack.enter_async_context(http)
    guard = workshop.upstreams.http(name, ATTEMPTS, DEADLINE_SECONDS)
    return Webhook(name, str(url), secret.get_secret_value() if secret else None, guard, http)

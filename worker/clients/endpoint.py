"""HTTP endpoints that a setting names whole, path and query: the CRM's and the webhooks'.

`HttpClient` takes an origin only, so the URL is taken apart once. Neither part is ever logged: the
path of a webhook is often its password.
"""

from urllib.parse import urlencode, urlsplit, urlunsplit

from worker.clients.exchange import Reply
from worker.errors import (
    ConfigurationError,
    RateLimited,
    Rejected,
    Unauthorized,
    Unavailable,
    WorkerError,
)
from worker.resilience.retry import parse_retry_after

REFUSED_PAUSE_SECONDS = 30.0
"""Pause after refused credentials: only a person mends them."""

_TRY_LATER = {408, 425}


def origin_of(name: str, url: str) -> str:
    """Return scheme, host and port; raise ConfigurationError for a URL with credentials."""
    parts = urlsplit(url)
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError([f"{name}: user info in the URL"])
    return urlunsplit((parts.scheme, parts.netloc, "", "", ""))


def path_of(url: str, **query: str | None) -> str:
    """Return path and query, with `query` added; parameters that are None are left out."""
    parts = urlsplit(url)
    added = urlencode({name: value for name, value in query.items() if value is not None})
    whole = "&".join(part for part in (parts.query, added) if part)
    return urlunsplit(("", "", parts.path or "/", whole, ""))


def failure_of(upstream: str, reply: Reply) -> WorkerError:
    """Return the failure that a reply outside 2xx names.

    A redirect is Unavailable and refused credentials are Unauthorized: somebody moved the endpoint
    or changed a secret, which is no fault of the messages that meet it.
    """
    text = f"{upstream}: {reply.status}"
    asked = parse_retry_after(reply.headers.get("retry-after"), now=reply.received_at)
    if reply.status == 429:
        return RateLimited(text, retry_after=asked)
    if reply.status in {401, 403, 407}:
        return Unauthorized(text, retry_after=asked or REFUSED_PAUSE_SECONDS)
    if 400 <= reply.status < 500 and reply.status not in _TRY_LATER:
        return Rejected(text, status=reply.status)
    return Unavailable(text, retry_after=asked)

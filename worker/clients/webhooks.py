"""Our webhooks: signed, byte-equal on every repeat, to addresses that settings name.

Signatures are those of Standard Webhooks:
https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import hmac
import ssl
import time
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import orjson
from pydantic import HttpUrl

from worker.clients.http import HttpLimits, Sender
from worker.clients.http_network import shaken_hands
from worker.clients.http_types import Request, failure_of, path_of
from worker.errors import ConfigurationError
from worker.findings import Finding, fail, ok
from worker.resilience import Guard

ENCODED = "whsec_"
"""Before a secret that is base64 of the key; any other secret is the key itself."""


class Signer:
    """Signs with each of the secrets, so that a receiver may know the old one or the new."""

    def __init__(self, secret: str) -> None:
        """`secret`: one or more, separated by blanks. Raises ConfigurationError for bad base64."""
        self._keys = [_key(one) for one in secret.split()]
        if not self._keys:
            raise ConfigurationError(["WEBHOOK_SECRET: is blank"])

    def sign(self, delivery_id: str, timestamp: int, body: bytes) -> str:
        """Return the value of `webhook-signature`. `timestamp`: seconds since 1970."""
        content = b"%s.%d.%s" % (delivery_id.encode(), timestamp, body)
        digests = (hmac.digest(key, content, "sha256") for key in self._keys)
        return " ".join(f"v1,{b64encode(digest).decode()}" for digest in digests)


def _key(secret: str) -> bytes:
    if not secret.startswith(ENCODED):
        return secret.encode()
    try:
        key = b64decode(secret.removeprefix(ENCODED), validate=True)
    except NotBase64:
        key = b""
    if not key:
        raise ConfigurationError(["WEBHOOK_SECRET: no base64 after whsec_"])
    return key


WEBHOOK_LIMITS = HttpLimits(total_seconds=15)
"""Standard Webhooks asks for 15 to 30 s; a slot of the worker waits meanwhile."""


class Webhook:
    """One receiver of our POSTs."""

    def __init__(
        self,
        name: str,
        url: str,
        secret: str | Callable[[], str] | None,
        guard: Guard,
        http: Sender,
        *,
        setting: str = "",
    ) -> None:
        """`name`: for logs and metrics. `secret`: see `Signer`. `http`: to `origin_of(url)`.

        `setting`: where the URL is from, which often holds the password; empty: `<NAME>_URL`.

        A secret that is a function is asked for each attempt, as it may be rotated. Raises
        ConfigurationError for one that cannot be used, and for a later one keeps the last.
        """
        self.name = name
        self._setting = setting or f"{name.upper()}_URL"
        self._path = path_of(url)
        self._secret = secret
        self._signs_by = secret() if callable(secret) else secret
        self._signer = None if self._signs_by is None else Signer(self._signs_by)
        self._guard = guard
        self._http = http

    async def post(
        self,
        body: Mapping[str, Any] | orjson.Fragment,
        *,
        delivery_id: str,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Deliver; a fragment is sent as it is, byte for byte.

        `delivery_id`: the same for every repeat, so that the receiver can recognise one. Raises
        Transient, or Rejected when the receiver does not take the body: a 410 says no more of the
        next delivery than a 404 does.
        """
        request = self._request(body, {**(headers or {}), "webhook-id": delivery_id})
        await self._guard.call(lambda: self._send(request, delivery_id))

    def _request(
        self, body: Mapping[str, Any] | orjson.Fragment, headers: Mapping[str, str]
    ) -> Request:
        # A fragment: the client must send the very bytes that are signed.
        content = orjson.Fragment(orjson.dumps(body, option=orjson.OPT_SORT_KEYS))
        return Request(
            method="POST", path=self._path, template=self.name, json=content, headers=headers
        )

    async def _send(self, request: Request, delivery_id: str) -> None:
        reply = await self._http.send(self._signed(request, delivery_id))
        if not 200 <= reply.status < 300:
            raise failure_of(self.name, reply, self._setting)

    def _signed(self, request: Request, delivery_id: str) -> Request:
        """Sign each attempt anew: sinks refuse a timestamp that is some minutes old."""
        self._renew_signer()
        if self._signer is None:
            return request
        now = int(time.time())
        signature = self._signer.sign(delivery_id, now, orjson.dumps(request.json))
        stamp = {"webhook-timestamp": str(now), "webhook-signature": signature}
        return replace(request, headers={**request.headers, **stamp})

    def _renew_signer(self) -> None:
        if not callable(self._secret):
            return
        if (secret := self._secret()) != self._signs_by:
            self._signs_by = secret
            with suppress(ConfigurationError):
                self._signer = Signer(secret)


async def reach(setting: str, url: HttpUrl) -> Finding:
    """Connect and hang up: a POST would be an effect. Path and query are often the password."""
    where = f"{url.host}:{url.port}"
    try:
        await shaken_hands(str(url))
    except OSError as error:
        found = f"{where} is not reached: {type(error).__name__}"
        return fail(setting, found, _remedy(setting, error))
    how = "over TLS" if url.scheme == "https" else "without TLS"
    return ok(setting, f"{where} is reached {how}; not called")


def _remedy(setting: str, error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return f"check {setting}, and the certificate of its host"
    return f"check {setting}, the name service and the network to its host"

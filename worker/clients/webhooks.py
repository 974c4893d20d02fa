"""Our webhooks: signed, byte-equal on every repeat, to addresses that settings name."""

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson

from worker.clients.endpoint import failure_of, path_of
from worker.clients.exchange import Request
from worker.clients.http import HttpClient, HttpLimits
from worker.clients.signature import Signer
from worker.resilience.guard import Guard

WEBHOOK_LIMITS = HttpLimits(total_seconds=15)
"""Standard Webhooks asks for 15 to 30 s; a slot of the worker waits meanwhile."""


class Webhook:
    """One receiver of our POSTs."""

    def __init__(
        self, name: str, url: str, secret: str | None, guard: Guard, http: HttpClient
    ) -> None:
        """`name`: for logs and metrics. `secret`: see `Signer`. `http`: to `origin_of(url)`."""
        self.name = name
        self._path = path_of(url)
        self._signer = None if secret is None else Signer(secret)
        self._guard = guard
        self._http = http

    async def post(
        self,
        body: Mapping[str, Any],
        *,
        delivery_id: str,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Deliver.

        `delivery_id`: the same for every repeat, so that the receiver can tell one. Raises
        Transient, or Rejected when the receiver does not take the body: a 410 says no more of the
        next delivery than a 404 does.
        """
        request = self._request(body, {**(headers or {}), "webhook-id": delivery_id})
        await self._guard.call(lambda: self._send(request, delivery_id))

    def _request(self, body: Mapping[str, Any], headers: Mapping[str, str]) -> Request:
        # A fragment: the client must send the very bytes that are signed.
        content = orjson.Fragment(orjson.dumps(body, option=orjson.OPT_SORT_KEYS))
        return Request(
            method="POST", path=self._path, template=self.name, json=content, headers=headers
        )

    async def _send(self, request: Request, delivery_id: str) -> None:
        reply = await self._http.send(self._signed(request, delivery_id))
        if not 200 <= reply.status < 300:
            raise failure_of(self.name, reply)

    def _signed(self, request: Request, delivery_id: str) -> Request:
        """Sign each attempt anew: receivers refuse a timestamp that is some minutes old."""
        if self._signer is None:
            return request
        now = int(time.time())
        signature = self._signer.sign(delivery_id, now, orjson.dumps(request.json))
        stamp = {"webhook-timestamp": str(now), "webhook-signature": signature}
        return replace(request, headers={**request.headers, **stamp})

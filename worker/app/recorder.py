"""Keeps back what would change something, for a command that shows it: `worker inspect --live`."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import orjson

from worker.app.context import Outgoing, now
from worker.clients import Reply, Request, Sender
from worker.clients.genesys import API

QUESTIONS = ("/query", "/execute", "/conversations/details/jobs")
"""Ends of the paths of Genesys Cloud that are POSTed to, and change nothing: queries, and data
actions, which are lookups."""

AWS_READS = ("get_", "batch_get_", "head_", "list_", "describe_", "query", "scan", "generate_")
"""How the names of operations begin that change nothing."""

_SECRET = re.compile("auth|cookie|key|secret|signature|timestamp|token", re.IGNORECASE)
"""Headers that are left out: secrets, and what is made anew for each attempt."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """A call that would change something, and was not made."""

    to: str
    """The AWS service, or the upstream as metrics and /status name it."""

    call: str
    """Operation of AWS; method and, where it is no secret, path."""

    content: Mapping[str, Any] = field(repr=False)
    """Parameters of the operation; `headers` and `body` of a request."""


@dataclass(frozen=True, slots=True)
class Recorder:
    """Lets through what reads, and keeps what would write; callers take it for done."""

    writes: list[Write] = field(default_factory=list)

    def outgoing(self) -> Outgoing:
        """Return what a context is opened with, for its clients to be kept back."""
        return Outgoing(
            http=lambda name, client: _ReadingSender(name, client, self.writes),
            aws=lambda service, client: _ReadingClient(service, client, self.writes),
        )


@dataclass(frozen=True, slots=True)
class _ReadingSender:
    """Sends what asks; answers 200 to the rest."""

    name: str
    client: Sender
    writes: list[Write]

    async def send(self, request: Request, headers: Mapping[str, str] | None = None) -> Reply:
        path = request.path.partition("?")[0]
        asks = self.name == API and path.endswith(QUESTIONS)
        if request.method in {"GET", "HEAD"} or asks:
            return await self.client.send(request, headers or {})
        # The path of a webhook is often its password; those of Genesys hold ids.
        where = f" {request.path}" if self.name == API else ""
        kept = {key: one for key, one in request.headers.items() if not _SECRET.search(key)}
        body = request.form or orjson.loads(orjson.dumps(request.json))
        content = {**({"headers": kept} if kept else {}), "body": body}
        self.writes.append(Write(to=self.name, call=f"{request.method}{where}", content=content))
        return Reply(status=200, body=b"{}", received_at=now())


@dataclass(frozen=True, slots=True)
class _ReadingClient:
    """Calls what reads; answers the rest as the service does when all went well."""

    service: str
    client: Any
    writes: list[Write]

    def __getattr__(self, name: str) -> Any:
        if name.startswith(("_", *AWS_READS)) or name in {"meta", "exceptions", "can_paginate"}:
            return getattr(self.client, name)
        return partial(self._keep, name)

    async def _keep(self, operation: str, /, **parameters: Any) -> Mapping[str, Any]:
        call = "".join(part.capitalize() for part in operation.split("_"))
        self.writes.append(Write(to=self.service, call=call, content=parameters))
        return _REPLIES[operation](parameters) if operation in _REPLIES else {}


def _each(
    failed: str, results: str, entries: str, result: Mapping[str, str]
) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """Return the reply to a batch of which each entry succeeds."""
    return lambda call: {failed: 0, results: [dict(result) for _ in call[entries]]}


def _sent(call: Mapping[str, Any]) -> dict[str, Any]:
    return {"Successful": [{"Id": entry["Id"], "MessageId": ""} for entry in call["Entries"]]}


_REPLIES: Mapping[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
    "put_events": _each("FailedEntryCount", "Entries", "Entries", {"EventId": "not-put"}),
    "put_records": _each("FailedRecordCount", "Records", "Records", {}),
    "put_record_batch": _each("FailedPutCount", "RequestResponses", "Records", {"RecordId": ""}),
    "send_message_batch": _sent,
}

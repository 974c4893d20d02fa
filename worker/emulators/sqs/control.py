"""Faults and counts of a server that runs in another process, by plain HTTP beside SQS's own.

POST   /faults   {"action": "DeleteMessageBatch", "fault": "Drip", "with": {"seconds": 1},
                  "when": {"seconds": 20}}       `*` is any action; `with` and `when` may lack
DELETE /faults   all of them; ?action=… those of one action
GET    /counts   calls received by action, and outcomes by action
"""

from collections import Counter, defaultdict
from typing import Any, get_args

import orjson
from aiohttp import web

from worker.emulators.sqs.faults import Fault, FaultPlan, When
from worker.emulators.sqs.journal import Journal

KINDS: dict[str, Any] = {kind.__name__: kind for kind in get_args(Fault)}


class Control:
    """Answers requests that are not SQS's."""

    def __init__(self, faults: FaultPlan, journal: Journal, counts: Counter[str]) -> None:
        self._faults = faults
        self._journal = journal
        self._counts = counts

    async def __call__(self, request: web.BaseRequest) -> web.Response | None:
        """Return the answer; None for a call of SQS."""
        if "X-Amz-Target" in request.headers:
            return None
        match request.method, request.path:
            case "POST", "/faults":
                return self._add(await request.content.read())
            case "DELETE", "/faults":
                self._faults.clear(request.query.get("action"))
                return _said(200, {})
            case "GET", "/counts":
                return _said(200, {"calls": self._counts, "outcomes": self._outcomes()})
        return None

    def _add(self, content: bytes) -> web.Response:
        try:
            asked = orjson.loads(content)
            fault = KINDS[asked["fault"]](**asked.get("with", {}))
            self._faults.add(asked["action"], fault, When(**asked.get("when", {})))
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            return _said(400, {"error": repr(error), "faults": sorted(KINDS)})
        return _said(200, {})

    def _outcomes(self) -> dict[str, Counter[str]]:
        outcomes: dict[str, Counter[str]] = defaultdict(Counter)
        for record in self._journal.records:
            outcomes[record.action][record.outcome] += 1
        return outcomes


def _said(status: int, content: Any) -> web.Response:
    return web.Response(status=status, body=orjson.dumps(content), content_type="application/json")

"""Data actions: what their refusals mean, alike in both dialects. Pure.

README.md, "Data actions", has the facts.
"""

from typing import Literal

from worker.clients.genesys import wire
from worker.clients.http_types import Reply
from worker.errors import Misconfigured, NotYet

UPSTREAM = "data_action"
"""The systems behind data actions: they fail apart from Genesys."""

NO_CUSTOMER = "no.results"
"""ErrorBody code of a data action that found nothing: an answer, not a failure."""

NOT_FOUND = {404, 410}

NotFound = Literal["unknown", "retry"]


def knows_nobody(reply: Reply, not_found: NotFound) -> bool:
    """Tell whether the answer is that there is no such customer.

    A 404 of the system behind the action is one with `unknown`, and NotYet with `retry`; a 404 of
    Genesys itself says that there is no such action, which is Misconfigured.
    """
    complaint = wire.complaint_of(reply)
    if reply.status not in NOT_FOUND:
        return reply.status == 400 and complaint.code == NO_CUSTOMER
    if complaint.action is None:
        text = f"genesys: {reply.status} {complaint.code or '-'} {complaint.correlation_id or '-'}"
        raise Misconfigured(
            f"{text}: no such data action",
            setting="GENESYS_ACTION_ID",
            remedy="set GENESYS_ACTION_ID to the id of a published data action",
        )
    if not_found == "retry":
        raise NotYet("genesys: the system behind the data action knows no such customer")
    return True

"""Refusals that no message is at fault for. Pure."""

from collections.abc import Mapping
from typing import Any

from worker.clients.exchange import Reply
from worker.clients.genesys import wire
from worker.errors import Unauthorized

MISSING_PERMISSION = {"missing.permissions", "missing.any.permissions"}


def object_of(reply: Reply) -> Mapping[str, Any]:
    """As `wire.object_of`, but Unauthorized where the OAuth client's role lacks a permission.

    Only a person mends that, for all messages at once: parking them would be no help.
    """
    complaint = wire.complaint_of(reply)
    if reply.status == 403 and complaint.code in MISSING_PERMISSION:
        where = complaint.correlation_id or "-"
        raise Unauthorized(f"genesys: {complaint.code} {where}")
    return wire.object_of(reply)

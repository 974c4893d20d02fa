"""What all batch actions share: the rules of a batch, and one answer per entry."""

import re
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from worker.emulators.sqs.errors import SqsError
from worker.emulators.sqs.faults import Injected
from worker.emulators.sqs.journal import Journal
from worker.emulators.sqs.message import read_receipt
from worker.emulators.sqs.parameters import Parameters

MAXIMUM_ENTRIES = 10

_ID = re.compile(r"[\w-]{1,80}", re.ASCII)


def read_entries(parameters: Parameters) -> list[dict[str, Any]]:
    """Return the entries of a batch.

    Raises:
        SqsError: none, more than ten, or ids that are malformed or not distinct.

    """
    entries: list[dict[str, Any]] = parameters.get("Entries") or []
    ids = [str(entry.get("Id", "")) for entry in entries]
    if not entries:
        raise SqsError("EmptyBatchRequest", "There should be at least one entry in the request.")
    if len(entries) > MAXIMUM_ENTRIES:
        limit = f"Maximum number of entries per request are {MAXIMUM_ENTRIES}."
        raise SqsError("TooManyEntriesInBatchRequest", f"{limit} You have sent {len(entries)}.")
    if not all(map(_ID.fullmatch, ids)):
        what = "A batch entry id can only contain alphanumeric characters, hyphens and underscores."
        raise SqsError("InvalidBatchEntryId", f"{what} It can be at most 80 letters long.")
    if len(set(ids)) < len(ids):
        repeated = next(entry_id for entry_id in ids if ids.count(entry_id) > 1)
        raise SqsError("BatchEntryIdsNotDistinct", f"Id {repeated} repeated.")
    return entries


class Batch:
    """Runs an action on each entry and sorts the answers into `Successful` and `Failed`."""

    def __init__(self, action: str, queue_name: str, injected: Injected) -> None:
        self._action = action
        self._queue_name = queue_name
        self._injected = injected
        self._successful: list[dict[str, Any]] = []
        self._failed: list[dict[str, Any]] = []
        self._message_ids: dict[str, list[str]] = defaultdict(list)

    def run(
        self,
        entries: list[dict[str, Any]],
        one: Callable[[dict[str, Any]], tuple[str, dict[str, Any]]],
    ) -> None:
        """Run `one`, which returns the message id and the answer, on each entry."""
        failing = self._injected.failing([entry["Id"] for entry in entries])
        for entry in entries:
            if fault := failing.get(entry["Id"]):
                error = SqsError(fault.shape, "Injected.", status=500)
                self._fail(entry, error, sender_fault=fault.sender_fault)
                continue
            try:
                message_id, answer = one(entry)
            except SqsError as error:
                self._fail(entry, error, sender_fault=error.sender_fault)
            else:
                self._message_ids["ok"].append(message_id)
                self._successful.append({"Id": entry["Id"], **answer})

    def answer(self, journal: Journal) -> dict[str, Any]:
        """Return the answer to the batch, after writing it down."""
        for outcome, message_ids in self._message_ids.items():
            journal.write(self._action, self._queue_name, message_ids, outcome)
        return {"Successful": self._successful, "Failed": self._failed}

    def _fail(self, entry: dict[str, Any], error: SqsError, *, sender_fault: bool) -> None:
        self._message_ids[error.code].append(_message_id(entry))
        self._failed.append(
            {
                "Id": entry["Id"],
                "SenderFault": sender_fault,
                "Code": error.code,
                "Message": error.message,
            }
        )


def _message_id(entry: dict[str, Any]) -> str:
    try:
        return read_receipt(str(entry.get("ReceiptHandle", ""))).message_id
    except SqsError:
        return ""  # a send has none yet, and a bad handle names none

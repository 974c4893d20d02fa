"""The event bus: whether it would take the events that the handlers put on it."""

from collections.abc import Collection, Mapping
from typing import Any

from worker.cli.preflight.dry import NO_JSON, Target, refusal_of, refused
from worker.cli.preflight.faults import REFUSALS, fault_called, fault_of
from worker.cli.preflight.rows import Row, fail, ok, warn
from worker.clients.aws.errors import kind_of
from worker.jobs.reports import handler
from worker.jobs.sentiment import handler

BUS = Target(name="event bus", action="events:PutEvents", setting="EVENT_BUS_NAME")

EVENTS: Mapping[str, tuple[str, str]] = {
    "sentiment": (handler.SOURCE, handler.FORWARDED),
    "reports": (handler.SOURCE, handler.READY),
}
"""Source and detail-type of what each handler puts: rights may be narrowed to them."""

ALWAYS_THERE = "default"
REFUSED_DETAIL = "MalformedDetail"
"""https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutEventsResultEntry.html."""


async def check_bus(events: Any, bus: str, handlers: Collection[str]) -> Row:
    """Try to put an event of each handler with a detail that no event can have."""
    entries = [
        {"EventBusName": bus, "Source": source, "DetailType": detail_type, "Detail": NO_JSON}
        for handler, (source, detail_type) in EVENTS.items()
        if handler in handlers
    ]
    try:
        reply = await events.put_events(Entries=entries)
    except REFUSALS as error:
        return refused(BUS, fault_of(error))
    sources = ", ".join(entry["Source"] for entry in entries)
    return _verdict(reply.get("Entries", [])) or await _existence(events, bus, sources)


def _verdict(answers: Collection[Mapping[str, Any]]) -> Row | None:
    """Return what is wrong with the fates of the entries; None when all are as they should be."""
    codes = {answer.get("ErrorCode") for answer in answers}
    if None in codes:
        remedy = "tell those whose rules listen: an event of worker check came through"
        return warn(BUS.name, "took an event it should have refused", remedy)
    if codes == {REFUSED_DETAIL}:
        return None
    others = sorted(map(str, codes - {REFUSED_DETAIL})) or ["no answer to an entry"]
    return refused(BUS, fault_called(others[0]))


async def _existence(events: Any, bus: str, sources: str) -> Row:
    """Look whether there is such a bus, which PutEvents does not tell: it takes events for none.

    https://github.com/aws/aws-cli/issues/9186. The worker itself needs no right to look, so that
    lacking it is no fault.
    """
    found = f"would take events of {sources}"
    if bus == ALWAYS_THERE:
        return ok(BUS.name, found)
    fault = await refusal_of(events.describe_event_bus(Name=bus))
    if fault is None:
        return ok(BUS.name, found)
    if kind_of(fault.code) == "missing":
        remedy = f"check {BUS.setting}, the account and the region"
        return fail(BUS.name, "there is none: what is put on it is lost without an error", remedy)
    return ok(BUS.name, f"{found}; whether there is one was not to be seen ({fault.code})")

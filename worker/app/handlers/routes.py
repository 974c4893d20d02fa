"""The list of what this worker does: event → handler, for the handlers that are on."""

from worker.app.bus import build_bus
from worker.app.genesys import GenesysParts
from worker.app.handlers import attributes, reports, sentiment, voice, workflow
from worker.app.workshop import Workshop
from worker.events.types import (
    AttributesWanted,
    ChatScored,
    ConversationEnded,
    ReportDue,
    VoiceScored,
)
from worker.intake.router import Router


async def build_router(workshop: Workshop, genesys: GenesysParts) -> Router:
    """Return the routes. A handler that is off is not even built.

    `needs` names the upstreams, as their guards are called, that a handler cannot do without;
    `may_miss` those of them whose answers it may remember.
    """
    router, on = Router(), workshop.settings.enabled_handlers()
    if "voice" in on:
        run = await voice.build(workshop, genesys)
        # A score that may be written without its customer must not wait for Genesys.
        needs = ("dynamodb",) if run.degrade_after_seconds else ("genesys", "dynamodb")
        router.on(VoiceScored, "voice", run, needs=needs)
    if "attributes" in on:
        enrich = await attributes.build(workshop, genesys)
        needs = ("genesys", "crm")
        router.on(AttributesWanted, "attributes", enrich, needs=needs, may_miss=("crm",))
    if "workflow" in on:
        start = await workflow.build(workshop, genesys)
        router.on(ConversationEnded, "workflow", start, needs=("genesys", "stepfunctions"))
    if {"sentiment", "reports"} & set(on):
        await _add_tellers(router, workshop, genesys)
    return router


async def _add_tellers(router: Router, workshop: Workshop, genesys: GenesysParts) -> None:
    """Add the handlers that share the event bus."""
    bus, on = await build_bus(workshop), workshop.settings.enabled_handlers()
    if "sentiment" in on:
        forward = await sentiment.build(workshop, genesys, bus)
        needs = ("genesys", "events", "crm_webhook")
        router.on(ChatScored, "sentiment", forward, needs=needs)
    if "reports" in on:
        write = await reports.build(workshop, genesys, bus)
        deadline = workshop.settings.report.deadline_seconds
        needs = ("genesys", "s3_reports", "events")
        router.on(ReportDue, "reports", write, needs=needs, deadline_seconds=deadline)

"""The list of what this worker does: event → handler, for the handlers that are on."""

from worker.app.bus import build_bus
from worker.app.genesys import GenesysParts
from worker.app.handlers import attributes, reports, sentiment, voice, workflow
from worker.app.workshop import Workshop
from worker.clients.genesys.dialects import Dialect
from worker.errors import ConfigurationError
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
    `may_miss` those whose answers it may remember, or go without. Raises ConfigurationError for a
    name that no upstream has: what is needed would never be waited for.
    """
    router, on = Router(), workshop.settings.enabled_handlers()
    if "voice" in on:
        run = await voice.build(workshop, genesys)
        missed = ("login", "data_action", "conversations")
        router.on(
            VoiceScored,
            "voice",
            run,
            needs=("dynamodb",),
            may_miss=missed,
            degrade_after_seconds=workshop.settings.voice.degrade_after_seconds,
            proof="sink",
        )
    if "attributes" in on:
        enrich = await attributes.build(workshop, genesys)
        router.on(
            AttributesWanted,
            "attributes",
            enrich,
            needs=("login", "conversations"),
            may_miss=("crm", "architect"),
            age_limit_seconds=workshop.settings.attributes.max_age_seconds,
        )
    if "workflow" in on:
        start = await workflow.build(workshop, genesys)
        needs = ("login", "analytics", "stepfunctions")
        router.on(ConversationEnded, "workflow", start, needs=needs, proof="sink")
    if {"sentiment", "reports"} & set(on):
        await _add_tellers(router, workshop, genesys)
    _check(router, workshop.upstreams.names())
    return router


async def _add_tellers(router: Router, workshop: Workshop, genesys: GenesysParts) -> None:
    """Add the handlers that share the event bus."""
    bus, on = await build_bus(workshop), workshop.settings.enabled_handlers()
    if "sentiment" in on:
        forward = await sentiment.build(workshop, genesys, bus)
        router.on(ChatScored, "sentiment", forward, needs=_of_sentiment(workshop, genesys.dialect))
    if "reports" in on:
        write = await reports.build(workshop, genesys, bus)
        deadline = workshop.settings.report.deadline_seconds
        needs = ("login", "analytics", "s3_reports", "events")
        router.on(ReportDue, "reports", write, needs=needs, deadline_seconds=deadline)


def _of_sentiment(workshop: Workshop, dialect: Dialect) -> list[str]:
    """Return what no chat can be told without: where its sentiment comes from, and the sinks."""
    settings = workshop.settings
    source = ["analytics", "speech", "transcripts"]
    if "transcripts" not in dialect.features:
        source = ["analytics"]
    hook = ["crm_webhook"] if settings.crm.webhook_url else []
    return ["login", "conversations", *source, "events", *hook]


def _check(router: Router, names: frozenset[str]) -> None:
    problems = [
        f"job {route.job}: there is no upstream {name}"
        for route in router.all()
        for name in sorted((route.needs | route.may_miss) - names)
    ]
    if problems:
        raise ConfigurationError(problems)

"""The list of what this worker does: event → handler, for the handlers that are on."""

from worker.app.bus import build_bus
from worker.app.genesys import GenesysParts
from worker.app.workshop import Workshop
from worker.errors import ConfigurationError
from worker.intake.router import Router
from worker.jobs.attributes import build
from worker.jobs.attributes.events import AttributesWanted
from worker.jobs.reports import build
from worker.jobs.reports.events import ReportDue
from worker.jobs.sentiment import build
from worker.jobs.sentiment.events import ChatScored
from worker.jobs.voice import build
from worker.jobs.voice.events import VoiceScored
from worker.jobs.workflow import build
from worker.jobs.workflow.events import ConversationEnded


async def build_router(workshop: Workshop, genesys: GenesysParts) -> Router:
    """Return the routes. A handler that is off is not even built.

    `needs` names the upstreams, as their guards are called, that a handler cannot do without;
    `may_miss` those whose answers it may remember, or go without. Raises ConfigurationError for a
    name that no upstream has: what is needed would never be waited for.
    """
    router, on = Router(), workshop.settings.enabled_handlers()
    if "voice" in on:
        run = await build.build(workshop, genesys)
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
        enrich = await build.build(workshop, genesys)
        router.on(
            AttributesWanted,
            "attributes",
            enrich,
            needs=("login", "conversations"),
            may_miss=("crm", "architect"),
            age_limit_seconds=workshop.settings.attributes.max_age_seconds,
        )
    if "workflow" in on:
        start = await build.build(workshop, genesys)
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
        forward = await build.build(workshop, genesys, bus)
        router.on(ChatScored, "sentiment", forward, needs=_of_sentiment(workshop))
    if "reports" in on:
        write = await build.build(workshop, genesys, bus)
        deadline = workshop.settings.report.deadline_seconds
        needs = ("login", "analytics", "s3_reports", "events")
        router.on(ReportDue, "reports", write, needs=needs, deadline_seconds=deadline)


def _of_sentiment(workshop: Workshop) -> list[str]:
    """Return what no chat can be told without: where its sentiment comes from, and the sinks."""
    settings = workshop.settings
    source = ["analytics", "speech", "transcripts"]
    if settings.genesys.dialect == "reference":
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

"""The list of what this worker does: event → handler, for the handlers that are on."""

from worker.app.genesys import GenesysParts
from worker.app.handlers import attributes, sentiment, voice, workflow
from worker.app.workshop import Workshop
from worker.events.types import AttributesWanted, ChatScored, ConversationEnded, VoiceScored
from worker.intake.router import Router


async def build_router(workshop: Workshop, genesys: GenesysParts) -> Router:
    """Return the routes. A handler that is off is not even built."""
    router, on = Router(), workshop.settings.enabled_handlers()
    if "voice" in on:
        router.on(VoiceScored, "voice", await voice.build(workshop, genesys))
    if "attributes" in on:
        router.on(AttributesWanted, "attributes", await attributes.build(workshop, genesys))
    if "workflow" in on:
        router.on(ConversationEnded, "workflow", await workflow.build(workshop, genesys))
    if "sentiment" in on:
        router.on(ChatScored, "sentiment", await sentiment.build(workshop, genesys))
    return router

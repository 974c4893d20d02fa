"""Builds the event bus that our own events are put on."""

from worker.app.workshop import Workshop
from worker.clients.aws.bus import Bus
from worker.clients.aws.session import ClientLimits


async def build_bus(workshop: Workshop) -> Bus:
    """Return the bus that all handlers share: their events share its calls."""
    limits = ClientLimits(pool=10, read_seconds=5, attempts=3)
    client = await workshop.aws_client("events", limits)
    name = workshop.settings.event_bus.name
    bus = Bus(client, name, workshop.upstreams.aws("events"), workshop.random)
    workshop.stack.push_async_callback(bus.aclose)
    return bus

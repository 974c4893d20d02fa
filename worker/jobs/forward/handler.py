"""An event is forwarded as it came, and done only when its target has it."""

from dataclasses import dataclass

from worker.api import AnyEvent, Envelope, Result, read_any
from worker.jobs.forward.targets import Forwarded, Target


def read(envelope: Envelope) -> Forwarded:
    """Read an event in either form; its content stays as it is."""
    event = read_any(envelope)
    return Forwarded(
        **{name: getattr(event, name) for name in AnyEvent.__struct_fields__},
        is_bare=envelope.is_bare,
    )


@dataclass(frozen=True, slots=True)
class ForwardEvents:
    """Event → target: at least once, under an id that is the same for every repeat."""

    target: Target

    async def __call__(self, event: Forwarded) -> Result:
        """Forward; raises Permanent for an event that its target does not take."""
        await self.target.put(event)
        return Result.OK

"""An event is forwarded as it came, and done only when its target has it."""

from dataclasses import dataclass
from typing import Protocol

from msgspec import Raw, Struct, json

from worker.api import AnyEvent, Envelope, Result, read_any

_BREAKS = bytes.maketrans(b"\r\n", b"  ")


class Forwarded(AnyEvent, frozen=True, kw_only=True):
    """An event that is passed on."""

    is_bare: bool = False
    """It came without its envelope."""

    @property
    def line(self) -> bytes:
        """The event on one line: its very bytes, but for line breaks between its tokens."""
        # Who reads JSON lines takes a line break for the end of an event. EventBridge writes none,
        # other senders may. Between tokens JSON allows a space in its place, and within texts it
        # allows no line break. Not written anew by a parser: that would round numbers, drop
        # repeated names and order others.
        return self.whole.translate(_BREAKS)

    @property
    def group(self) -> str:
        """What keeps events of one conversation together."""
        return self.conversation_id or self.origin.dedupe_key

    @property
    def detail(self) -> bytes:
        """Its `detail`, byte for byte."""
        return self.whole if self.is_bare else bytes(json.decode(self.whole, type=_Whole).detail)


class _Whole(Struct):
    detail: Raw


class Target(Protocol):
    """Takes events."""

    async def put(self, event: Forwarded) -> None:
        """Write an event; back when it is written.

        Raises Permanent for one that cannot be written, Transient otherwise.
        """

    async def aclose(self) -> None:
        """Write what is waiting."""


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

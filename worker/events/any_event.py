"""An event of any type, for jobs that pass on what they get."""

from hashlib import sha256

from msgspec import Raw, json

from worker.errors import Permanent
from worker.events.conversation import emitted_at
from worker.events.envelope import Envelope
from worker.events.fields import UUID
from worker.events.origin import Event, timed
from worker.events.reading import EventType

CONVERSATION = "conversationId"
"""Where the bodies of Genesys Cloud's topics carry it, if they are about one."""


class AnyEvent(Event, frozen=True, kw_only=True):
    """An event whose content was not parsed."""

    unshown = frozenset({"content", "whole"})

    content: bytes
    """JSON of `detail.eventBody`; in the flat form of `detail`."""

    whole: bytes
    """JSON of the event as it came, or of its bare `detail`."""

    def body(self) -> dict[str, object]:
        """Return the content. Raises Permanent when it is no object."""
        body: object = json.decode(self.content)
        if not isinstance(body, dict):
            raise Permanent("detail.eventBody: not an object")
        return body

    def text(self, field: str) -> str:
        """Return a text of the content. Raises Permanent, naming the field, when there is none."""
        value = self.body().get(field)
        if not isinstance(value, str) or not value:
            raise Permanent(f"detail.eventBody.{field}: missing, or not text")
        return value


def read_any(envelope: Envelope) -> AnyEvent:
    """Read an event in either form: copies of it are known by what they contain."""
    content = _bytes(envelope.detail() if envelope.body is None else envelope.body)
    origin = timed(envelope, emitted_at(envelope), sha256(content).hexdigest())
    return AnyEvent(
        origin=origin,
        conversation_id=_conversation_id(content),
        content=content,
        whole=_bytes(envelope.whole),
    )


def any_events(types: str) -> EventType:
    """Declare events that are passed on as they come; `types`: the field with their globs."""
    return EventType(kind=AnyEvent, types=types, platform=read_any, reference=read_any)


def _bytes(text: Raw | str) -> bytes:
    return text.encode() if isinstance(text, str) else bytes(text)


def _conversation_id(content: bytes) -> str | None:
    body: object = json.decode(content)
    found = body.get(CONVERSATION) if isinstance(body, dict) else None
    return found if isinstance(found, str) and UUID.fullmatch(found) else None

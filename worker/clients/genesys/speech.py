"""Sentiment of a conversation: requests and replies of both dialects. Pure.

Platform: speech and text analytics, and the transcript (README.md, "Speech and text analytics").
Reference: the metrics of r3's details query.
"""

from collections.abc import Mapping
from typing import Any

from worker.clients.genesys import wire
from worker.clients.genesys.details_by_id import QUERY_PATH, Wanted, entities, reference_query
from worker.clients.genesys.details_by_id import UPSTREAM as ANALYTICS
from worker.clients.genesys.live import CUSTOMER_PURPOSES
from worker.clients.genesys.transcript import SignedUrl, objects_in
from worker.clients.genesys.wire import Call, object_of
from worker.clients.http_types import Reply, Request
from worker.domain.sentiment import Sentiment, exact, sentiment_of
from worker.errors import Permanent
from worker.events.fields import UUID

UPSTREAM = "speech"

CHATS = {"chat", "message"}
MOST_SESSIONS = 10
"""Sessions of one conversation that are read; a customer who comes back makes a new one."""

METRICS = {
    "confidence": "sentimentOverallScore",
    "positive": "sentimentPositive",
    "neutral": "sentimentNeutral",
    "negative": "sentimentNegative",
}
"""r3's metrics; its overall score is the confidence."""


def is_analysed(conversation_id: str) -> Call[bool]:
    """Ask whether the conversation has a sentiment score.

    The reader raises Permanent for one outside -1..1: the UI's scale, -100..100, would be misread.
    """
    base = "/api/v2/speechandtextanalytics/conversations"
    request = Request(
        method="GET",
        path=f"{base}/{wire.conversation_id_in_path(conversation_id)}",
        template=f"{base}/{{conversationId}}",
    )
    return Call(request, _is_analysed, UPSTREAM)


def transcript_url(conversation_id: str, session_id: str) -> Call[SignedUrl | None]:
    """Ask for the transcript of one session of the customer's; None: there is none (yet)."""
    base = "/api/v2/speechandtextanalytics/conversations"
    conversation = wire.conversation_id_in_path(conversation_id)
    session = wire.conversation_id_in_path(session_id)
    request = Request(
        method="GET",
        path=f"{base}/{conversation}/communications/{session}/transcripturl",
        template=f"{base}/{{conversationId}}/communications/{{communicationId}}/transcripturl",
    )
    return Call(request, _url, UPSTREAM)


def sentiment_metrics(wanted: Wanted) -> Call[Sentiment | None]:
    """Ask r3's details query for the four metrics; None: not analysed (yet)."""
    query = {**reference_query(wanted), "view": "sentiment", "metrics": list(METRICS.values())}
    request = Request(method="POST", path=QUERY_PATH, template=QUERY_PATH, json=query)

    def read(reply: Reply) -> Sentiment | None:
        return _of_metrics(entities(reply).get(wanted.key, {}))

    return Call(request, read, ANALYTICS)


def chat_sessions(details: Mapping[str, Any]) -> list[str]:
    """Return the ids of the customer's chat and message sessions, which transcripts go by.

    In order of time; of more than `MOST_SESSIONS` the latest, as it is the last one that ended.
    """
    sessions = [
        session
        for participant in objects_in(details.get("participants"))
        if str(participant.get("purpose")).lower() in CUSTOMER_PURPOSES
        for session in objects_in(participant.get("sessions"))
        if str(session.get("mediaType")).lower() in CHATS
        and UUID.fullmatch(str(session.get("sessionId")))
    ]
    return [session["sessionId"] for session in sorted(sessions, key=_began)[-MOST_SESSIONS:]]


def _began(session: Mapping[str, Any]) -> str:
    """Return when its first segment began, in ISO 8601 UTC, which sorts as text."""
    starts = (segment.get("segmentStart") for segment in objects_in(session.get("segments")))
    return min((start for start in starts if isinstance(start, str)), default="")


def _is_analysed(reply: Reply) -> bool:
    if reply.status == 404:
        return False
    score = object_of(reply).get("sentimentScore")
    if score is None:
        return False
    number = exact(score)
    if number is None or abs(number) > 1:
        raise Permanent("sentimentScore: not within -1..1")
    return True


def _url(reply: Reply) -> SignedUrl | None:
    if reply.status == 404:
        return None
    url = object_of(reply).get("url")
    return SignedUrl(url) if isinstance(url, str) and url else None


def _of_metrics(entity: Mapping[str, Any]) -> Sentiment | None:
    values = {
        str(metric.get("name")): metric.get("value") for metric in objects_in(entity.get("metrics"))
    }
    found = {share: values.get(name) for share, name in METRICS.items()}
    return None if None in found.values() else sentiment_of(**found)

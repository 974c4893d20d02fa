"""The sentiment of a chat that ended, in either dialect.

Platform: speech and text analytics, and the transcript (README.md, "Speech and text analytics").
Reference: the metrics of r3's details query.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import partial
from itertools import chain
from typing import Any, Protocol

from worker.clients.genesys import wire
from worker.clients.genesys.api import Api, with_background_retry
from worker.clients.genesys.details_query import (
    CUSTOMER_PURPOSES,
    LARGEST_PAGE,
    Details,
    OfPage,
    Wanted,
    days_around,
    entities,
    first_found,
    query_request,
)
from worker.clients.genesys.transcripts import (
    LIMITS,
    ScoredPhrase,
    Sentiment,
    SignedUrl,
    Transcripts,
    customer_phrases,
    exact,
    is_score,
    sentiment_of,
    sentiment_of_phrases,
)
from worker.clients.genesys.wire import Call
from worker.clients.http_types import Reply, Request
from worker.resilience import Guard

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
    return Call(request, _is_analysed, wire.SPEECH)


def sentiment_score(conversation_id: str) -> Call[Decimal | None]:
    """Ask for the conversation's sentiment, -1..1; None: it is not analysed, yet or ever."""
    call = is_analysed(conversation_id)
    return Call(call.request, _score, call.upstream)


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
    return Call(request, _url, wire.SPEECH)


def sentiment_metrics(wanted: Wanted, token: str | None = None) -> Call[OfPage[Sentiment]]:
    """Ask r3's details query for the four metrics; a page may have none of the chat's."""

    def read(reply: Reply) -> OfPage[Sentiment]:
        found, following = entities(reply, wanted)
        return OfPage(next(filter(None, map(_of_metrics, found)), None), following)

    call = Call(_sentiment_query(wanted, token), read, wire.ANALYTICS)
    return wire.taking("analytics:conversations:view", call)


def _sentiment_query(wanted: Wanted, token: str | None) -> Request:
    """Return r3's query for the sentiment of one chat."""
    clauses = [
        {"type": "conversationId", "in": [wanted.conversation_id]},
        {"type": "medium", "in": ["chat"]},
    ]
    body: dict[str, Any] = {
        **days_around(wanted),
        "view": "sentiment",
        "metrics": list(METRICS.values()),
        "groupBy": [],
        "filter": {"type": "and", "clauses": clauses},
        "pageSize": LARGEST_PAGE,
    }
    return query_request(body if token is None else {**body, "nextPageToken": token})


def chat_sessions(details: Mapping[str, Any]) -> list[str]:
    """Return the ids of the customer's chat and message sessions, which transcripts go by.

    In order of time; of more than `MOST_SESSIONS` the latest, as it is the last one that ended.
    """
    sessions = [
        session
        for participant in wire.objects_in(details.get("participants"))
        if str(participant.get("purpose")).lower() in CUSTOMER_PURPOSES
        for session in wire.objects_in(participant.get("sessions"))
        if str(session.get("mediaType")).lower() in CHATS and wire.is_uuid(session.get("sessionId"))
    ]
    return [session["sessionId"] for session in sorted(sessions, key=_began)[-MOST_SESSIONS:]]


def _began(session: Mapping[str, Any]) -> str:
    """Return when its first segment began, in ISO 8601 UTC, which sorts as text."""
    starts = (segment.get("segmentStart") for segment in wire.objects_in(session.get("segments")))
    return min((start for start in starts if isinstance(start, str)), default="")


def _is_analysed(reply: Reply) -> bool:
    return _score(reply) is not None


def _score(reply: Reply) -> Decimal | None:
    if reply.status == 404:
        return None
    score = wire.object_of(reply).get("sentimentScore")
    return exact(score) if is_score(score) else None


def _url(reply: Reply) -> SignedUrl | None:
    if reply.status == 404:
        return None
    url = wire.object_of(reply).get("url")
    return SignedUrl(url) if isinstance(url, str) and url else None


def _of_metrics(entity: Mapping[str, Any]) -> Sentiment | None:
    """Return the sentiment; None without the confidence. A share that is not there is 0."""
    values = {
        str(metric.get("name")): metric.get("value")
        for metric in wire.objects_in(entity.get("metrics"))
    }
    found = {share: values.get(name) for share, name in METRICS.items()}
    if found.pop("confidence") is None:
        return None
    shares = {share: 0 if value is None else value for share, value in found.items()}
    return sentiment_of(**shares, confidence=values[METRICS["confidence"]])


class Scores:
    """Sentiment scores of whole conversations, of whatever medium."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def of_conversation(
        self, conversation_id: str, *, background: bool = False
    ) -> Decimal | None:
        """Return the score, -1..1; None: not analysed, yet or ever.

        `background`: after all live work, and retried for longer.
        """
        call = sentiment_score(conversation_id)
        if background:
            return await with_background_retry(self._api, call)
        return await self._api.run(call)


DetailsById = Callable[[str, datetime], Awaitable[Details | None]]
"""What analytics knows of a conversation, by its id and about when it ended; None: nothing yet."""


class ChatSentiment(Protocol):
    """How a dialect finds the sentiment of a chat."""

    async def of_chat(
        self, conversation_id: str, ended_at: datetime, session_id: str | None = None
    ) -> Sentiment | None:
        """Return the sentiment; None: not analysed, yet or ever.

        `session_id`: the customer's session that ended; without it, of all that are there.
        """


class TranscriptSentiment:
    """The platform's: its score is one number, so the shares come from the transcript.

    Transcripts go by the customer's sessions. An event names the one that ended, which is asked for
    directly: analytics lists it later than speech analytics reads it. Of an event that names none,
    they are taken from analytics and not from the live conversation: those lookups share their
    requests, and what has ended may have left the live store.
    """

    def __init__(self, api: Api, details: DetailsById, transcripts: Transcripts) -> None:
        self._api = api
        self._details = details
        self._transcripts = transcripts

    async def of_chat(
        self, conversation_id: str, ended_at: datetime, session_id: str | None = None
    ) -> Sentiment | None:
        """Return the shares of the customer's phrases in the session that ended; or None.

        What the customer said before coming back went out with the event of that time. Without a
        session, those of all transcripts that are there: a session may never get any.
        """
        # Asked first: most of those that come too early learn it by this one request.
        if not await self._api.run(is_analysed(conversation_id)):
            return None
        if session_id is not None and wire.is_uuid(session_id):
            sessions = [session_id]
        else:
            details = await self._details(conversation_id, ended_at)
            sessions = chat_sessions(details or {})
        said = [await self._phrases(conversation_id, session) for session in sessions]
        return sentiment_of_phrases(chain.from_iterable(said))

    async def aclose(self) -> None:
        """Close the connections to where transcripts are."""
        await self._transcripts.aclose()

    async def _phrases(self, conversation_id: str, session_id: str) -> list[ScoredPhrase]:
        signed = await self._api.run(transcript_url(conversation_id, session_id))
        file = signed and await self._transcripts.fetch(signed)
        return customer_phrases(file or {})


def transcript_sentiment(
    api: Api,
    details: DetailsById,
    guard: Guard,
    *,
    buckets: Sequence[str],
    loopback: bool,
) -> TranscriptSentiment:
    """Return the platform's, with its own client of transcripts: see `Transcripts`."""
    transcripts = Transcripts(guard, LIMITS, buckets=buckets, loopback=loopback)
    return TranscriptSentiment(api, details, transcripts)


class QuerySentiment:
    """The reference dialect's: four metrics of r3's details query."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def of_chat(
        self,
        conversation_id: str,
        ended_at: datetime,
        session_id: str | None = None,  # noqa: ARG002  the reference knows none
    ) -> Sentiment | None:
        """Return the metrics as they are; None without the confidence."""
        wanted = Wanted(wire.conversation_id_in_path(conversation_id), ended_at)
        return await first_found(self._api, partial(sentiment_metrics, wanted))

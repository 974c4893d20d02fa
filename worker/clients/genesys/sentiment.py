"""The sentiment of a chat that ended, in either dialect."""

from datetime import datetime
from itertools import chain
from typing import Protocol

from worker.clients.genesys.api import Api
from worker.clients.genesys.chat_figures import Sentiment
from worker.clients.genesys.conversations import ConversationDetails
from worker.clients.genesys.details_by_id import Wanted
from worker.clients.genesys.speech import (
    chat_sessions,
    is_analysed,
    sentiment_metrics,
    transcript_url,
)
from worker.clients.genesys.transcript import (
    ScoredPhrase,
    customer_phrases,
    sentiment_of_phrases,
)
from worker.clients.transcripts import Transcripts


class ChatSentiment(Protocol):
    """How a dialect finds the sentiment of a chat."""

    async def of_chat(
        self, conversation_id: str, ended_at: datetime, session_id: str | None = None
    ) -> Sentiment | None:
        """Return the sentiment; None: not analysed, yet or ever.

        `session_id`: the customer's session that ended; without it, any that is there will do.
        """


class TranscriptSentiment:
    """The platform's: its score is one number, so the shares come from the transcript.

    Transcripts go by the customer's sessions. They are taken from analytics and not from the live
    conversation: those lookups share their requests, and what has ended may have left the live
    store.
    """

    def __init__(self, api: Api, details: ConversationDetails, transcripts: Transcripts) -> None:
        self._api = api
        self._details = details
        self._transcripts = transcripts

    async def of_chat(
        self, conversation_id: str, ended_at: datetime, session_id: str | None = None
    ) -> Sentiment | None:
        """Return the shares of the customer's phrases, of all transcripts that are there; or None.

        A session without one is passed over: it may never get any. But not the one that ended: what
        the customer said before coming back is no answer, and was told by the event of that time.
        """
        # Asked first: most of those who come too early are told so by this one request.
        if not await self._api.run(is_analysed(conversation_id)):
            return None
        details = await self._details.by_id(conversation_id, ended_at)
        sessions = chat_sessions(details or {})
        if session_id is not None and session_id not in sessions:
            return None
        said = {session: await self._phrases(conversation_id, session) for session in sessions}
        if session_id is not None and not said[session_id]:
            return None
        return sentiment_of_phrases(chain.from_iterable(said.values()))

    async def _phrases(self, conversation_id: str, session_id: str) -> list[ScoredPhrase]:
        signed = await self._api.run(transcript_url(conversation_id, session_id))
        file = signed and await self._transcripts.fetch(signed)
        return customer_phrases(file or {})


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
        """Return the four metrics as they are; None unless all are there."""
        return await self._api.run(sentiment_metrics(Wanted(conversation_id, ended_at)))

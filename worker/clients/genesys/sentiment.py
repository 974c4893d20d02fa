"""The sentiment of a chat that ended, in either dialect."""

from datetime import datetime
from typing import Protocol

from worker.clients.genesys.api import Api
from worker.clients.genesys.conversations import ConversationDetails
from worker.clients.genesys.details_by_id import Wanted
from worker.clients.genesys.speech import (
    chat_sessions,
    is_analysed,
    sentiment_metrics,
    transcript_url,
)
from worker.clients.genesys.transcript import customer_phrases, sentiment_of_phrases
from worker.clients.transcripts import Transcripts
from worker.domain.sentiment import Sentiment


class ChatSentiment(Protocol):
    """How a dialect finds the sentiment of a chat."""

    async def of_chat(self, conversation_id: str, ended_at: datetime) -> Sentiment | None:
        """Return the sentiment; None: not analysed, yet or ever."""


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

    async def of_chat(self, conversation_id: str, ended_at: datetime) -> Sentiment | None:
        """Return the shares of the customer's phrases, of all transcripts that are there; or None.

        A session without one is passed over: it may never get any.
        """
        # Asked first: most of those who come too early are told so by this one request.
        if not await self._api.run(is_analysed(conversation_id)):
            return None
        details = await self._details.by_id(conversation_id, ended_at)
        phrases = []
        for session in chat_sessions(details or {}):
            signed = await self._api.run(transcript_url(conversation_id, session))
            file = signed and await self._transcripts.fetch(signed)
            phrases += customer_phrases(file or {})
        return sentiment_of_phrases(phrases)


class QuerySentiment:
    """The reference dialect's: four metrics of R3's details query."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def of_chat(self, conversation_id: str, ended_at: datetime) -> Sentiment | None:
        """Return the four metrics as they are; None unless all are there."""
        return await self._api.run(sentiment_metrics(Wanted(conversation_id, ended_at)))

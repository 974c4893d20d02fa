"""Genesys Cloud: one client, a file per capability; README.md has the vendor's facts."""

from worker.clients.genesys.api import Api
from worker.clients.genesys.conversations import ConversationDetails, seconds_to_next_poll
from worker.clients.genesys.details_jobs import MIN_AGE, DetailsJobs
from worker.clients.genesys.details_query import (
    REFERENCE_GROUPS,
    REFERENCE_METRICS,
    DetailsQuery,
    Failures,
    Json,
    Page,
    PagesDialect,
    Slice,
    SliceTooLarge,
    all_of,
)
from worker.clients.genesys.filters import ALIASES, OPERATORS, Condition, Filters
from worker.clients.genesys.flows import Kind, Schema
from worker.clients.genesys.live import Caller
from worker.clients.genesys.participants import Attributes
from worker.clients.genesys.parts import GenesysClients
from worker.clients.genesys.speech import ChatSentiment
from worker.clients.genesys.transcripts import Polarity, Sentiment

__all__ = [
    "ALIASES",
    "MIN_AGE",
    "OPERATORS",
    "REFERENCE_GROUPS",
    "REFERENCE_METRICS",
    "Api",
    "Attributes",
    "Caller",
    "ChatSentiment",
    "Condition",
    "ConversationDetails",
    "DetailsJobs",
    "DetailsQuery",
    "Failures",
    "Filters",
    "GenesysClients",
    "Json",
    "Kind",
    "Page",
    "PagesDialect",
    "Polarity",
    "Schema",
    "Sentiment",
    "Slice",
    "SliceTooLarge",
    "all_of",
    "seconds_to_next_poll",
]

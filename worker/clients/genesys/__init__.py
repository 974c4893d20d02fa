"""Genesys Cloud: one client, a file per capability; README.md has the vendor's facts."""

from worker.clients.genesys.api import Api
from worker.clients.genesys.clients import (
    API,
    TRANSCRIPTS,
    GenesysClients,
    dialect_of,
    open_clients,
)
from worker.clients.genesys.conversations import Caller, ConversationDetails
from worker.clients.genesys.details_jobs import MIN_AGE, DetailsJobs
from worker.clients.genesys.details_query import (
    DetailsQuery,
    Failures,
    Json,
    Page,
    PagesDialect,
    SliceTooLarge,
    all_of,
)
from worker.clients.genesys.filters import (
    ALIASES,
    REFERENCE_GROUPS,
    REFERENCE_METRICS,
    Condition,
    Filters,
    Slice,
)
from worker.clients.genesys.integrations import (
    EventSource,
    Integrations,
    SourceConfig,
    Topics,
    available_topics,
    limits_in,
)
from worker.clients.genesys.names import Names
from worker.clients.genesys.participants import Attributes, Kind, Schema, schema_of
from worker.clients.genesys.speech import ChatSentiment
from worker.clients.genesys.transcripts import Polarity, Sentiment
from worker.clients.genesys.wire import Call

__all__ = [
    "ALIASES",
    "API",
    "MIN_AGE",
    "REFERENCE_GROUPS",
    "REFERENCE_METRICS",
    "TRANSCRIPTS",
    "Api",
    "Attributes",
    "Call",
    "Caller",
    "ChatSentiment",
    "Condition",
    "ConversationDetails",
    "DetailsJobs",
    "DetailsQuery",
    "EventSource",
    "Failures",
    "Filters",
    "GenesysClients",
    "Integrations",
    "Json",
    "Kind",
    "Names",
    "Page",
    "PagesDialect",
    "Polarity",
    "Schema",
    "Sentiment",
    "Slice",
    "SliceTooLarge",
    "SourceConfig",
    "Topics",
    "all_of",
    "available_topics",
    "dialect_of",
    "limits_in",
    "open_clients",
    "schema_of",
]

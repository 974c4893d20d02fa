"""A reply whose values have other types than the vendor's: read, or refused in our own words."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.support.factories import an_id
from tests.support.genesys import DAY
from worker.clients.genesys import conversations, details_jobs, integrations, participants, speech
from worker.clients.genesys.conversations import PlatformDetails, Wanted
from worker.clients.genesys.details_query import ReferencePages, platform_page
from worker.clients.genesys.dialects import Platform, Reference
from worker.clients.genesys.filters import Filters, Slice
from worker.clients.genesys.transcripts import customer_phrases
from worker.clients.http_types import Reply
from worker.errors import WorkerError
from worker.jobs.reports.reader import rows_of
from worker.jobs.reports.rows import Conversation, Result, row_of_platform, row_of_reference

SAMPLES = Path(__file__).parents[1] / "samples" / "replies"
ID = an_id()
ODD = (None, True, -1, 1e300, "", "x", [], [[]], {}, {"a": 1})

STATE = {"state": "QUEUED"}
LISTED = {"entities": [{"id": ID, "integrationType": {"id": integrations.EVENT_BRIDGE}}]}
CONFIG = {
    "name": "n",
    "version": 1,
    "properties": {
        "awsAccountId": "1",
        "awsAccountRegion": "r",
        "eventSourceSuffix": "s",
        "eventFilter": ["t"],
    },
}


def sample(name):
    return orjson.loads((SAMPLES / f"{name}.json").read_bytes())


def results(reply):
    return ReferencePages().page(Filters(), Slice(DAY, DAY), 1, None).read(reply)


def of_body(read):
    return lambda reply: read(orjson.loads(reply.body))


READERS = {
    "token": (sample("platform/token"), Platform().token("a", "b").read),
    "data action": (
        sample("reference/data_action_success"),
        Reference("r0").execute_data_action("a", {}).read,
    ),
    "live": (sample("platform/conversation_live"), conversations.live_caller(ID).read),
    "customer": (sample("platform/conversation_live"), participants.live_customer(ID).read),
    "flow": (sample("platform/flow"), participants.PlatformAttributes().flow_inputs(ID).read),
    "inputs": (
        sample("reference/flow"),
        participants.ReferenceAttributes().flow_inputs(ID).read,
    ),
    "speech": (sample("platform/sta_conversation"), speech.is_analysed(ID).read),
    "metrics": (
        sample("reference/chat_sentiment_details")["entities"][0],
        of_body(speech._of_metrics),
    ),
    "phrases": (sample("platform/transcript_file"), of_body(customer_phrases)),
    "sessions": (
        sample("platform/details_query_response")["conversations"][0],
        of_body(speech.chat_sessions),
    ),
    "by id": (
        sample("platform/details_query_response"),
        PlatformDetails().details([Wanted(ID, datetime.now(UTC))]).read,
    ),
    "page": (
        sample("platform/details_query_response"),
        lambda reply: [*rows_of(platform_page(reply), Conversation, row_of_platform)],
    ),
    "results": (
        sample("reference/report_page"),
        lambda reply: [*rows_of(results(reply), Result, row_of_reference)],
    ),
    "job": (sample("platform/job_submitted"), details_jobs._job_id),
    "state": (STATE, details_jobs._state),
    "integrations": (LISTED, integrations.integrations(1).read),
    "config": (CONFIG, integrations.draft(ID).read),
}


def spoiled(value: Any) -> Iterator[Any]:
    """Yield the value with each of its parts, one at a time, replaced by something odd."""
    parts = value.items() if isinstance(value, dict) else enumerate(value)
    for place, part in parts:
        inner = spoiled(part) if isinstance(part, dict | list) else ()
        for odd in (*ODD, *inner):
            copy = value.copy()
            copy[place] = odd
            yield copy


@pytest.mark.parametrize("name", READERS)
def test_a_value_of_any_type_is_read_or_refused_in_our_own_words(name):
    whole, read = READERS[name]
    for answer in spoiled(whole):
        reply = Reply(status=200, body=orjson.dumps(answer), received_at=datetime.now(UTC))
        try:
            read(reply)
        except WorkerError:
            continue

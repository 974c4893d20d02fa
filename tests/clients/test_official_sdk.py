"""What the platform client sends, and what the emulator answers, is what the official SDK has."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest

from tests.support import official_sdk
from tests.support.factories import an_id
from worker.app.jobs import BUILT_IN, known_jobs, permissions
from worker.cli.check.genesys import organization
from worker.clients.genesys import conversations, details_jobs, speech
from worker.clients.genesys import integrations as calls
from worker.clients.genesys.actions import read_of_action
from worker.clients.genesys.conversations import PlatformDetails as DetailsById
from worker.clients.genesys.conversations import Wanted
from worker.clients.genesys.details_query import PlatformPages as DetailsPages
from worker.clients.genesys.details_query import Slice
from worker.clients.genesys.dialects import Platform, Reference
from worker.clients.genesys.filters import (
    CONVERSATION_DIMENSIONS,
    SEGMENT_METRICS,
    Condition,
    Filters,
)
from worker.clients.genesys.names import names_call
from worker.clients.genesys.participants import PlatformAttributes
from worker.clients.http_types import Request
from worker.emulators.genesys import PERMISSIONS, GenesysCloud, GenesysServer
from worker.emulators.genesys.cloud import Named, a_conversation
from worker.emulators.genesys.conversations import a_flow
from worker.emulators.genesys.integrations import an_action

SAMPLES = Path(__file__).parents[1] / "samples" / "replies" / "platform"
DAY = datetime(2026, 3, 1, tzinfo=UTC)
SLICE = Slice(DAY, DAY + timedelta(days=1))
FILTERS = Filters(
    media_type="voice",
    queue_ids=(an_id(),),
    others=(Condition("direction", ("inbound",)), Condition("tTalk", ("5",), "gt")),
)
DRAFT = calls.Draft(
    version=1,
    name="events",
    source=calls.SourceConfig(
        account_id="111122223333", region="eu-west-1", suffix="s", topics=("v2.x",)
    ),
)

ID = an_id()
ATTRIBUTES = {"tier": "gold"}


def get(path):
    return Request(method="GET", path=path, template=path)


REQUESTS = {
    "data action": (Platform().execute_data_action("custom_-_1", {"phone": "x"}).request, None),
    "live conversation": (conversations.live_caller(ID).request, None),
    "flow": (PlatformAttributes().flow_inputs(ID).request, None),
    "attributes": (
        PlatformAttributes().set_attributes(ID, ID, ATTRIBUTES).request,
        "ParticipantAttributes",
    ),
    "details by id": (DetailsById().details([Wanted(ID, DAY)]).request, None),
    "details page": (DetailsPages().page(FILTERS, SLICE, 2, None).request, "ConversationQuery"),
    "details job": (details_jobs._submit(FILTERS, SLICE).request, "AsyncConversationQuery"),
    "job availability": (get(f"{details_jobs.BASE}/availability"), None),
    "job state": (get(f"{details_jobs.BASE}/{ID}"), None),
    "job results": (details_jobs._results(ID, "c").request, None),
    "sentiment": (speech.is_analysed(ID).request, None),
    "transcript": (speech.transcript_url(ID, ID).request, None),
    "organization": (calls.organization_id().request, None),
    "integrations": (calls.integrations(1).request, None),
    "integration": (calls.create().request, "CreateIntegrationRequest"),
    "integration draft": (calls.draft(ID).request, None),
    "integration config": (calls.configure(ID, DRAFT).request, "IntegrationConfiguration"),
    "integration state": (calls.enable(ID).request, "Integration"),
    "who am I": (organization().request, None),
    "limits": (calls.limits_in("platform.api").request, None),
    "queues": (names_call("queueId", [ID, an_id()]).request, None),
    "users": (names_call("userId", [ID]).request, None),
    "divisions": (names_call("divisionId", [ID]).request, None),
    "wrap-up codes": (names_call("wrapUpCode", [ID]).request, None),
    "data action itself": (read_of_action("custom_-_1", id).request, None),
}
"""Every request of the platform client but the token's, with the SDK's model of its body."""

REPLIES = {
    "details_query_response.json": "AnalyticsConversationQueryResponse",
    "flow.json": "Flow",
    "conversation_live.json": "Conversation",
    "sta_conversation.json": "ConversationMetrics",
    "job_submitted.json": "AsyncQueryResponse",
    "error_403.json": "ErrorBody",
    "error_429.json": "ErrorBody",
    "error_sta_404.json": "ErrorBody",
}


def operation_of(request):
    """Return the SDK's operation for a request; None when it has none."""
    path = urlsplit(request.path).path
    for identity in ("custom_-_1", "platform.api"):
        path = path.replace(identity, "{}")
    return official_sdk.operations().get((request.method, re.sub(ID, "{}", path)))


@pytest.mark.parametrize("name", REQUESTS)
def test_the_sdk_has_the_operation_with_these_query_parameters(name):
    request, _ = REQUESTS[name]

    operation = operation_of(request)

    assert operation is not None
    assert {key for key, _ in parse_qsl(urlsplit(request.path).query)} <= operation.query


@pytest.mark.parametrize("name", [name for name, (_, model) in REQUESTS.items() if model])
def test_the_body_holds_nothing_that_the_sdks_model_does_not_know(name):
    request, model = REQUESTS[name]

    assert official_sdk.model(model) is not None
    assert official_sdk.strangers(request.json, model) == []


def test_the_token_request_goes_where_the_sdk_sends_it():
    assert Platform().token("id", "secret").request.path == official_sdk.token_path()


@pytest.mark.parametrize("name", REPLIES)
def test_the_recorded_replies_are_of_the_sdks_models(name):
    reply = json.loads((SAMPLES / name).read_text())

    assert official_sdk.strangers(reply, REPLIES[name]) == []


def test_what_the_emulator_answers_is_of_the_sdks_models():
    details = a_conversation(ID, ID, start="2026-03-01T00:00:00Z", end="2026-03-01T00:01:00Z")
    flow = a_flow(ID, {"tier": "string", "ltv": "number"})
    del flow["inputDefinitions"]  # what the reference texts read

    assert official_sdk.strangers(details, "AnalyticsConversationWithoutAttributes") == []
    assert official_sdk.strangers(flow, "Flow") == []
    assert official_sdk.strangers(an_action(ID), "Action") == []


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ("/api/v2/routing/queues", "QueueEntityListing"),
        ("/api/v2/users", "UserEntityListing"),
        ("/api/v2/authorization/divisions", "AuthzDivisionEntityListing"),
        ("/api/v2/routing/wrapupcodes", "WrapupCodeEntityListing"),
        ("/api/v2/organizations/limits/namespaces/platform.api", "LimitsEntityListing"),
    ],
)
async def test_the_emulators_lists_are_of_the_sdks_models(path, model):
    one = {ID: "A name"}
    cloud = GenesysCloud(names=Named(queues=one, users=one, divisions=one, wrapup_codes=one))
    headers = {"Authorization": f"Bearer {cloud.issue_token()}"}

    async with GenesysServer(cloud), httpx.AsyncClient(base_url=cloud.url) as http:
        reply = (await http.get(path, headers=headers)).json()

    assert len(reply["entities"]) >= 1
    assert official_sdk.strangers(reply, model) == []


def test_a_field_or_value_that_the_sdk_does_not_have_is_found():
    query = {"order": "upwards", "paging": {"pageSize": 1, "cursor": "c"}}

    assert official_sdk.strangers(query, "ConversationQuery") == [
        "$.order: upwards is no value of it",
        "$.paging.cursor: unknown field",
    ]


def test_the_reference_dialect_would_be_refused():
    request = Reference("r0").execute_data_action("custom_-_1", {}).request

    assert operation_of(request) is None


SET_UP = {"organization", "who am I", "limits", "data action itself"}
"""Requests of `worker check` and `worker source`, beside all those of integrations."""


def declared_calls():
    """Each call that the jobs of the box declare, under any settings, with its permissions."""
    found = {}
    for job in map(known_jobs().get, BUILT_IN):
        for fields in ({}, {"voice_from": "ended"}, {"report_use_jobs": True}):
            own = {
                name: value for name, value in fields.items() if name in job.settings.model_fields
            }
            found |= permissions(job, job.settings(**own)) | job.optional_permissions
    return found


def plain(call):
    return re.sub(rf"\{{\w+\}}|{ID}", "{}", call)


def test_the_jobs_declare_the_calls_that_the_client_makes_and_no_other():
    made = {
        plain(f"{request.method} {request.template.partition('?')[0]}")
        for name, (request, _) in REQUESTS.items()
        if name not in SET_UP and not name.startswith("integration")
    }

    assert {plain(call) for call in declared_calls()} == made


def test_the_sdk_has_each_declared_call():
    calls = [tuple(plain(call).split(" ")) for call in declared_calls()]

    assert [call for call in calls if call not in official_sdk.operations()] == []


def test_the_declared_permissions_are_those_that_the_emulator_was_built_with():
    def groups(permission):
        return {frozenset(one.split(" or ")) for one in permission.split(" and ") if one}

    declared = {plain(call): groups(text) for call, text in declared_calls().items()}

    assert declared == {
        call: {frozenset(group) for group in PERMISSIONS.get(call, ())} for call in declared
    }


def test_dimensions_are_where_the_sdk_has_them():
    conversation = official_sdk.model("ConversationDetailQueryPredicate").values["dimension"]
    segment = official_sdk.model("SegmentDetailQueryPredicate").values

    assert set(conversation) == CONVERSATION_DIMENSIONS
    assert not CONVERSATION_DIMENSIONS & set(segment["dimension"])
    assert set(segment["metric"]) == SEGMENT_METRICS

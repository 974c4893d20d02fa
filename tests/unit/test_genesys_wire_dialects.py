"""What the two dialects send and how they read the recorded replies."""

from base64 import b64decode
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest

from worker.clients.genesys.clients import api_url, dialect_of, login_url
from worker.clients.genesys.conversations import Caller, live_caller
from worker.clients.genesys.dialects import Platform, Reference
from worker.clients.http_types import Reply
from worker.errors import Misconfigured, Permanent, Rejected, Unavailable
from worker.settings import Genesys

SAMPLES = Path(__file__).parents[1] / "samples" / "replies"
CONVERSATION = "c0ffee00-0000-4000-8000-000000000001"


def a_reply(status, body):
    body = body if isinstance(body, bytes) else orjson.dumps(body)
    return Reply(status=status, body=body, received_at=datetime.now(UTC))


def a_sample(name, status=200):
    return a_reply(status, (SAMPLES / name).read_bytes())


def settings(**over):
    return Genesys.model_validate(over)


def test_the_platform_token_request_has_a_basic_header_and_a_form_body():
    request = Platform().token("id", "secret").request

    assert (request.method, request.path) == ("POST", "/oauth/token")
    assert b64decode(request.headers["Authorization"].removeprefix("Basic ")) == b"id:secret"
    assert request.form == {"grant_type": "client_credentials"}


BODY = {"grant_type": "client_credentials", "client_id": "id", "client_secret": "secret"}
GRANT = {"grant_type": "client_credentials"}
R3 = (
    "/api/v2/oauth/token?grant_type=client_credentials&scope=conversation%3Aview%20"
    "conversation%3Awrite%20analytics%3Aconversations%3Aview"
)


@pytest.mark.parametrize(
    ("text", "path", "form", "json", "basic"),
    [
        ("r0", "/api/v2/oauth/token", {**BODY, "scope": "data:actions:execute"}, None, False),
        ("r1", "/oauth/token", None, BODY, False),
        ("r2", "/oauth/token", GRANT, None, True),
        ("r3", R3, None, None, True),
        ("r4", "/oauth/token", {**BODY, "scope": "analytics:read"}, None, False),
    ],
)
def test_each_text_asks_for_its_token_in_a_form_of_its_own(text, path, form, json, basic):
    request = Reference(text).token("id", "secret").request

    assert (request.method, request.path) == ("POST", path)
    assert (request.form, request.json) == (form, json)
    assert ("Authorization" in request.headers) is basic


@pytest.mark.parametrize("text", ["r0", "r1", "r2", "r3", "r4"])
def test_a_token_path_of_its_own_wins_in_each_text(text):
    path = Reference(text, "/gateway/token").token("id", "secret").request.path

    assert path.partition("?")[0] == "/gateway/token"


@pytest.mark.parametrize("dialect", [Platform(), Reference("r0")])
def test_no_secret_and_no_phone_number_is_in_the_repr_of_a_request(dialect):
    calls = [
        dialect.token("id", "s3cret"),
        dialect.execute_data_action("a", {"phone_number": "+15550100001"}),
    ]

    assert "s3cret" not in repr(calls)
    assert "15550100001" not in repr(calls)


def test_the_platform_sends_the_inputs_themselves():
    request = Platform().execute_data_action("custom_-_1", {"phone_number": "+15550100001"}).request

    assert request.path == "/api/v2/integrations/actions/custom_-_1/execute"
    assert request.json == {"phone_number": "+15550100001"}


def test_the_reference_sends_the_inputs_as_parameters():
    request = Reference("r0").execute_data_action("a1", {"phone_number": "+15550100001"}).request

    assert request.path == "/api/v2/data/actions/a1/execute"
    assert request.json == {"parameters": {"phone_number": "+15550100001"}}


def test_the_platform_output_is_the_whole_answer():
    read = Platform().execute_data_action("a", {}).read

    assert read(a_sample("platform/data_action_output.json")) == {
        "accountId": "A-77",
        "tier": "gold",
        "ltv": 12500.0,
        "openTickets": 2,
    }


@pytest.mark.parametrize("reply", [a_reply(400, {"code": "no.results"}), a_reply(200, {})])
def test_no_such_customer_on_the_platform_is_none(reply):
    assert Platform().execute_data_action("a", {}).read(reply) is None


def test_any_other_400_of_a_data_action_is_rejected():
    with pytest.raises(Rejected):
        Platform().execute_data_action("a", {}).read(a_reply(400, {"code": "too.many.results"}))


def test_the_reference_output_is_the_result_of_a_success():
    output = (
        Reference("r0")
        .execute_data_action("a", {})
        .read(a_sample("reference/data_action_success.json"))
    )

    assert output is not None
    assert (output["tier"], output["ltv"]) == ("enterprise", 12500.0)


@pytest.mark.parametrize("result", [None, {}])
def test_no_such_customer_in_the_reference_is_none(result):
    reply = a_reply(200, {"status": "SUCCESS", "result": result})

    assert Reference("r0").execute_data_action("a", {}).read(reply) is None


def test_anything_but_success_of_the_reference_is_unavailable():
    with pytest.raises(Unavailable):
        Reference("r0").execute_data_action("a", {}).read(
            a_sample("reference/data_action_error.json")
        )


def test_the_customers_address_is_read_from_the_live_conversation():
    call = live_caller(CONVERSATION)

    assert call.request.path == f"/api/v2/conversations/{CONVERSATION}"
    caller = call.read(a_sample("platform/conversation_live.json"))
    assert (caller.address, caller.media) == ("tel:+15550100001", {"calls"})


def address_among(*participants):
    reply = a_reply(200, {"id": CONVERSATION, "participants": list(participants)})
    return live_caller(CONVERSATION).read(reply).address


def test_a_customer_to_be_called_back_has_that_number():
    callbacks = [{"id": "x"}, {"callbackNumbers": [None, "+15550100001", "+15550100002"]}]

    assert address_among({"purpose": "customer", "callbacks": callbacks}) == "+15550100001"


def test_the_media_are_those_of_all_participants():
    reply = a_reply(
        200,
        {
            "participants": [
                {"purpose": "customer", "messages": [{"id": "m"}], "calls": []},
                {"purpose": "agent", "callbacks": [{"id": "c"}], "emails": None},
                "x",
            ]
        },
    )

    assert live_caller(CONVERSATION).read(reply).media == {"messages", "callbacks"}


def test_the_first_customer_counts_when_a_transfer_brought_another():
    assert (
        address_among(
            {"purpose": "customer", "startTime": "2026-03-02T10:20:00.000Z", "address": "tel:+2"},
            {"purpose": "customer", "connectedTime": "2026-03-02T10:10:00Z", "address": "tel:+1"},
            {"purpose": "customer", "address": "tel:+3"},
        )
        == "tel:+1"
    )


@pytest.mark.parametrize("withheld", [{}, {"address": ""}, {"address": None}])
def test_a_customer_without_a_number_is_not_given_that_of_another_party(withheld):
    """The one whom the agent consulted is another person, and has another lifetime value."""
    caller = {"purpose": "customer", "startTime": "2026-03-02T10:10:00.000Z", **withheld}
    consulted = {"purpose": "external", "startTime": "2026-03-02T10:15:00.000Z"}

    assert address_among(caller, {**consulted, "address": "tel:+15550100009"}) is None


def test_an_external_participant_is_the_customer_without_acd():
    assert address_among({"purpose": "external", "address": "tel:+1"}) == "tel:+1"


@pytest.mark.parametrize(
    "participant",
    [{"purpose": "agent", "address": "tel:+1"}, {"purpose": "customer"}, {"purpose": None}, "x"],
)
def test_no_address_is_known_without_a_customer_that_has_one(participant):
    assert address_among(participant) is None


def test_no_address_is_known_of_a_conversation_that_is_gone():
    read = live_caller(CONVERSATION).read

    assert read(a_sample("platform/error_sta_404.json", 404)) == Caller()


@pytest.mark.parametrize("dialect", [Platform(), Reference("r0")])
def test_an_id_that_could_leave_its_path_makes_no_request(dialect):
    with pytest.raises(Permanent):
        live_caller("../../oauth/clients")
    with pytest.raises(Misconfigured):
        dialect.execute_data_action("../x", {})


def test_the_settings_choose_dialect_text_and_token_path():
    given = {"dialect": "reference", "token_path": "/tokens"}

    of_a_job = dialect_of(settings(**given), "r1")
    of_all = dialect_of(settings(**given, reference="r4"), "r1")

    assert of_a_job.token("a", "b").request.json is not None
    assert of_all.token("a", "b").request.form["scope"] == "analytics:read"
    assert of_a_job.token("a", "b").request.path == "/tokens"
    assert isinstance(dialect_of(settings(), "r1"), Platform)


def test_the_platform_has_two_hosts_of_one_domain():
    there = settings(environment="mypurecloud.ie")

    assert isinstance(dialect_of(there), Platform)
    assert api_url(there) == "https://api.mypurecloud.ie"
    assert login_url(there, dialect_of(there).issuer) == "https://login.mypurecloud.ie"


@pytest.mark.parametrize("text", ["r0", "r1", "r3", "r4"])
def test_all_texts_but_one_ask_their_api_host_for_tokens(text):
    there = settings(dialect="reference", api_url="https://gateway.example/")

    assert login_url(there, Reference(text).issuer) == "https://gateway.example/"


def test_text_r2_asks_the_login_host_for_tokens():
    there = settings(dialect="reference", api_url="https://gateway.example/")

    assert login_url(there, Reference("r2").issuer) == "https://login.mypurecloud.com"


@pytest.mark.parametrize("text", ["r0", "r2"])
def test_a_login_url_of_its_own_wins(text):
    there = settings(dialect="reference", login_url="https://login.example/")

    assert login_url(there, Reference(text).issuer) == "https://login.example/"

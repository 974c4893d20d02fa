"""What the attribute calls send, and how they read replies."""

from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest

from worker.clients.genesys.participants import (
    Participant,
    PlatformAttributes,
    ReferenceAttributes,
    live_customer,
)
from worker.clients.http_types import Reply
from worker.errors import Permanent

SAMPLES = Path(__file__).parents[1] / "samples" / "replies"
CONVERSATION = "c0ffee00-0000-4000-8000-000000000001"
CUSTOMER = "aa000000-0000-4000-8000-000000000001"
HOSTILE = ["", "..", "../../oauth/clients", "a/b", "a?x", "a%2f..", f"{CONVERSATION}\n"]


def a_reply(status, body):
    return Reply(
        status=status,
        body=b"" if body is None else orjson.dumps(body),
        received_at=datetime.now(UTC),
    )


def test_the_platform_patches_the_participant():
    request = PlatformAttributes().set_attributes(CONVERSATION, CUSTOMER, {"a": "1"}).request

    assert (request.method, request.json) == ("PATCH", {"attributes": {"a": "1"}})
    assert request.path == (
        f"/api/v2/conversations/{CONVERSATION}/participants/{CUSTOMER}/attributes"
    )


def test_the_recorded_live_conversation_has_its_customer_and_what_it_has():
    recorded = orjson.loads((SAMPLES / "platform" / "conversation_live.json").read_bytes())

    assert live_customer(CONVERSATION).read(a_reply(200, recorded)) == Participant(
        CUSTOMER, {"Customer Tier": "gold"}
    )


def test_r2_patches_the_conversation():
    request = ReferenceAttributes().set_attributes(CONVERSATION, None, {"a": "1"}).request

    assert (request.method, request.json) == ("PATCH", {"attributes": {"a": "1"}})
    assert request.path == f"/api/v2/conversations/{CONVERSATION}"


def test_r3_puts_the_attributes_of_the_conversation():
    dialect = ReferenceAttributes()
    request = dialect.set_conversation_attributes(CONVERSATION, None, {"a": "1"}).request

    assert (request.method, request.json) == ("PUT", {"attributes": {"a": "1"}})
    assert request.path == f"/api/v2/conversations/{CONVERSATION}/attributes"


def test_the_first_of_several_customers_is_who_called():
    def who(purpose, joined):
        return {"id": purpose, "purpose": purpose, "connectedTime": joined}

    conversation = {
        "participants": [
            who("external", "2026-03-02T10:02:00.000Z"),
            who("customer", "2026-03-02T10:01:00.000Z"),
            who("agent", "2026-03-02T10:00:00.000Z"),
        ]
    }

    assert live_customer(CONVERSATION).read(a_reply(200, conversation)) == Participant(
        "customer", {}
    )


@pytest.mark.parametrize("status", [200, 202, 204])
def test_any_success_of_a_write_will_do(status):
    call = PlatformAttributes().set_attributes(CONVERSATION, CUSTOMER, {"a": "1"})

    assert call.read(a_reply(status, None)) is None


@pytest.mark.parametrize("hostile", HOSTILE)
def test_no_id_leaves_its_place_in_a_path(hostile):
    for build in (
        lambda: PlatformAttributes().flow_inputs(hostile),
        lambda: ReferenceAttributes().flow_inputs(hostile),
        lambda: PlatformAttributes().set_attributes(hostile, CUSTOMER, {}),
        lambda: PlatformAttributes().set_attributes(CONVERSATION, hostile, {}),
        lambda: ReferenceAttributes().set_attributes(hostile, None, {}),
        lambda: ReferenceAttributes().set_conversation_attributes(hostile, None, {}),
        lambda: live_customer(hostile),
    ):
        with pytest.raises(Permanent, match="is not a UUID"):
            build()


def test_no_value_is_in_the_repr_of_a_request_or_a_participant():
    call = PlatformAttributes().set_attributes(CONVERSATION, CUSTOMER, {"a": "canary"})

    assert "canary" not in repr((call, Participant(CUSTOMER, {"a": "canary"})))

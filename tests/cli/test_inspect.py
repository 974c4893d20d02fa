"""`worker inspect`: what would be done with an event, found out without doing it."""

import io
import json
from pathlib import Path

import orjson
import pytest

from tests.cli.in_thread import in_thread
from tests.support.factories import (
    NOON,
    PHONE,
    a_body,
    a_chat_scored,
    a_conversation_ended,
    a_reference_body,
    a_report_due,
    a_voice_scored,
    an_attributes_wanted,
    an_origin,
)
from worker.emulators import CrmServer, CrmState
from worker.emulators.genesys import GenesysServer
from worker.emulators.genesys.conversations import a_flow

SAMPLES = Path(__file__).parents[1] / "samples"
START = SAMPLES / "events" / "platform" / "customer_start.json"
FLOW_REPLY = SAMPLES / "replies" / "reference" / "flow.json"
FLOW_ID = "f1000000-0000-4000-8000-000000000001"
RECORD = {"tier": "gold", "ltv": "12.50", "vip": "maybe", "shoe": 44}


@pytest.fixture
def a_file(tmp_path):
    def make(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else orjson.dumps(content))
        return str(path)

    return make


def test_the_attribute_report_is_made_of_files(worker, a_file):
    crm = a_file("crm.json", RECORD)

    run = worker("inspect", str(START), "--crm", crm, "--schema", str(FLOW_REPLY), "--json")

    (found,) = run.json
    assert run.code == 1
    assert found["event"] == "AttributesWanted"
    assert found["job"] == "attributes"
    assert found["report"] == {
        "attributes": {"tier": "gold", "ltv": "12.5"},
        "missing": ["renewal"],
        "extra": ["shoe"],
        "mismatched": [{"name": "vip", "expected": "boolean", "actual": "string"}],
        "tooLong": [],
    }


def test_in_the_reference_dialect_the_report_has_the_types_that_are_sent(worker, a_file):
    files = ("--crm", a_file("crm.json", RECORD | {"vip": "yes"}), "--schema", str(FLOW_REPLY))

    run = worker("inspect", str(START), *files, "--json", GENESYS_DIALECT="reference")

    assert run.json[0]["report"]["attributes"] == {"tier": "gold", "ltv": 12.5, "vip": True}


def test_the_report_for_people_says_the_same(worker, a_file):
    crm = a_file("crm.json", RECORD)

    lines = worker("inspect", str(START), "--crm", crm, "--schema", str(FLOW_REPLY)).out

    assert 'send           ltv = "12.5"' in lines
    assert "missing        renewal" in lines
    assert "mismatched     vip: expected boolean, is string" in lines
    assert "extra          shoe" in lines
    assert 'payload        {"attributes": {"ltv": "12.5", "tier": "gold"}}' in lines
    assert "\x1b[" not in lines


def test_a_record_that_fits_is_fine(worker, a_file):
    crm = a_file("crm.json", {"tier": "gold"})

    assert worker("inspect", str(START), "--crm", crm, "--schema", str(FLOW_REPLY)).code == 0


def test_strict_rules_say_why_the_message_would_be_dead_lettered(worker, a_file):
    crm = a_file("crm.json", RECORD)
    arguments = ("inspect", str(START), "--crm", crm, "--schema", str(FLOW_REPLY), "--json")

    (found,) = worker(*arguments, ATTRIBUTES_STRICT="true").json

    assert found["problem"] == "attributes do not fit the flow: vip"
    assert found["report"]["mismatched"]


@pytest.mark.parametrize(
    "schema",
    [
        {"properties": {"tier": {"type": "string"}}},
        a_flow(FLOW_ID, {"tier": "string"}),
        {"inputDefinitions": [{"name": "tier", "dataType": "string"}]},
    ],
)
def test_a_schema_may_come_in_any_form(worker, a_file, schema):
    files = ("--crm", a_file("crm.json", RECORD), "--schema", a_file("schema.json", schema))

    (found,) = worker("inspect", str(START), *files, "--json").json

    assert found["report"]["attributes"] == {"tier": "gold"}


@pytest.mark.parametrize(
    ("event", "job", "effects"),
    [
        (a_voice_scored, "voice", {"item"}),
        (a_conversation_ended, "workflow", {"executionName"}),
        (an_attributes_wanted, "attributes", {"traceId"}),
        (a_chat_scored, "sentiment", {"forwardingId"}),
        (a_report_due, "reports", {"folder"}),
    ],
)
def test_every_event_has_its_route_and_the_ids_of_its_effects(worker, a_file, event, job, effects):
    event = event(origin=an_origin(occurred_at=NOON))

    run = worker("inspect", a_file("event.json", a_reference_body(event)), "--json")

    (found,) = run.json
    assert run.code == 0
    assert found["event"] == type(event).__name__
    assert found["job"] == job
    assert set(found["effects"]) == effects
    assert found["facts"]["occurredAt"].endswith("Z")


def test_a_copy_of_an_event_has_the_same_ids(worker, a_file):
    event = a_chat_scored()
    files = [
        a_file(f"{name}.json", a_reference_body(event, id=f"copy-{name}")) for name in ("a", "b")
    ]

    (one,), (other,) = (worker("inspect", name, "--json").json for name in files)

    assert one["effects"] == other["effects"]
    assert one["facts"]["dedupeKey"] == other["facts"]["dedupeKey"]


def test_events_may_come_by_line(worker, a_file):
    bodies = [a_reference_body(a_chat_scored()), a_reference_body(a_voice_scored())]

    found = worker("inspect", a_file("events.jsonl", b"\n".join(bodies)), "--json").json

    assert [one["event"] for one in found] == ["ChatScored", "VoiceScored"]


def test_an_event_no_job_wants_says_so(worker, a_file):
    run = worker("inspect", a_file("event.json", a_body("user.start", {"x": 1})), "--json")

    (found,) = run.json
    assert run.code == 1
    assert found["problem"] == "no job wants it; EVENTS_UNROUTED=drop"


def test_an_event_that_cannot_be_read_names_the_field(worker, a_file):
    body = a_body("conversation.start", {"conversationId": "../../oauth/clients"})

    run = worker("inspect", a_file("event.json", body), "--json")

    (found,) = run.json
    assert run.code == 1
    assert found["problem"] == "detail.conversationId: not a UUID"


def test_what_a_file_says_cannot_move_the_cursor(worker, a_file):
    crm = a_file("crm.json", {"tier": "gold[bold]", "\x1b[2J": 1})

    out = worker("inspect", str(START), "--crm", crm, "--schema", str(FLOW_REPLY)).out

    assert "\x1b" not in out
    assert "gold[bold]" in out


@pytest.mark.parametrize(
    "arguments",
    [
        ("--crm", str(START)),
        ("--schema", str(START)),
        ("--live", "--crm", str(START), "--schema", str(START)),
        ("--crm", "no-such-file", "--schema", str(FLOW_REPLY)),
        ("--crm", str(START), "--schema", str(START)),
        ("--live",),
        ("--body",),
    ],
)
def test_bad_arguments_are_exit_code_2(worker, arguments):
    assert worker("inspect", str(START), *arguments).code == 2


def test_a_file_that_is_no_event_is_a_bad_argument(worker, a_file, tmp_path):
    assert worker("inspect", a_file("event.json", b"not JSON")).code == 2
    assert worker("inspect", "no-such-file").code == 2
    assert worker("inspect", str(tmp_path)).err == f"{tmp_path}: Is a directory\n"


def test_live_asks_the_upstreams_and_writes_nothing(worker, a_file):
    event = an_attributes_wanted(phone_number=PHONE)
    with in_thread(GenesysServer, lambda: CrmServer(CrmState(by_phone={PHONE: RECORD}))) as served:
        cloud, crm = served
        cloud.flows[FLOW_ID] = a_flow(FLOW_ID, {"tier": "string", "vip": "boolean"})

        run = worker(
            *("inspect", a_file("event.json", a_reference_body(event)), "--live", "--body"),
            "--json",
            GENESYS_API_URL=cloud.url,
            GENESYS_LOGIN_URL=cloud.url,
            GENESYS_CLIENT_ID=cloud.client_id,
            GENESYS_CLIENT_SECRET=cloud.client_secret,
            GENESYS_FLOW_ID=FLOW_ID,
            CRM_API_ENDPOINT=crm.url,
        )

        (found,) = run.json
        assert found["report"]["attributes"] == {"tier": "gold"}
        assert [one["name"] for one in found["report"]["mismatched"]] == ["vip"]
        assert [one["body"] for one in found["writes"]] == [{"attributes": {"tier": "gold"}}]
        assert cloud.counts == {"token": 1, "flow": 1}


def test_live_prints_each_call_and_its_content_without_values(worker, a_file):
    event = an_attributes_wanted(phone_number=PHONE)
    with in_thread(GenesysServer, lambda: CrmServer(CrmState(by_phone={PHONE: RECORD}))) as served:
        cloud, crm = served
        cloud.flows[FLOW_ID] = a_flow(FLOW_ID, {"tier": "string"})

        out = worker(
            *("inspect", a_file("event.json", a_reference_body(event)), "--live"),
            GENESYS_API_URL=cloud.url,
            GENESYS_LOGIN_URL=cloud.url,
            GENESYS_CLIENT_ID=cloud.client_id,
            GENESYS_CLIENT_SECRET=cloud.client_secret,
            GENESYS_FLOW_ID=FLOW_ID,
            CRM_API_ENDPOINT=crm.url,
        ).out

    assert f"would call     genesys: PATCH /api/v2/conversations/{event.conversation_id}" in out
    assert '"tier": "***"' in out
    assert "result         ok; nothing was written" in out
    assert "gold" not in out


def test_live_names_which_upstream_is_down(worker, a_file):
    event = an_attributes_wanted()
    with in_thread(GenesysServer, lambda: CrmServer(CrmState(status=401))) as (cloud, crm):
        run = worker(
            *("inspect", a_file("event.json", a_reference_body(event)), "--live", "--json"),
            GENESYS_API_URL=cloud.url,
            GENESYS_LOGIN_URL=cloud.url,
            GENESYS_CLIENT_ID=cloud.client_id,
            GENESYS_CLIENT_SECRET=cloud.client_secret,
            GENESYS_FLOW_ID=FLOW_ID,
            CRM_API_ENDPOINT=crm.url,
        )

    assert run.code == 1
    assert json.loads(run.out)[0]["problem"] == "crm: 401"


def test_live_names_what_the_job_lacks_when_it_is_off(worker, a_file):
    event = a_file("event.json", a_reference_body(a_chat_scored()))

    plain, live = (worker("inspect", event, *more) for more in ((), ("--live",)))

    assert (plain.code, live.code) == (0, 2)
    assert "CRM_WEBHOOK_URL: is not set" in live.err
    assert "live " not in plain.out


def test_an_event_may_come_on_stdin(worker, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(START.read_bytes())))

    assert worker("inspect", "-", "--json").json[0]["event"] == "AttributesWanted"


def test_a_terminal_gets_colours(worker):
    assert "\x1b[1m" in worker("inspect", str(START), FORCE_COLOR="1", TERM="xterm").out

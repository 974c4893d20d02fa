"""Commands and daemon take their clients from one place: BREAKER_* and CACHE_* hold for all."""

import orjson
import pytest

from tests.cli.in_thread import in_thread
from tests.support.factories import a_reference_body, an_attributes_wanted
from tests.support.genesys import pasts
from tests.unit.test_settings import GOOD
from worker.app import command_line
from worker.app.context import new_context
from worker.emulators import CrmServer, CrmState
from worker.emulators.genesys import GenesysCloud, GenesysServer
from worker.emulators.genesys.conversations import a_flow
from worker.emulators.genesys.history import History
from worker.resilience import Cache

FLOW_ID = "f1000000-0000-4000-8000-000000000001"
OTHER = {"BREAKER_ENABLED": "false", "CACHE_MAX_ENTRIES": "7"}
TRIGGER = {"BREAKER_MIN_CALLS": "3", "BREAKER_FAILURE_RATIO": "0.5", "BREAKER_OPEN_SECONDS": "30"}
"""A breaker that opens at the third failure, for longer than a command runs."""


@pytest.fixture
def served():
    """Genesys and the CRM."""
    flows = {FLOW_ID: a_flow(FLOW_ID, {"tier": "string"})}
    known = History(pasts(3))
    servers = (
        lambda: GenesysServer(GenesysCloud(flows=flows, history=known)),
        lambda: CrmServer(CrmState()),
    )
    with in_thread(*servers) as started:
        yield started


@pytest.fixture
def environ(served):
    cloud, crm = served
    return {
        **GOOD,
        "HANDLERS": "attributes",
        "GENESYS_API_URL": cloud.url,
        "GENESYS_LOGIN_URL": cloud.url,
        "GENESYS_CLIENT_ID": cloud.client_id,
        "GENESYS_CLIENT_SECRET": cloud.client_secret,
        "GENESYS_FLOW_ID": FLOW_ID,
        "CRM_API_ENDPOINT": crm.url,
    }


@pytest.fixture
def some_events(tmp_path):
    """Write events, each of another conversation, in the order that is asked for."""
    known = {}

    def write(*names):
        for name in names:
            known.setdefault(name, an_attributes_wanted(phone_number=None))
        path = tmp_path / "events.jsonl"
        path.write_bytes(b"\n".join(a_reference_body(known[name]) for name in names))
        return str(path)

    return write


@pytest.fixture
def contexts(monkeypatch):
    """What commands build their clients with, as they are built."""
    built = []

    def record(settings, stack, outgoing):
        built.append(new_context(settings, stack, outgoing))
        return built[-1]

    monkeypatch.setattr(command_line, "new_context", record)
    return built


@pytest.fixture
def caches(monkeypatch):
    """The size of each cache by its name, as they are made."""
    sizes, make = {}, Cache.__init__

    def record(self, name, policy, **more):
        sizes[name] = policy.max_entries
        make(self, name, policy, **more)

    monkeypatch.setattr(Cache, "__init__", record)
    return sizes


def policies(context):
    return {one._policy for one in context.upstreams._breakers.values()}


@pytest.mark.parametrize(
    ("command", "cached"),
    [
        (("report", "--from", "2026-03-01", "--to", "2026-03-02", "--out", "{folder}"), {"flows"}),
        (("report", "url", "by-hand", "2026-03-01"), set()),
        (("inspect", "{events}", "--live"), {"flows", "crm"}),
        (("check",), {"flows"}),
        (("source", "show"), {"flows"}),
    ],
    # Sorted: a set is written in another order by each process of the tests.
    ids=lambda one: " ".join(sorted(one) if isinstance(one, set) else one),
)
def test_the_breakers_and_caches_of_a_command_are_those_of_the_settings(
    worker, environ, aws, some_events, tmp_path, contexts, caches, command, cached
):
    places = {"folder": tmp_path, "events": some_events("a")}
    arguments = [one.format(**places) for one in command]

    done = worker(*arguments, **environ, **OTHER, REPORT_BUCKET="none")

    [context] = contexts
    assert done.code in (0, 1)
    assert {policy.enabled for policy in policies(context)} == {False}
    assert cached <= caches.keys()
    assert set(caches.values()) <= {7}


def asked(crm):
    return sum(crm.counts.values())


@pytest.mark.parametrize(("size", "questions"), [("1", 3), ("7", 2)])
def test_inspect_remembers_as_many_customers_as_the_settings_say(
    worker, environ, served, some_events, size, questions
):
    _, crm = served

    worker("inspect", some_events("a", "b", "a"), "--live", **environ, CACHE_MAX_ENTRIES=size)

    assert asked(crm) == questions


@pytest.mark.parametrize(("enabled", "questions"), [("true", 3), ("false", 6)])
def test_inspect_stops_asking_a_crm_that_is_down_unless_breakers_are_off(
    worker, environ, served, some_events, enabled, questions
):
    _, crm = served
    crm.status = 503
    more = {**TRIGGER, "BREAKER_ENABLED": enabled, "CRM_ATTEMPTS": "1"}

    worker("inspect", some_events(*"abcdef"), "--live", **environ, **more)

    assert asked(crm) == questions


# Two checks ask for the flow: the job's own, and that of permissions, whose other calls succeed.
@pytest.mark.parametrize(("enabled", "questions"), [("true", 3 + 4), ("false", 4 + 4)])
def test_check_stops_asking_a_genesys_that_is_down_unless_breakers_are_off(
    worker, environ, aws, served, enabled, questions
):
    cloud, _ = served
    cloud.fail_with("flow", 503)
    more = {**TRIGGER, "BREAKER_ENABLED": enabled, "GENESYS_ATTEMPTS": "4"}

    worker("check", **environ, **more)

    assert cloud.counts["flow"] == questions


def test_inspect_refuses_an_event_of_another_organization_as_the_daemon_does(
    worker, environ, tmp_path
):
    event = tmp_path / "event.json"
    body = orjson.loads(a_reference_body(an_attributes_wanted()))
    other = "0b900000-0000-4000-8000-000000000002"
    body["source"] = f"aws.partner/genesys.com/cloud/{other}/prod-events"
    event.write_bytes(orjson.dumps(body))

    ours = worker("inspect", str(event), "--json", GENESYS_ORGANIZATION_ID=other)
    theirs = worker(
        "inspect", str(event), "--json", GENESYS_ORGANIZATION_ID=other.replace("b", "a")
    )

    assert ours.json[0]["event"] == "AttributesWanted"
    assert theirs.json[0]["event"] == "Unreadable"
    assert "organization" in theirs.json[0]["problem"]

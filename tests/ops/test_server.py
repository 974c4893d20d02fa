"""The operators' server: what it answers, to whom, and when."""

import asyncio
import socket
import threading
import time

import httpx
import orjson
import pytest
from prometheus_client.parser import text_string_to_metric_families

from worker.errors import ConfigurationError
from worker.ops.connections import CLIENT_SECONDS
from worker.ops.health import Health
from worker.ops.server import OpsServer
from worker.settings import Ops
from worker.telemetry import Snapshot, metrics


@pytest.fixture
def health():
    health = Health(stall_seconds=30, checks={})
    health.beat()
    return health


@pytest.fixture
def server(health):
    with OpsServer(Ops(port=0), health, lambda: Snapshot(why="Moving.")) as server:
        yield server


def ask(server, path, method="GET", **options):
    return httpx.request(method, server.url + path, timeout=5, **options)


def test_metrics_are_in_prometheus_text(server):
    metrics.messages_received.inc()

    reply = ask(server, "/metrics")

    families = {family.name for family in text_string_to_metric_families(reply.text)}
    assert reply.status_code == 200
    assert {"worker_messages_received", "process_cpu_seconds"} <= families


def test_metrics_are_in_openmetrics_for_who_wants_them(server):
    reply = ask(server, "/metrics", headers={"Accept": "application/openmetrics-text"})

    assert reply.headers["content-type"].startswith("application/openmetrics-text")
    assert reply.text.endswith("# EOF\n")


def test_livez_is_ok_while_the_loop_beats(server):
    assert (ask(server, "/livez").status_code, ask(server, "/livez").text) == (200, "ok\n")


def test_livez_says_why_it_is_not_ok():
    health = Health(stall_seconds=30, sink=lambda: "log sink gone (EPIPE)")
    with OpsServer(Ops(port=0), health, Snapshot) as server:
        reply = ask(server, "/livez")

    assert (reply.status_code, reply.text) == (503, "log sink gone (EPIPE)\n")


def test_readyz_is_ok_when_nothing_is_wrong(server):
    assert ask(server, "/readyz").status_code == 200


def test_readyz_lists_its_reasons(server, health):
    health.drain()

    reply = ask(server, "/readyz")

    assert (reply.status_code, reply.text) == (503, "process: draining\n")
    assert ask(server, "/livez").status_code == 200


def test_status_is_the_document_given(server):
    assert orjson.loads(ask(server, "/status").content)["why"] == "Moving."


def test_a_status_that_fails_is_a_500_and_the_server_lives_on(health):
    def broken():
        raise ValueError("+4915112345678")

    with OpsServer(Ops(port=0), health, broken) as server:
        assert ask(server, "/status").status_code == 500
        assert "4915112345678" not in ask(server, "/status").text
        assert ask(server, "/livez").status_code == 200


@pytest.mark.parametrize("path", ["//", "/metrics/", "/livez/x", "/..%2fmetrics", "/metrics;x"])
def test_other_paths_are_not_found(server, path):
    assert ask(server, path).status_code == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"])
def test_other_methods_are_refused(server, method):
    reply = ask(server, "/metrics", method)

    assert (reply.status_code, reply.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("path", ["/metrics", "/livez", "/readyz", "/status", "/nowhere"])
def test_head_answers_as_get_does_without_a_body(server, path):
    get, head = ask(server, path), ask(server, path, "HEAD")

    assert head.status_code == get.status_code
    assert head.content == b""


def test_a_query_does_not_change_the_page(server):
    assert ask(server, "/livez?verbose=1").status_code == 200


def test_requests_are_not_logged(server, capfd):
    ask(server, "/livez")
    ask(server, "/nowhere")

    assert capfd.readouterr() == ("", "")


def test_the_server_says_nothing_of_its_making(server):
    assert ask(server, "/livez").headers["server"] == "worker"


def test_a_client_that_says_nothing_holds_up_no_one(server):
    with socket.create_connection(("127.0.0.1", server.port)):
        reply = httpx.get(f"{server.url}/livez", timeout=CLIENT_SECONDS / 2)

    assert reply.status_code == 200


def test_a_client_that_says_nothing_is_hung_up_on(server):
    with socket.create_connection(("127.0.0.1", server.port), timeout=CLIENT_SECONDS * 3) as client:
        assert client.recv(1) == b""


def test_a_taken_port_is_a_configuration_error(server, health):
    with pytest.raises(ConfigurationError, match="OPS_PORT: is taken"):
        OpsServer(Ops(port=server.port), health, Snapshot)


def test_an_address_that_is_not_ours_is_a_configuration_error(health):
    with pytest.raises(ConfigurationError, match="OPS_HOST: is no address"):
        OpsServer(Ops(host="203.0.113.1", port=0), health, Snapshot)


def test_a_closed_server_frees_its_port(health):
    with OpsServer(Ops(port=0), health, Snapshot) as first:
        port = first.port

    with OpsServer(Ops(port=port), health, Snapshot) as second:
        assert ask(second, "/livez").status_code == 200


def test_a_server_that_was_never_started_can_be_closed(health):
    OpsServer(Ops(port=0), health, Snapshot).close()


async def test_it_answers_while_the_loop_is_blocked_and_livez_turns_503():
    health = Health(stall_seconds=0.7, checks={})
    beating = asyncio.create_task(health.run())
    answers = {}

    def probe(server, blocked):
        blocked.wait(5)
        answers["early"] = ask(server, "/livez").status_code
        time.sleep(0.9)
        answers["livez"] = ask(server, "/livez").status_code
        answers["metrics"] = ask(server, "/metrics").status_code
        answers["readyz"] = ask(server, "/readyz").text
        answers["while_blocked"] = not released.is_set()

    with OpsServer(Ops(port=0), health, Snapshot) as server:
        blocked, released = threading.Event(), threading.Event()
        await asyncio.sleep(0)
        prober = threading.Thread(target=probe, args=(server, blocked))
        prober.start()
        _handle_badly(blocked, prober)
        released.set()
        await asyncio.sleep(0.6)
        assert ask(server, "/livez").status_code == 200
    beating.cancel()
    await asyncio.wait([beating])

    assert answers == {
        "early": 200,
        "livez": 503,
        "metrics": 200,
        "readyz": "process: event loop stalled\n",
        "while_blocked": True,
    }


def _handle_badly(blocked, prober):
    """Hold the event loop's thread as a handler would that calls something synchronous."""
    blocked.set()
    deadline = time.monotonic() + 10
    while prober.is_alive() and time.monotonic() < deadline:
        time.sleep(0.05)

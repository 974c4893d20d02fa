"""`worker health`: the container's HEALTHCHECK."""

import pytest

from worker.ops.health import Health
from worker.ops.server import OpsServer
from worker.settings import Ops
from worker.telemetry import Snapshot


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def server(clock):
    health = Health(clock=clock, stall_seconds=30, checks={})
    with OpsServer(Ops(port=0), health, Snapshot) as server:
        yield server


def test_it_exits_with_0_when_the_worker_is_alive(worker, server):
    run = worker("health", OPS_PORT=str(server.port))

    assert (run.code, run.out) == (0, "ok\n")


def test_it_exits_with_1_when_the_loop_is_frozen(worker, server, clock):
    clock.now = 31.0

    assert worker("health", OPS_PORT=str(server.port)).code == 1


def test_it_exits_with_1_when_nothing_answers(worker, server):
    server.close()
    asked = f"http://127.0.0.1:{server.port}/livez"

    run = worker("health", OPS_PORT=str(server.port))

    assert (run.code, run.err) == (1, f"{asked}: no answer (ConnectionRefusedError)\n")


def test_it_asks_the_url_it_is_given(worker, server):
    assert worker("health", "--url", f"{server.url}/livez").code == 0


def test_a_server_on_all_addresses_is_asked_on_loopback(worker, server):
    anywhere = "0.0.0.0"  # noqa: S104  asked for, not listened on

    assert worker("health", OPS_HOST=anywhere, OPS_PORT=str(server.port)).code == 0


def test_a_proxy_of_the_environment_is_not_asked(worker, server):
    run = worker("health", OPS_PORT=str(server.port), http_proxy="http://127.0.0.1:1")

    assert run.code == 0


@pytest.mark.parametrize("url", ["http://127.0.0.1:99999/livez", "http://127.0.0.1:x/", "nonsense"])
def test_a_url_that_is_none_is_a_usage_error(worker, url):
    run = worker("health", "--url", url)

    assert (run.code, "not http://host:port/path" in run.err) == (2, True)


def test_https_is_refused_and_not_asked_in_the_clear(worker, server):
    run = worker("health", "--url", server.url.replace("http", "https"))

    assert (run.code, "not http://host:port/path" in run.err) == (2, True)


@pytest.mark.parametrize("port", ["99999", "0", "abc"])
def test_a_port_that_is_none_is_a_usage_error_that_names_the_setting(worker, port):
    run = worker("health", OPS_PORT=port)

    assert (run.code, "OPS_PORT" in run.err) == (2, True)

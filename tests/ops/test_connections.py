"""The operators' server under clients that mean no good: bounded in number, time and threads."""

import contextlib
import errno
import selectors
import socket
import threading
import time
from pathlib import Path

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from worker.ops import connections
from worker.ops.connections import MAX_CONNECTIONS, REQUEST_SECONDS, Connections, read_head
from worker.ops.health import Health
from worker.ops.server import OpsServer, open_listeners
from worker.settings import Ops
from worker.telemetry import Snapshot

PROBE_SECONDS = 3
"""What a kubelet waits for a probe."""


@pytest.fixture(scope="module")
def server():
    with OpsServer(
        Ops(port=0), Health(stall_seconds=30), lambda: Snapshot(why="x" * 10**6)
    ) as server:
        for listener in server._connections._listeners:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        yield server


@pytest.fixture
def clients(server):
    """Return a function that connects; all is closed in the end."""
    with contextlib.ExitStack() as stack:

        def connect(count):
            made = [
                stack.enter_context(socket.create_connection(("127.0.0.1", server.port), 10))
                for _ in range(count)
            ]
            for client in made:
                client.settimeout(0)
            return made

        yield connect


def livez(server):
    return httpx.get(f"{server.url}/livez", timeout=PROBE_SECONDS).status_code


def open_descriptors():
    return len(list(Path("/proc/self/fd").iterdir()))


def is_cut(client):
    with contextlib.suppress(BlockingIOError):
        try:
            return client.recv(1) == b""
        except ConnectionError:
            return True
    return False


def test_probes_are_answered_while_viewers_hold_all_connections(server, clients):
    holders = clients(MAX_CONNECTIONS)
    for client in holders:
        client.send(b"GET /status HTTP/1.1\r\n")

    assert [livez(server) for _ in range(5)] == [200] * 5
    assert httpx.get(f"{server.url}/readyz", timeout=PROBE_SECONDS).status_code == 503
    assert sum(is_cut(client) for client in holders) <= 6


def test_the_longest_held_connection_makes_room(server, clients, eventually):
    first, *others = clients(MAX_CONNECTIONS)

    assert livez(server) == 200

    eventually(lambda: is_cut(first))
    assert not any(is_cut(client) for client in others)


def test_probes_are_answered_while_viewers_read_slowly(server, clients):
    for client in clients(MAX_CONNECTIONS):
        client.send(b"GET /status HTTP/1.1\r\n\r\n")

    assert livez(server) == 200


def test_hundreds_of_dripping_clients_take_few_descriptors_and_no_threads(server, clients):
    threads, descriptors = threading.active_count(), open_descriptors()
    crowd = clients(240)
    for client in crowd:
        with contextlib.suppress(OSError):
            client.send(b"G")

    assert livez(server) == 200
    theirs = open_descriptors() - descriptors - len(crowd)
    assert theirs <= 33
    assert threading.active_count() == threads


def test_clients_that_come_back_at_once_do_not_drive_out_a_probe(server, clients):
    over = threading.Event()

    def come_back():
        while not over.is_set():
            with (
                contextlib.suppress(OSError),
                socket.create_connection(("127.0.0.1", server.port), 2) as client,
            ):
                client.send(b"G")
                client.recv(1)

    crowd = [threading.Thread(target=come_back) for _ in range(2 * MAX_CONNECTIONS)]
    for thread in crowd:
        thread.start()
    try:
        assert [livez(server) for _ in range(5)] == [200] * 5
    finally:
        over.set()
        for thread in crowd:
            thread.join()


def test_a_dripping_client_is_cut_at_the_deadline_of_its_request(server):
    begun = time.monotonic()
    with socket.create_connection(("127.0.0.1", server.port), 10) as client:
        client.settimeout(0.2)
        with contextlib.suppress(ConnectionError):
            while time.monotonic() < begun + 3 * REQUEST_SECONDS:
                client.send(b"G")
                with contextlib.suppress(TimeoutError):
                    if not client.recv(1):
                        break

    assert REQUEST_SECONDS - 0.5 < time.monotonic() - begun < REQUEST_SECONDS + 2


def test_a_request_without_an_end_is_refused(server):
    with socket.create_connection(("127.0.0.1", server.port), 10) as client:
        client.send(b"GET / HTTP/1.1\r\n" + b"x: y\r\n" * 2000)

        assert client.recv(100).startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize(
    "sent", [b"\x16\x03\x01\x00\n\n", b"GET /livez\r\n\r\n", b"\r\n\r\n", b"GET  HTTP/1.1\r\n\r\n"]
)
def test_what_is_no_http_request_is_answered_so(server, sent):
    with socket.create_connection(("127.0.0.1", server.port), 10) as client:
        client.send(sent)

        assert client.recv(100).startswith(b"HTTP/1.1 400 ")


def test_a_request_may_come_in_pieces_and_with_a_body(server):
    with socket.create_connection(("127.0.0.1", server.port), 10) as client:
        for piece in (b"POS", b"T /livez HTTP/1.1\r", b"\n\r", b"\n", b"body" * 1000):
            client.send(piece)

        assert client.recv(100).startswith(b"HTTP/1.1 405 ")


def test_a_proxys_absolute_target_is_understood():
    request = read_head(b"GET http://worker:9464/livez?x=1 HTTP/1.1\r\n\r\n")

    assert request.path == "/livez"


ACCEPT = st.text(st.characters(codec="latin-1", exclude_characters="\r\n"), max_size=60)
MIME = st.sampled_from(["application/openmetrics-text", "text/plain", "*/*"])


@given(ACCEPT | st.builds("{};version={};escaping={}".format, MIME, ACCEPT, ACCEPT))
@example("application/openmetrics-text; version=abc")
@example("text/plain;version=1.0.0.x")
@example("text/plain;version=;escaping=;;;,,")
def test_no_accept_header_makes_the_metrics_fail(server, accept):
    head = f"GET /metrics HTTP/1.1\r\nAccept: {accept}\r\n\r\n".encode("latin-1")
    with socket.create_connection(("127.0.0.1", server.port), 10) as client:
        client.send(head)
        reply = client.recv(17)

    assert reply.startswith(b"HTTP/1.1 200 ")


def test_metrics_are_plain_text_when_the_wanted_version_is_none(server):
    accept = "application/openmetrics-text; version=abc"

    reply = httpx.get(f"{server.url}/metrics", headers={"Accept": accept}, timeout=5)

    assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")


@given(st.binary(max_size=200))
def test_no_head_raises(head):
    read_head(head)


class NoDescriptors(socket.socket):
    """A listener whose process has no descriptor left."""

    accepts = 0

    def accept(self):
        self.accepts += 1
        raise OSError(errno.EMFILE, "too many")


def test_without_a_descriptor_it_waits_and_does_not_spin(eventually):
    listener = NoDescriptors(socket.AF_INET, socket.SOCK_STREAM)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    served = Connections([listener], lambda _: (200, "", b""))
    thread = threading.Thread(target=served.run)
    with socket.create_connection(listener.getsockname()):
        thread.start()
        eventually(lambda: listener.accepts >= 3)
        accepts = listener.accepts
        served.stop()
        thread.join()

    assert accepts < 10


def test_an_unforeseen_fault_does_not_end_the_server(eventually, monkeypatch):
    monkeypatch.setattr(connections, "HOLD_SECONDS", 0.01)
    select, faults = selectors.DefaultSelector.select, [RuntimeError(), RuntimeError()]

    def fail_twice(*arguments):
        if faults:
            raise faults.pop()
        return select(*arguments)

    monkeypatch.setattr(selectors.DefaultSelector, "select", fail_twice)
    with OpsServer(Ops(port=0), Health(stall_seconds=30), Snapshot) as server:
        assert livez(server) == 200


@pytest.mark.parametrize(
    ("host", "asked"),
    [
        ("127.0.0.1", ["127.0.0.1", "[::1]"]),
        ("localhost", ["127.0.0.1", "[::1]"]),
        ("0.0.0.0", ["127.0.0.1", "[::1]"]),  # noqa: S104
        ("::", ["127.0.0.1", "[::1]"]),
        ("::1", ["[::1]"]),
    ],
)
def test_it_answers_in_both_families(host, asked):
    with OpsServer(Ops(host=host, port=0), Health(stall_seconds=30), Snapshot) as server:
        for address in asked:
            assert httpx.get(f"http://{address}:{server.port}/livez").status_code == 200


def test_loopback_is_served_although_its_ipv6_port_is_taken():
    with contextlib.closing(open_listeners("::1", 0)[0]) as taken:
        port = taken.getsockname()[1]

        with OpsServer(Ops(port=port), Health(stall_seconds=30), Snapshot) as server:
            assert server.url == f"http://127.0.0.1:{port}"
            assert livez(server) == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])  # noqa: S104
def test_without_ipv6_all_addresses_are_those_of_ipv4(monkeypatch, host):
    make = socket.socket

    def only_ipv4(family=-1, *arguments, **options):
        if family == socket.AF_INET6:
            raise OSError(errno.EAFNOSUPPORT, "no IPv6")
        return make(family, *arguments, **options)

    monkeypatch.setattr(socket, "socket", only_ipv4)
    [listener] = open_listeners(host, 0)

    with contextlib.closing(listener):
        assert listener.family == socket.AF_INET


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])  # noqa: S104
def test_a_port_taken_in_one_family_is_not_served_in_the_other_alone(host):
    with socket.create_server(("::", 0), family=socket.AF_INET6) as taken:
        port = taken.getsockname()[1]

        with pytest.raises(OSError, match="in use"):
            open_listeners(host, port)


@pytest.fixture
def eventually():
    def wait(predicate):
        pause = threading.Event()
        for _ in range(1000):
            if predicate():
                return
            pause.wait(0.01)
        raise AssertionError("it never came")

    return wait


def test_a_stop_after_the_end_is_nothing():
    listener = socket.create_server(("127.0.0.1", 0))
    served = Connections([listener], lambda _: (200, "", b""))
    served.stop()
    served.run()

    served.stop()

"""Every attempt ends, however slowly a reply comes, and whatever holds the connections."""

import asyncio
from contextlib import asynccontextmanager, suppress

import pytest
from botocore.exceptions import ConnectTimeoutError, ReadTimeoutError

from tests.support.aws_stub import SILENCE, Say, a_client
from tests.support.s3 import a_guard
from worker.clients.aws import sdk  # noqa: F401  else a call would take the time of its import
from worker.clients.aws.session import AwsService
from worker.clients.http11 import Connection, HttpLimits
from worker.errors import Unavailable
from worker.jobs.reports.bucket import ReportBucket

TOTAL_SECONDS = 0.4
BETWEEN_BYTES = 0.02
"""Far less than the longest silence allowed: only a deadline over all of it ends such a reply."""

HEAD = (
    b"HTTP/1.1 200 OK\r\nDate: Mon, 02 Mar 2026 12:00:00 GMT\r\n"
    b"Content-Type: application/x-amz-json-1.0\r\nContent-Length: 500\r\n\r\n"
)
BODY = b'{"Messages": [' + b" " * 484 + b"]}"


@asynccontextmanager
async def a_dripping_server(monkeypatch, at_once=b""):
    """Sends `at_once`, and then byte by byte what is left of a reply of 200."""
    reply, connections = (HEAD + BODY)[len(at_once) :], []

    async def serve(reader, writer):
        connections.append(writer)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(at_once)
            for byte in reply:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(BETWEEN_BYTES)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    try:
        yield connections
    finally:
        server.close()
        for writer in connections:
            writer.transport.abort()
        await server.wait_closed()
        await asyncio.sleep(BETWEEN_BYTES)  # the drip that is under way


def about(seconds):
    """What takes so long, on a busy machine too; without a deadline it takes ten seconds."""
    return pytest.approx(seconds + 1, abs=1.05)


async def seconds_of(call, error=ReadTimeoutError):
    clock = asyncio.get_running_loop().time
    began = clock()
    with pytest.raises(error):
        await call
    return clock() - began


@pytest.mark.parametrize("at_once", [b"", HEAD], ids=["head", "body"])
async def test_a_reply_that_drips_ends_after_the_whole_time_of_an_attempt(
    monkeypatch, open_client, at_once
):
    async with (
        a_dripping_server(monkeypatch, at_once),
        open_client(read_seconds=5, total_seconds=TOTAL_SECONDS) as client,
    ):
        took = await seconds_of(client.receive_message(QueueUrl="q"))

    assert took == about(TOTAL_SECONDS)


async def test_without_a_number_the_whole_time_is_one_connection_and_one_silence(
    monkeypatch, open_client
):
    async with (
        a_dripping_server(monkeypatch),
        open_client(connect_seconds=0.2, read_seconds=0.3) as client,
    ):
        took = await seconds_of(client.receive_message(QueueUrl="q"))

    assert took == about(0.5)


async def test_each_attempt_has_the_whole_time(monkeypatch, open_client):
    async with (
        a_dripping_server(monkeypatch) as connections,
        open_client(read_seconds=5, total_seconds=TOTAL_SECONDS, attempts=2) as client,
    ):
        await seconds_of(client.receive_message(QueueUrl="q"))

    assert len(connections) == 2


async def test_a_server_that_takes_calls_and_answers_none_ends_as_late(stub, open_client):
    stub.replies = [SILENCE]
    async with open_client(read_seconds=5, total_seconds=TOTAL_SECONDS) as client:
        took = await seconds_of(client.receive_message(QueueUrl="q"))

    assert took == about(TOTAL_SECONDS)


async def test_the_wait_for_a_connection_is_part_of_it(stub, open_client):
    stub.replies = [SILENCE, Say()]
    async with open_client(pool=1, read_seconds=5, total_seconds=3) as client:
        holder = asyncio.create_task(client.receive_message(QueueUrl="q"))
        await stub.waiting.wait()
        await asyncio.sleep(1.5)
        waiting = asyncio.create_task(client.receive_message(QueueUrl="q"))
        with pytest.raises(ReadTimeoutError):
            await holder

        answer = await waiting  # its own time was not over yet

    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 200


async def test_a_wait_for_a_connection_alone_ends_too(monkeypatch, open_client):
    async with (
        a_dripping_server(monkeypatch),
        open_client(pool=1, read_seconds=5, total_seconds=TOTAL_SECONDS) as client,
    ):
        holder = asyncio.create_task(client.receive_message(QueueUrl="q"))
        others = [asyncio.create_task(client.receive_message(QueueUrl="q")) for _ in range(3)]
        done, pending = await asyncio.wait({holder, *others}, timeout=8)

    assert not pending
    assert all(isinstance(one.exception(), ReadTimeoutError | ConnectTimeoutError) for one in done)


async def test_a_file_of_s3_that_drips_ends_as_late(monkeypatch):
    async with (
        a_dripping_server(monkeypatch, HEAD),
        a_client("sdk", "s3", read_seconds=5, total_seconds=TOTAL_SECONDS) as client,
    ):
        clock = asyncio.get_running_loop().time
        bucket = ReportBucket(AwsService("s3", client, a_guard()), "b", 60, lambda: None)
        began = clock()
        with pytest.raises(Unavailable):
            await bucket.get("k")

    assert clock() - began == about(TOTAL_SECONDS)


@asynccontextmanager
async def a_kept_connection():
    """One to a server that answers its first request alone."""
    loop, heard = asyncio.get_running_loop(), []

    async def serve(reader, writer):
        heard.append(writer)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    address = server.sockets[0].getsockname()
    _, connection = await loop.create_connection(lambda: Connection(loop, "host", set()), *address)
    try:
        yield connection
    finally:
        connection.abort()
        server.close()
        for writer in heard:
            writer.transport.abort()
        await server.wait_closed()


def limits(silence_seconds):
    return HttpLimits(
        connections=1,
        connect_seconds=1,
        silence_seconds=silence_seconds,
        total_seconds=60,
        reply_bytes=1000,
    )


@pytest.mark.parametrize("first", [0.2, 30], ids=["shorter before", "longer before"])
async def test_the_next_request_of_a_connection_has_its_own_time(first):
    clock = asyncio.get_running_loop().time
    async with a_kept_connection() as connection:
        await connection.ask(b"GET / HTTP/1.1\r\n\r\n", limits(first), clock() + 60)
        connection.release()
        call = connection.ask(b"GET / HTTP/1.1\r\n\r\n", limits(0.4), clock() + 60)
        took = await seconds_of(call, TimeoutError)

    assert took == about(0.4)

"""What goes wrong on the way, and when it is tried again: the SDK's standard mode, both ways."""

import asyncio
import socket
from uuid import UUID

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ReadTimeoutError,
)
from botocore.retries.quota import RetryQuota

from tests.support.aws_stub import CUT, GONE, SILENCE, Say, refusal
from worker.clients.aws.wire.call import COST, THROTTLED_COST, TIMEOUT_COST, Attempts
from worker.emulators.sqs.control import HTTP_500, THROTTLED, Reset, When

OK = Say()


async def call(client):
    return await client.receive_message(QueueUrl="q")


def retries(answer):
    return answer["ResponseMetadata"]["RetryAttempts"]


MAY_PASS = [
    *[Say(status, b"") for status in (500, 502, 503, 504)],
    *[refusal(code) for code in ("ThrottlingException", "RequestThrottled", "SlowDown")],
    refusal("x#RequestTimeoutException"),
    GONE,
    CUT,
]
WILL_NOT_PASS = [refusal("AccessDeniedException"), Say(501, b""), Say(429, b"")]


async def test_what_may_pass_is_tried_again(stub, pauses, open_client):
    async with open_client(attempts=4) as client:
        for failure in MAY_PASS:
            stub.replies, stub.asked = [failure, failure, OK], []

            assert retries(await call(client)) == 2, failure
            assert len(stub.asked) == 3


async def test_what_will_not_pass_is_not_tried_again(stub, open_client):
    async with open_client(attempts=4) as client:
        for failure in WILL_NOT_PASS:
            stub.replies, stub.asked = [failure, OK], []
            with pytest.raises(ClientError):
                await call(client)

            assert len(stub.asked) == 1, failure


async def test_attempts_have_an_end_and_are_reported(stub, pauses, open_client):
    stub.replies = [Say(503, b"")]
    async with open_client(attempts=3) as client:
        with pytest.raises(ClientError, match="reached max retries: 2") as caught:
            await call(client)

    reported = caught.value.response["ResponseMetadata"]
    assert (reported["RetryAttempts"], reported["MaxAttemptsReached"]) == (2, True)
    assert len(stub.asked) == 3


async def test_pauses_grow_and_are_spread(stub, pauses, open_client):
    stub.replies = [Say(503, b"")]
    async with open_client(attempts=9) as client:
        with pytest.raises(ClientError):
            await call(client)

    assert all(0 <= pause <= min(2**n, 20) for n, pause in enumerate(pauses))
    assert len(set(pauses)) == len(pauses) == 8


async def test_all_attempts_of_a_call_have_its_id_and_their_number(stub, pauses, open_client):
    stub.replies = [Say(503, b""), OK]
    async with open_client(attempts=4) as client:
        await call(client)
        await call(client)

    first, again, other = stub.headers("amz-sdk-invocation-id")
    assert first == again != other
    assert all(UUID(one).version == 4 for one in (first, other))
    # The SDK sends a `ttl` besides.
    reported = [value.replace(" ", "").split(";") for value in stub.headers("amz-sdk-request")]
    numbers = [[part for part in parts if part.startswith("attempt=")] for parts in reported]
    assert numbers == [["attempt=1"], ["attempt=2"], ["attempt=1"]]


async def test_a_service_that_is_down_is_soon_called_once_only(stub, pauses, open_client):
    stub.replies = [Say(503, b"")]
    async with open_client(attempts=2, pool=20) as client:
        await asyncio.gather(*(call(client) for _ in range(110)), return_exceptions=True)

    # 500 tokens, 5 each up to botocore 1.42: a hundred calls are repeated, ten are not.
    assert len(stub.asked) == 110 + 500 // COST


async def test_success_earns_repetitions_again(stub, pauses, open_client):
    stub.replies = [Say(503, b"")]
    async with open_client(attempts=2, pool=20) as client:
        await asyncio.gather(*(call(client) for _ in range(100)), return_exceptions=True)
        stub.replies = [OK]
        for _ in range(5):
            await call(client)
        stub.asked.clear()
        stub.replies = [Say(503, b"")]
        for _ in range(2):
            with pytest.raises(ClientError):
                await call(client)

    assert len(stub.asked) == 3


async def test_the_emulators_faults_are_overcome(sqs, pauses, open_client):
    url = sqs.create_queue("q")
    async with open_client(attempts=3) as client:
        for fault in (HTTP_500, THROTTLED, Reset()):
            sqs.faults.add("SendMessage", fault, When(last=2))
            assert retries(await client.send_message(QueueUrl=url, MessageBody="b")) == 2, fault
            sqs.faults.clear()

    assert sqs.depth(url).visible == 3


async def failure_of(client):
    with pytest.raises(Exception) as caught:  # noqa: PT011  which one is what is asked
        await call(client)
    return type(caught.value)


async def test_a_refused_connection_is_reported_as_such(open_client, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    async with open_client() as client:
        assert await failure_of(client) is EndpointConnectionError


async def test_an_unknown_name_is_reported_as_such(open_client, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://name.invalid")
    async with open_client() as client:
        assert await failure_of(client) is EndpointConnectionError


async def test_a_connection_that_is_not_taken_times_out(open_client, monkeypatch):
    # Two fill the queue of a server that takes no one; the third gets no answer.
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        address = server.getsockname()
        with socket.create_connection(address):
            monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{address[1]}")
            async with open_client(connect_seconds=0.2) as client:
                assert await failure_of(client) is ConnectTimeoutError


async def test_silence_times_out(stub, open_client):
    stub.replies = [SILENCE]
    async with open_client(read_seconds=0.2) as client:
        assert await failure_of(client) is ReadTimeoutError


@pytest.mark.parametrize("failure", [GONE, CUT], ids=["gone", "cut"])
async def test_a_connection_that_ends_early_is_reported_as_such(stub, open_client, failure):
    stub.replies = [failure]
    async with open_client() as client:
        assert await failure_of(client) is ConnectionClosedError


async def test_a_reset_is_reported_as_such(sqs, open_client):
    sqs.faults.add("*", Reset())
    async with open_client() as client:
        assert await failure_of(client) is EndpointConnectionError


async def test_a_cancelled_poll_leaves_the_pool_whole(stub, open_client):
    stub.replies = [SILENCE, OK]
    async with open_client(pool=1) as client:
        poll = asyncio.create_task(call(client))
        await stub.waiting.wait()
        poll.cancel()
        await asyncio.wait([poll])

        await call(client)
    assert poll.cancelled()


async def test_a_call_that_is_cancelled_between_attempts_is_not_made_again(stub, open_client):
    stub.replies = [Say(503, b"")]
    async with open_client(attempts=4) as client:
        loop = asyncio.get_running_loop()
        running = loop.create_task(call(client))
        while not stub.asked:  # noqa: ASYNC110  the stub has no event for it
            await asyncio.sleep(0)
        running.cancel()
        await asyncio.wait([running])

    assert len(stub.asked) == 1


async def test_one_connection_serves_all_calls_in_turn(stub, open_client):
    async with open_client() as client:
        for _ in range(5):
            await call(client)

    assert len(stub.connections) == 1


def refused(code, status):
    metadata = {"HTTPStatusCode": status}
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": metadata}, "ReceiveMessage")


@pytest.mark.parametrize(
    ("error", "cost"),
    [
        (ReadTimeoutError(endpoint_url="u", error="e"), TIMEOUT_COST),
        (ConnectTimeoutError(endpoint_url="u", error="e"), TIMEOUT_COST),
        (EndpointConnectionError(endpoint_url="u", error="e"), COST),
        (refused("ThrottlingException", 400), THROTTLED_COST),
        (refused("InternalError", 500), COST),
    ],
)
def test_a_repetition_costs_what_the_sdk_says_and_success_gives_it_back(error, cost):
    quota = RetryQuota()
    attempts = Attempts(2, quota, lambda: 1.0)

    assert attempts.pause_after(error) == 1.0
    assert quota.available_capacity == 500 - cost
    attempts.succeeded()
    assert quota.available_capacity == 500

"""Signatures that AWS takes: botocore's own are the measure, and a server checks them again."""

import time
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from urllib.parse import urlsplit

import orjson
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import ClientError, CredentialRetrievalError
from hypothesis import given
from hypothesis import strategies as st

from tests.support.aws_stub import REGION, Say, a_client, refusal
from worker.clients.aws.session import AwsSession
from worker.clients.aws.wire.connection import ClientLimits, Endpoint
from worker.clients.aws.wire.protocol import (
    DYNAMODB,
    EVENTS,
    SQS,
    STEP_FUNCTIONS,
    Clock,
    Signer,
)

WORDS = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=60)
FORMAT = "%Y%m%dT%H%M%SZ"


def signed(signer, operation, body, credentials, seconds):
    """All headers of a request, and its signature apart."""
    shared, own = signer.sign(operation, body, credentials, seconds)
    headers = {**shared.by_name, **own}
    return headers, headers.pop("authorization")


def botocores(url, headers, body, credentials, moment, scope):
    """Botocore's whole signer on the same request."""
    request = AWSRequest("POST", url, data=body, headers=dict(headers))
    signer = SigV4Auth(credentials, *scope)
    request.context["timestamp"] = moment
    signer._modify_request_before_signing(request)
    signature = signer.signature(
        signer.string_to_sign(request, signer.canonical_request(request)), request
    )
    signer._inject_signature_to_request(request, signature)
    return request.headers["Authorization"]


CREDENTIALS = st.builds(ReadOnlyCredentials, WORDS, WORDS, st.none() | WORDS, st.none())
REQUESTS = st.tuples(
    st.sampled_from(["ReceiveMessage", "PutItem"]),
    st.binary(max_size=200),
    CREDENTIALS,
    st.integers(0, 4_000_000_000),
)


@given(
    dialect=st.sampled_from([SQS, DYNAMODB, STEP_FUNCTIONS, EVENTS]),
    place=st.sampled_from(["https://sqs.eu-west-1.amazonaws.com", "http://[::1]:80/a b/%C3%A9/"]),
    requests=st.lists(REQUESTS, min_size=1, max_size=4),
    again=st.booleans(),
)
def test_a_signature_is_botocores(dialect, place, requests, again):
    path = SigV4Auth(None, "", "")._normalize_url_path(urlsplit(place).path)
    where = Endpoint(
        url=urlsplit(place), region="eu-west-1", path=path, proxy=None, proxy_headers={}
    )
    signer, scope = Signer(dialect, where), (dialect.signing_name, "eu-west-1")

    # One signer for all: what it keeps of one request must not be in the signature of the next.
    for operation, body, credentials, seconds in requests * (1 + again):
        headers, authorization = signed(signer, operation, body, credentials, seconds)

        assert authorization == botocores(
            place, headers, body, credentials, headers["x-amz-date"], scope
        )


def test_a_key_is_made_anew_for_each_secret_and_day():
    where = Endpoint(
        url=urlsplit("https://a.example"), region="r", path="/", proxy=None, proxy_headers={}
    )
    signer = Signer(SQS, where)
    for secret in ("one", "two", "one"):
        for seconds in (0, 86_400, 0):
            credentials = ReadOnlyCredentials("id", secret, None, None)
            headers, authorization = signed(signer, "Do", b"{}", credentials, seconds)

            assert authorization == botocores(
                "https://a.example",
                headers,
                b"{}",
                credentials,
                headers["x-amz-date"],
                ("sqs", "r"),
            )


def verified(request, body, secret="test"):  # noqa: S107  the tests' own
    """What AWS does: sign what arrived with the secret it knows, and compare."""
    reported = request.headers["Authorization"]
    fields = dict(part.strip().split("=", 1) for part in reported.split(" ", 1)[1].split(","))
    key_id, _, region, name, _ = fields["Credential"].split("/")
    headers = {header: request.headers[header] for header in fields["SignedHeaders"].split(";")}
    token = headers.pop("x-amz-security-token", None)
    expected = botocores(
        f"http://{request.host}{request.raw_path}",
        headers,
        body,
        ReadOnlyCredentials(key_id, secret, token, None),
        request.headers["X-Amz-Date"],
        (name, region),
    )
    return reported == expected and {"host", "x-amz-date", "x-amz-target"} <= set(headers)


@pytest.mark.parametrize("token", [None, "a-token"])
async def test_a_server_finds_the_signature_right(stub, open_client, monkeypatch, token):
    if token:
        monkeypatch.setenv("AWS_SESSION_TOKEN", token)
    async with open_client() as client:
        await client.send_message(QueueUrl="q", MessageBody="Grüße \U0001f600")

    ((request, body),) = stub.asked
    assert verified(request, body)
    assert not verified(request, body + b" ")
    assert request.headers.get("X-Amz-Security-Token") == token


def credentials_document(number, lasts):
    expires = datetime.now(UTC) + lasts
    return orjson.dumps(
        {
            "AccessKeyId": f"key-{number}",
            "SecretAccessKey": f"secret-{number}",
            "Token": f"token-{number}",
            "Expiration": expires.strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
    )


@pytest.fixture
def role(stub, monkeypatch):
    """Credentials come from the stub itself, as those of a task's role come from ECS."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{stub.url}/role")
    return stub


def keys_used(stub):
    reported = [value for value in stub.headers("Authorization") if value]
    return [value.split("Credential=")[1].split("/")[0] for value in reported]


async def test_credentials_about_to_end_are_renewed_before_each_call(role, open_client):
    # Of a minute: past the point at which the SDK's chain renews them before they are used.
    first, second, third = [credentials_document(n, timedelta(minutes=1)) for n in (1, 2, 3)]
    role.replies = [Say(body=first), Say(body=second), Say(), Say(body=third), Say()]
    async with open_client() as client:
        for _ in range(2):
            await client.receive_message(QueueUrl="q")

    assert keys_used(role) == ["key-2", "key-3"]
    assert verified(*role.asked[-1], secret="secret-3")


@pytest.mark.parametrize(
    ("lasts", "keys", "lookups"),
    [
        (timedelta(hours=1), ["key-1"] * 3, 1),
        (timedelta(minutes=1), ["key-2", "key-3", "key-4"], 4),
    ],
)
async def test_all_clients_of_a_session_have_one_look_up(role, wire, lasts, keys, lookups):
    session = AwsSession(transport=wire, region=REGION)
    documents = [Say(body=credentials_document(n, lasts)) for n in range(1, lookups + 1)]
    role.replies = documents[:1]
    for later in documents[1:]:
        role.replies += [later, Say()]
    role.replies += [Say()]
    limits = ClientLimits(pool=1, read_seconds=5, attempts=1)
    async with (
        session.client("sqs", limits) as ours,
        session.client("sqs", limits, any_operation=True) as sdks,
    ):
        for client in (ours, sdks, ours):
            await client.receive_message(QueueUrl="q")

    assert keys_used(role) == keys
    assert [request.path for request, _ in role.asked].count("/role") == lookups


async def test_credentials_that_ended_and_cannot_be_renewed_are_reported_as_such(role, wire):
    role.replies = [
        Say(body=credentials_document(1, timedelta(minutes=-1))),
        Say(500, b""),
    ]
    async with a_client(wire) as client:
        with pytest.raises(CredentialRetrievalError):
            await client.receive_message(QueueUrl="q")

    assert keys_used(role) == []


async def test_renewed_credentials_that_have_ended_by_our_clock_are_reported_as_such(role, wire):
    role.replies = [Say(body=credentials_document(1, timedelta(hours=-1)))]
    async with a_client(wire) as client:
        with pytest.raises(CredentialRetrievalError):
            await client.receive_message(QueueUrl="q")

    assert keys_used(role) == []


HOUR = 3600
SKEWED = ["RequestTimeTooSkewed", "InvalidSignatureException", "SignatureDoesNotMatch"]


def dated(say, seconds):
    return Say(say.status, say.body, {"Date": formatdate(seconds, usegmt=True)})


def moment_of(request):
    return datetime.strptime(request.headers["X-Amz-Date"], FORMAT).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize("ahead", [-HOUR, HOUR])
@pytest.mark.parametrize("code", SKEWED)
async def test_a_wrong_clock_is_adjusted_by_the_servers(stub, code, ahead, wire):
    stub.replies = [dated(refusal(code), time.time() + ahead), Say()]
    async with a_client(wire, attempts=1) as client:
        await client.receive_message(QueueUrl="q")
        await client.receive_message(QueueUrl="q")

    first, again, later = [moment_of(request) for request, _ in stub.asked]
    assert again - first == pytest.approx(ahead, abs=30)
    assert later - first == pytest.approx(ahead, abs=30)
    assert all(verified(*one) for one in stub.asked)


async def test_a_clock_is_adjusted_once_a_call(stub, wire):
    now = time.time()
    stub.replies = [
        dated(refusal("RequestTimeTooSkewed"), now + HOUR),
        dated(refusal("RequestTimeTooSkewed"), now - HOUR),
    ]
    async with a_client(wire, attempts=1) as client:
        with pytest.raises(ClientError):
            await client.receive_message(QueueUrl="q")

    assert len(stub.asked) == 2


@pytest.mark.parametrize(
    ("code", "ahead"), [("SignatureDoesNotMatch", 200), ("AccessDeniedException", HOUR)]
)
async def test_a_refusal_for_another_reason_leaves_the_clock(stub, code, ahead, wire):
    stub.replies = [dated(refusal(code), time.time() + ahead)]
    async with a_client(wire, attempts=1) as client:
        with pytest.raises(ClientError):
            await client.receive_message(QueueUrl="q")

    assert len(stub.asked) == 1


@pytest.mark.parametrize("date", [None, "", "yesterday", "Mon, 99 Foo 2026 00:00:00 GMT"])
def test_a_date_that_cannot_be_read_changes_nothing(date):
    clock = Clock(lambda: 1000.0)
    headers = {} if date is None else {"date": date}
    error = ClientError(
        {"Error": {"Code": "RequestTimeTooSkewed"}, "ResponseMetadata": {"HTTPHeaders": headers}},
        "ReceiveMessage",
    )

    assert not clock.adjust_skew(error)
    assert clock.seconds() == 1000.0

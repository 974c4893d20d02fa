"""What is said to the four services, and how it is signed.

They all take JSON by POST, for which some values have no type, and differ in little.
https://smithy.io/2.0/aws/protocols/aws-json-1_0-protocol.html
"""

import hmac
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from hashlib import sha256
from typing import Any

import orjson
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import ClientError, HTTPClientError, ParamValidationError
from msgspec import Struct, field

from worker.clients.aws.wire.connection import Endpoint, SharedHeaders
from worker.clients.http_network import is_sendable

_TABLE_ITEMS = ("Item", "Attributes", "LastEvaluatedKey")
"""Members of DynamoDB's answers that hold one item; `Items` holds several."""

_MOMENTS = ("startDate", "CreationTime", "LastModifiedTime")


def encoded(parameters: Mapping[str, Any]) -> bytes:
    """Return the body of a call; ParamValidationError when something in it is not JSON."""
    try:
        return orjson.dumps(parameters, default=_jsonable, option=orjson.OPT_PASSTHROUGH_DATETIME)
    except orjson.JSONEncodeError as error:
        raise ParamValidationError(report=str(error)) from None


def unchanged(answer: dict[str, Any]) -> dict[str, Any]:
    """Return an answer that has no such values."""
    return answer


def queue_blobs_read(answer: dict[str, Any]) -> dict[str, Any]:
    """Decode the binary attributes of received messages, in place.

    One message of another shape must not cost those beside it, which are leased by now: what
    cannot be decoded is taken out, and judged by the reader of the message.
    """
    messages = answer.get("Messages")
    for message in messages if isinstance(messages, list) else ():
        if isinstance(message, dict) and "MessageAttributes" in message:
            _read_attributes(message["MessageAttributes"])
    return answer


def _read_attributes(attributes: Any) -> None:
    for attribute in attributes.values() if isinstance(attributes, dict) else ():
        if isinstance(attribute, dict) and "BinaryValue" in attribute:
            _read_blob(attribute)


def _read_blob(attribute: dict[str, Any]) -> None:
    try:
        attribute["BinaryValue"] = b64decode(attribute["BinaryValue"])
    except (TypeError, ValueError):
        del attribute["BinaryValue"]


def table_blobs_read(answer: dict[str, Any]) -> dict[str, Any]:
    """Decode the binary attributes of items, in place."""
    for member in _TABLE_ITEMS:
        _read_item(answer.get(member, {}))
    for item in answer.get("Items", ()):
        _read_item(item)
    return answer


def moments_read(answer: dict[str, Any]) -> dict[str, Any]:
    """Read seconds since the epoch as moments, in place."""
    for member in _MOMENTS:
        if member in answer:
            answer[member] = datetime.fromtimestamp(answer[member], UTC)
    return answer


def _read_item(item: dict[str, Any]) -> None:
    for attribute in item.values():
        _read_attribute(attribute)


def _read_attribute(attribute: dict[str, Any]) -> None:
    match attribute:
        case {"B": blob}:
            attribute["B"] = b64decode(blob)
        case {"BS": blobs}:
            attribute["BS"] = [b64decode(blob) for blob in blobs]
        case {"M": members}:
            _read_item(members)
        case {"L": members}:
            for member in members:
                _read_attribute(member)


def _jsonable(value: object) -> object:
    """Return what JSON can hold in place of a value that it cannot; orjson asks for those only."""
    match value:
        case bytes() | bytearray() | memoryview():
            return b64encode(value).decode()
        case datetime():
            # Without a zone it is UTC: so does the SDK, which cuts off fractions before 1.43.
            whole = int(value.replace(tzinfo=value.tzinfo or UTC, microsecond=0).timestamp())
            # Divided once, so rounded once.
            return (whole * 10**6 + value.microsecond) / 10**6 if value.microsecond else whole
    raise TypeError


Answer = dict[str, Any]


class Dialect(Struct, frozen=True, kw_only=True):
    """One service."""

    service: str
    """The name of its client."""

    signing_name: str
    target_prefix: str
    content_type: str = "application/x-amz-json-1.0"
    headers: Mapping[str, str] = field(default_factory=dict)
    """Sent with every request; lower case."""

    read: Callable[[Answer], Answer] = unchanged
    """Makes richer types of an answer, or of the fields of an error, in place."""


SQS = Dialect(
    service="sqs",
    signing_name="sqs",
    target_prefix="AmazonSQS",
    # Asks for the error codes of old, which the worker's rules and the SDK's clients know.
    headers={"x-amzn-query-mode": "true"},
    read=queue_blobs_read,
)
DYNAMODB = Dialect(
    service="dynamodb",
    signing_name="dynamodb",
    target_prefix="DynamoDB_20120810",
    read=table_blobs_read,
)
STEP_FUNCTIONS = Dialect(
    service="stepfunctions",
    signing_name="states",
    target_prefix="AWSStepFunctions",
    read=moments_read,
)
EVENTS = Dialect(
    service="events",
    signing_name="events",
    target_prefix="AWSEvents",
    content_type="application/x-amz-json-1.1",
    read=moments_read,
)


def dialect_of(service: str) -> Dialect | None:
    """Return how to speak to a service; None for those that are the SDK's."""
    known = (SQS, DYNAMODB, STEP_FUNCTIONS, EVENTS)
    return next((dialect for dialect in known if dialect.service == service), None)


# From here on: Signature Version 4 of the one kind of request there is here, a POST of JSON without
# a query. botocore's signer copies the headers through `email.message`, thrice, and makes the key
# anew each time: nine tenths of what a signature costs. Tests hold the two to the same signatures.
# The time is the machine's, adjusted to the server's clock: AWS refuses those five minutes off.
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html

DATE = "x-amz-date"

TOLERATED_SECONDS = 240.0
"""Less than AWS's own five minutes; a difference that small is not why a signature was refused."""

REFUSED_CODES = frozenset(
    {
        "AuthFailure",
        "InvalidSignatureException",
        "RequestExpired",
        "RequestInTheFuture",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
    }
)
"""Codes that a wrong clock may be behind."""


class Clock:
    """The machine's clock, and how far the server's is before it."""

    def __init__(self, wall_clock: Callable[[], float] = time.time) -> None:
        self._wall_clock = wall_clock
        self._ahead_seconds = 0.0

    def seconds(self) -> float:
        """Return the time by the server's clock, as far as it is known; since the epoch."""
        return self._wall_clock() + self._ahead_seconds

    def adjust_skew(self, error: ClientError) -> bool:
        """Take over the server's time if ours may be why it refused; True when it was."""
        if error.response["Error"]["Code"] not in REFUSED_CODES:
            return False
        theirs = seconds_of(error.response["ResponseMetadata"]["HTTPHeaders"].get("date", ""))
        if theirs is None or abs(theirs - self.seconds()) <= TOLERATED_SECONDS:
            return False
        self._ahead_seconds = theirs - self._wall_clock()
        return True


@lru_cache(maxsize=4)
def seconds_of(date: str) -> float | None:
    """Return the moment of a `Date` header, since the epoch; None when it says none.

    Remembered: all replies within a second say the same.
    """
    try:
        moment = parsedate_to_datetime(date)
        # "-0000" is UTC too, and not the machine's own zone.
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ArithmeticError, LookupError, TypeError, ValueError):
        return None


class _Template(Struct, frozen=True):
    """What the requests of one operation have in common, while the credentials are the same."""

    shared: SharedHeaders
    before: bytes
    """Of the canonical request: up to the time."""

    after: bytes
    """From there to the hash of the body."""

    names: str
    """Of what is signed, as the signature lists them."""


class Signer:
    """Makes the headers of requests to one service."""

    def __init__(self, dialect: Dialect, endpoint: Endpoint) -> None:
        self._path = endpoint.path
        self._target_prefix = dialect.target_prefix
        self._fixed = {
            "content-type": dialect.content_type,
            "host": endpoint.host,
            **dialect.headers,
        }
        self._scope_end = f"/{endpoint.region}/{dialect.signing_name}/aws4_request"
        self._credentials: ReadOnlyCredentials | None = None
        """Whose templates and key are kept."""

        self._templates: dict[str, _Template] = {}
        self._scope = ""
        """Of the key that is kept: it is another one each day."""

        self._mac = hmac.new(b"", digestmod="sha256")
        """Copied for each signature: made anew, it would take three times as long."""

        self._second = -1
        self._moment = ""

    def sign(
        self, operation: str, body: bytes, credentials: ReadOnlyCredentials, seconds: float
    ) -> tuple[SharedHeaders, dict[str, str]]:
        """Return the headers of a request: those of the operation, and those of this one alone.

        `seconds`: since the epoch. Raises HTTPClientError for credentials that no header can hold.
        """
        if credentials != self._credentials:
            self._credentials, self._scope = credentials, ""
            self._templates.clear()
        template = self._templates.get(operation) or self._template(operation, credentials)
        if int(seconds) != self._second:
            self._second = int(seconds)
            self._moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(self._second))
        moment = self._moment
        scope = moment[:8] + self._scope_end
        if scope != self._scope:
            key = _signing_key(credentials.secret_key, scope)
            self._mac = hmac.new(key, digestmod="sha256")
            self._scope = scope
        canonical = b"%b%b%b%b" % (
            template.before,
            moment.encode(),
            template.after,
            sha256(body).hexdigest().encode(),
        )
        text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{sha256(canonical).hexdigest()}"
        mac = self._mac.copy()
        mac.update(text.encode())
        return template.shared, {
            "x-amz-date": moment,
            "authorization": f"AWS4-HMAC-SHA256 Credential={credentials.access_key}/{scope}, "
            f"SignedHeaders={template.names}, Signature={mac.hexdigest()}",
        }

    def _template(self, operation: str, credentials: ReadOnlyCredentials) -> _Template:
        headers = {**self._fixed, "x-amz-target": f"{self._target_prefix}.{operation}"}
        if credentials.token:
            headers["x-amz-security-token"] = credentials.token
        if not all(map(is_sendable, (credentials.access_key, *headers.values()))):
            raise HTTPClientError(error="the credentials hold what no header can")
        names = sorted((*headers, DATE))
        place = names.index(DATE)
        # Spaces are folded as the signer of AWS folds them.
        lines = [f"{name}:{' '.join(headers.get(name, '').split())}\n" for name in names]
        before = f"POST\n{self._path}\n\n{''.join(lines[:place])}{DATE}:"
        after = f"\n{''.join(lines[place + 1 :])}\n{';'.join(names)}\n"
        template = _Template(
            SharedHeaders(headers), before.encode(), after.encode(), ";".join(names)
        )
        self._templates[operation] = template
        return template


def _signing_key(secret: str, scope: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key

"""One call: signed, sent, read, and made again by the SDK's standard mode, rule by rule.

https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from http.client import responses
from itertools import count
from random import Random
from typing import Any
from zlib import crc32

import orjson
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import (
    BotoCoreError,
    ChecksumError,
    ClientError,
    ConnectionError,  # noqa: A004  botocore's own, not the built-in one
    ConnectTimeoutError,
    HTTPClientError,
    NoCredentialsError,
    ReadTimeoutError,
)
from botocore.retries.quota import RetryQuota
from botocore.retries.standard import (
    RetryQuotaChecker,
    ThrottledRetryableChecker,
    TransientRetryableChecker,
)

from worker.clients.aws.wire.connection import Transport
from worker.clients.aws.wire.protocol import Answer, Clock, Dialect, Signer, encoded
from worker.clients.http11_reply import Reply

# The SDK's own tables, by whatever release is installed; it has no public names for them.
THROTTLED_CODES = frozenset(ThrottledRetryableChecker._THROTTLED_ERROR_CODES)  # noqa: SLF001
TRANSIENT_CODES = frozenset(
    {
        *TransientRetryableChecker._TRANSIENT_ERROR_CODES,  # noqa: SLF001
        "ReplicatedWriteConflictException",  # DynamoDB's model calls it so
    }
)
TRANSIENT_STATUSES = frozenset(TransientRetryableChecker._TRANSIENT_STATUS_CODES)  # noqa: SLF001

COST: int = RetryQuotaChecker._RETRY_COST  # noqa: SLF001
TIMEOUT_COST: int = getattr(RetryQuotaChecker, "_TIMEOUT_RETRY_REQUEST", COST)
THROTTLED_COST: int = getattr(RetryQuotaChecker, "_THROTTLING_RETRY_COST", COST)
"""Older releases let a time-out cost more than other failures, newer ones let throttling cost less;
each knows one of the two names."""

REWARD = RetryQuotaChecker._NO_RETRY_INCREMENT  # noqa: SLF001
"""What a call that succeeds at once refunds."""

MOST_BACKOFF_SECONDS = 20.0

_NO_ANSWER = (ConnectionError, HTTPClientError, ChecksumError)
_TIMEOUTS = (ConnectTimeoutError, ReadTimeoutError)


class Attempts:
    """The attempts of one call."""

    def __init__(self, most: int, quota: RetryQuota, random: Callable[[], float]) -> None:
        """`quota`: of the client, so that a service that is down is not called thrice as often.

        `random`: from 0 to 1; spreads repetitions.
        """
        self.number = 1
        self.most = most
        self._quota = quota
        self._random = random
        self._cost = 0

    def metadata(self) -> dict[str, Any]:
        """Return what `ResponseMetadata` says of them."""
        metadata: dict[str, Any] = {"RetryAttempts": self.number - 1}
        return metadata | {"MaxAttemptsReached": True} if self.number >= self.most else metadata

    def pause_after(self, error: ClientError | BotoCoreError) -> float | None:
        """Return the seconds until the next attempt; None when there shall be none."""
        if self.number >= self.most or not _is_transient(error):
            return None
        cost = _cost_of(error)
        if not self._quota.acquire(cost):
            return None
        self._cost = cost
        longest = min(2.0 ** (self.number - 1), MOST_BACKOFF_SECONDS)
        self.number += 1
        return self._random() * longest

    def succeeded(self) -> None:
        """Refund what the last repetition cost."""
        self._quota.release(self._cost or REWARD)


def _cost_of(error: ClientError | BotoCoreError) -> int:
    if isinstance(error, _TIMEOUTS):
        return TIMEOUT_COST
    throttled = isinstance(error, ClientError) and (
        error.response["Error"]["Code"] in THROTTLED_CODES
    )
    return THROTTLED_COST if throttled else COST


def _is_transient(error: ClientError | BotoCoreError) -> bool:
    if not isinstance(error, ClientError):
        return isinstance(error, _NO_ANSWER)
    code = error.response["Error"]["Code"]
    status = error.response["ResponseMetadata"]["HTTPStatusCode"]
    return code in THROTTLED_CODES or code in TRANSIENT_CODES or status in TRANSIENT_STATUSES


def answer_of(reply: Reply, dialect: Dialect, operation: str, attempts: Answer) -> Answer:
    """Return the answer with its `ResponseMetadata`, of which `attempts` are a part.

    Raises ClientError for what the service refuses, and HTTPClientError or ChecksumError for what
    no service wrote: the SDK would take a page of HTML with status 200 for an empty answer.
    """
    _check(reply)
    metadata: Answer = {"HTTPStatusCode": reply.status, **attempts}
    if request_id := reply.headers.get("x-amzn-requestid"):
        metadata["RequestId"] = request_id
    if reply.status >= 300:
        raise ClientError(_refusal(reply, dialect, metadata), operation)
    content = _json(reply.body) if reply.body else {}
    if not isinstance(content, dict):
        raise HTTPClientError(error="the reply is no JSON object")
    answer = _answer_read(
        dialect, {name: value for name, value in content.items() if value is not None}
    )
    if date := reply.headers.get("date"):
        # The one header that is read of an answer: the age of messages, by SQS's own clock.
        metadata["HTTPHeaders"] = {"date": date}
    answer["ResponseMetadata"] = metadata
    return answer


def _check(reply: Reply) -> None:
    """Refuse what is damaged, by DynamoDB's checksum, and what may be cut.

    A reply without a length ends where its connection does; cut, a refusal would lose its code. A
    part of an object is none, so that one that can be read is whole.
    """
    if reply.until_close and not isinstance(_json(reply.body), dict):
        raise HTTPClientError(error="the reply has no length, and is no whole JSON object")
    declared = reply.headers.get("x-amz-crc32")
    if declared is not None and declared != str(actual := crc32(reply.body)):
        raise ChecksumError(
            checksum_type="crc32", expected_checksum=declared, actual_checksum=str(actual)
        )


def _refusal(reply: Reply, dialect: Dialect, metadata: Answer) -> Answer:
    metadata["HTTPHeaders"] = {name.lower(): value for name, value in reply.headers.items()}
    if reply.status >= 500 and (not reply.body.strip() or reply.body.startswith(b"<html>")):
        error = {"Code": str(reply.status), "Message": responses.get(reply.status, "")}
        return {"Error": error, "ResponseMetadata": metadata}
    content = _json(reply.body)
    if not isinstance(content, dict):
        content = {"message": reply.body.decode(errors="replace")}
    message = content.get("message", content.get("Message", ""))
    error = {"Message": message, **_code(content, reply)}
    fields = {
        name: value for name, value in content.items() if name != "__type" and value is not None
    }
    return {**_answer_read(dialect, fields), "Error": error, "ResponseMetadata": metadata}


def _code(content: Answer, reply: Reply) -> dict[str, str]:
    code = str(content.get("__type", reply.status)).partition(":")[0].rpartition("#")[2]
    old, separator, blame = reply.headers.get("x-amzn-query-error", "").partition(";")
    if old and separator and ";" not in blame:
        return {"Code": old, "QueryErrorCode": code, "Type": blame}
    return {"Code": code}


def _answer_read(dialect: Dialect, fields: Answer) -> Answer:
    try:
        return dialect.read(fields)
    except (ArithmeticError, AttributeError, LookupError, OSError, TypeError, ValueError) as error:
        # Not of the model's shape. The kind of the error only: its text may quote a value.
        raise HTTPClientError(
            error=f"the reply has another shape ({type(error).__name__})"
        ) from None


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


Credentials = Callable[[], Awaitable[ReadOnlyCredentials | None]]
"""Asked before each attempt: those of a role are renewed on the way."""


class Invoker:
    """Calls the operations of one service."""

    def __init__(
        self,
        dialect: Dialect,
        signer: Signer,
        transport: Transport,
        credentials: Credentials,
        most_attempts: int,
    ) -> None:
        self._dialect = dialect
        self._signer = signer
        self._transport = transport
        self._credentials = credentials
        self._most_attempts = most_attempts
        self._quota = RetryQuota()
        self._clock = Clock()
        self._random = Random()  # noqa: S311  jitter, not secrets
        self._invocations = _invocations(self._random)

    async def call(self, operation: str, parameters: Mapping[str, Any]) -> Answer:
        """Return the answer. Raises ClientError and BotoCoreError, as the SDK's clients do."""
        body, invocation = encoded(parameters), next(self._invocations)
        attempts = Attempts(self._most_attempts, self._quota, self._random.random)
        adjusted = False
        while True:
            try:
                answer = await self._attempt(operation, body, invocation, attempts)
            except (ClientError, BotoCoreError) as error:
                # Once, and not as an attempt: nothing was tried but a wrong time.
                if not adjusted and isinstance(error, ClientError):
                    adjusted = self._clock.adjust_skew(error)
                    if adjusted:
                        continue
                pause = attempts.pause_after(error)
                if pause is None:
                    raise
            else:
                attempts.succeeded()
                return answer
            await asyncio.sleep(pause)

    async def _attempt(
        self, operation: str, body: bytes, invocation: str, attempts: Attempts
    ) -> Answer:
        credentials = await self._credentials()
        if credentials is None:
            raise NoCredentialsError
        shared, own = self._signer.sign(operation, body, credentials, self._clock.seconds())
        own["amz-sdk-invocation-id"] = invocation
        own["amz-sdk-request"] = f"attempt={attempts.number}; max={attempts.most}"
        reply = await self._transport.post(shared, own, body)
        return answer_of(reply, self._dialect, operation, attempts.metadata())


def _invocations(random: Random) -> Iterator[str]:
    """Yield ids in the form of random UUIDs, one for each call; they are no secret.

    The client's own digits, and a number: made at random each, they are 1 percent of a message.
    """
    digits = f"{random.getrandbits(80):020x}"
    client = f"{digits[:8]}-{digits[8:12]}-4{digits[12:15]}-a{digits[15:18]}-{digits[18:]}"
    for number in count():
        yield f"{client}{number:010x}"

"""What a reply says: an answer, or the ClientError that the SDK would have raised for it."""

from http.client import responses
from typing import Any
from zlib import crc32

import orjson
from botocore.exceptions import ChecksumError, ClientError, HTTPClientError

from worker.clients.aws.lean.dialects import Answer, Dialect
from worker.clients.aws.lean.transport import Reply


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
    answer = _read(dialect, {name: value for name, value in content.items() if value is not None})
    if date := reply.headers.get("date"):
        # The one header that is read of an answer: the age of messages, by SQS's own clock.
        metadata["HTTPHeaders"] = {"date": date}
    answer["ResponseMetadata"] = metadata
    return answer


def _check(reply: Reply) -> None:
    """DynamoDB sends a checksum; a reply that does not fit it is damaged."""
    told = reply.headers.get("x-amz-crc32")
    if told is not None and told != str(actual := crc32(reply.body)):
        raise ChecksumError(
            checksum_type="crc32", expected_checksum=told, actual_checksum=str(actual)
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
    return {**_read(dialect, fields), "Error": error, "ResponseMetadata": metadata}


def _code(content: Answer, reply: Reply) -> dict[str, str]:
    code = str(content.get("__type", reply.status)).partition(":")[0].rpartition("#")[2]
    old, separator, blame = reply.headers.get("x-amzn-query-error", "").partition(";")
    if old and separator and ";" not in blame:
        return {"Code": old, "QueryErrorCode": code, "Type": blame}
    return {"Code": code}


def _read(dialect: Dialect, fields: Answer) -> Answer:
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

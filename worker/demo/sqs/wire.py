"""SQS's JSON protocol: requests in, answers and errors out.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-json-api-responses.html
"""

import socket
import struct
from typing import Any
from uuid import uuid4

import orjson
from aiohttp import web

from worker.demo.sqs.errors import SqsError

_TARGET_PREFIX = "AmazonSQS."
_JSON = "application/x-amz-json-1.0"
_LINGER_ZERO = struct.pack("ii", 1, 0)


def read_action(request: web.BaseRequest) -> str:
    """Return the action asked for; empty when the request does not say."""
    target = request.headers.get("X-Amz-Target", "")
    return target.removeprefix(_TARGET_PREFIX) if target.startswith(_TARGET_PREFIX) else ""


def read_parameters(content: bytes) -> dict[str, Any]:
    """Return the JSON object of a request.

    Raises:
        SqsError: `SerializationException`, it is none.

    """
    try:
        parameters = orjson.loads(content or b"{}")
    except orjson.JSONDecodeError as error:
        raise SqsError("SerializationException", "The body is not JSON.") from error
    if not isinstance(parameters, dict):
        raise SqsError("SerializationException", "The body is not a JSON object.")
    return parameters


def answer(content: dict[str, Any]) -> web.Response:
    """Return the HTTP response of a call that went well."""
    return _respond(200, content, {})


def error_answer(error: SqsError) -> web.Response:
    """Return the HTTP response of an error, with the code older clients look for."""
    blame = "Sender" if error.sender_fault else "Receiver"
    content = {"__type": error.type, "message": error.message}
    return _respond(error.status, content, {"x-amzn-query-error": f"{error.code};{blame}"})


def reset(request: web.BaseRequest) -> web.Response:
    """Reset the connection; the response returned is written to nobody."""
    if request.transport is not None:
        connection = request.transport.get_extra_info("socket")
        # Without this the client would see an orderly end instead of a reset.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
        request.transport.abort()
    return web.Response(status=500)


def _respond(status: int, content: dict[str, Any], headers: dict[str, str]) -> web.Response:
    return web.Response(
        status=status,
        body=orjson.dumps(content),
        headers={"Content-Type": _JSON, "x-amzn-RequestId": str(uuid4()), **headers},
    )

"""SQS's JSON protocol: requests in, answers and errors out.

https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-json-api-responses.html
"""

import asyncio
import socket
import struct
from typing import Any
from uuid import uuid4

import orjson
from aiohttp import web

from worker.emulators.sqs.errors import SqsError
from worker.emulators.sqs.faults import Drip

_TARGET_PREFIX = "AmazonSQS."
_JSON = "application/x-amz-json-1.0"
LOOK_SECONDS = 0.1
"""How soon it is noticed that a client hung up."""

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


def answer(content: dict[str, Any] | str) -> web.Response:
    """Return the HTTP response of a call that went well, of an object or of a text as it is."""
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


async def drip(request: web.BaseRequest, response: web.Response, slowly: Drip) -> web.Response:
    """Write the response byte by byte, as long as the client listens; return one for nobody."""
    body = response.body if isinstance(response.body, bytes) else b""
    lines = [f"HTTP/1.1 {response.status} {response.reason}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in response.headers.items()]
    head = "\r\n".join((*lines, "", "")).encode()
    at_once, rest = (b"", head + body) if slowly.head else (head, body)
    if (transport := request.transport) is not None:
        transport.write(at_once)
        for byte in rest:
            if transport.is_closing():
                break
            transport.write(bytes((byte,)))
            await asyncio.sleep(slowly.seconds)
        transport.close()
    return web.Response(status=500)


async def silence(request: web.BaseRequest) -> web.Response:
    """Answer nothing until the client hangs up; return a response for nobody."""
    while (transport := request.transport) is not None and not transport.is_closing():  # noqa: ASYNC110
        await asyncio.sleep(LOOK_SECONDS)
    return web.Response(status=500)


def _respond(status: int, content: dict[str, Any] | str, headers: dict[str, str]) -> web.Response:
    return web.Response(
        status=status,
        body=content.encode() if isinstance(content, str) else orjson.dumps(content),
        headers={"Content-Type": _JSON, "x-amzn-RequestId": str(uuid4()), **headers},
    )

"""AWS but for SQS: moto in server mode, in a thread of this process."""

import logging
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, nullcontext
from threading import Lock, Thread
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import httpx
from moto.core.config import default_user_config
from moto.moto_server.werkzeug_app import (
    DomainDispatcherApplication,
    MotoRequestHandler,
    create_backend_app,
)
from moto.stepfunctions.parser.api import InvalidExecutionInput
from werkzeug.serving import BaseWSGIServer, make_server

from worker.emulators import FREE_PORT, Address

RESET_SECONDS = 60
"""The first call imports much of moto: on a busy machine longer than httpx's five seconds."""


@contextmanager
def moto_server(address: Address = FREE_PORT) -> Iterator[str]:
    """Serve DynamoDB, Step Functions, EventBridge and S3; yield the endpoint's URL.

    Raises OSError where the port is taken.
    """
    _set_up()
    server = _bound(address)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        url = address.url(server.server_address[1])
        # moto keeps its state in module globals: a second server would inherit the first one's.
        reset = httpx.post(f"{url}/moto-api/reset", timeout=RESET_SECONDS, trust_env=False)
        reset.raise_for_status()
        yield url
    finally:
        server.shutdown()
        thread.join()


def _set_up() -> None:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    # Otherwise an execution never ends, and a used name is taken for a new one.
    default_user_config["stepfunctions"] = {"execute_state_machine": True}
    # moto 5.2 refuses an input that is not JSON without saying so: the code is under another name.
    InvalidExecutionInput.TYPE = "InvalidExecutionInput"


def _bound(address: Address) -> BaseWSGIServer:
    # Not moto's ThreadedMotoServer: it binds in its thread and waits for ever if that fails.
    # werkzeug ends the whole process where the port is taken.
    socket.create_server((address.host, address.port)).close()
    app = _one_at_a_time(DomainDispatcherApplication(create_backend_app))
    return make_server(
        address.host, address.port, app, threaded=True, request_handler=MotoRequestHandler
    )


def _one_at_a_time(app: WSGIApplication) -> WSGIApplication:
    """Serve StartExecution, DynamoDB and Kinesis under a lock each, as they are atomic in AWS.

    moto 5.2 looks for a name and adds the execution in two steps of its threads: of calls at the
    same time several began one, or met a half-made one and were answered 500. So it does with the
    condition of a write, and a query fails beside a write. Two records put into a stream at once
    got one sequence number, and the first was gone.
    """
    names = ("AWSStepFunctions.StartExecution", "DynamoDB_20120810", "Kinesis_20131202")
    locks = {name: Lock() for name in names}

    def serve(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        target = environ.get("HTTP_X_AMZ_TARGET", "")
        lock = locks.get(target) or locks.get(target.partition(".")[0])
        with lock or nullcontext():
            return app(environ, start_response)

    return serve

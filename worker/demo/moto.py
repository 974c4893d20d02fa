"""AWS but for SQS: moto in server mode, in a thread of this process."""

import logging
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from moto.core.config import default_user_config
from moto.server import ThreadedMotoServer

from worker.demo.loopback import ANYWHERE, Place


@contextmanager
def moto_server(place: Place = ANYWHERE) -> Iterator[str]:
    """Serve DynamoDB, Step Functions, EventBridge and S3; yield the endpoint's URL.

    Step Functions in execution mode: otherwise an execution never ends, and a used name is taken
    for a new one.
    """
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    default_user_config["stepfunctions"] = {"execute_state_machine": True}
    # moto would wait for ever for a server that found its port taken.
    socket.create_server((place.host, place.port)).close()
    server = ThreadedMotoServer(ip_address=place.host, port=place.port, verbose=False)
    server.start()
    try:
        url = place.url(server.get_host_and_port()[1])
        # moto keeps its state in module globals: a second server would inherit the first one's.
        httpx.post(f"{url}/moto-api/reset").raise_for_status()
        yield url
    finally:
        server.stop()

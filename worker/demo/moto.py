"""AWS but for SQS: moto in server mode, in a thread of this process."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
from moto.core.config import default_user_config
from moto.server import ThreadedMotoServer


@contextmanager
def moto_server() -> Iterator[str]:
    """Serve DynamoDB, Step Functions, EventBridge and S3 on loopback; yield the endpoint's URL.

    Step Functions in execution mode: otherwise an execution never ends, and a used name is taken
    for a new one.
    """
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    default_user_config["stepfunctions"] = {"execute_state_machine": True}
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        url = f"http://{host}:{port}"
        # moto keeps its state in module globals: a second server would inherit the first one's.
        httpx.post(f"{url}/moto-api/reset").raise_for_status()
        yield url
    finally:
        server.stop()

"""moto and its clients without what costs each test a second and shows nothing.

Import the fixture where tests open the whole environment.
"""

from contextlib import ExitStack
from functools import cache, partial, partialmethod
from types import SimpleNamespace
from unittest.mock import patch

import aioboto3
import httpx
import pytest
from moto import backends
from moto.dynamodb.models.table import Table
from werkzeug.serving import BaseWSGIServer

LOOK_SECONDS = 0.02
"""How often moto's server looks whether it is to end; its own half a second is waited for."""


@pytest.fixture(scope="session", autouse=True)
def quick_aws():
    """Share what is the same in each test, and let a query read the items of its key alone."""
    modules = tuple(backends.list_of_moto_modules())  # of each request: it lists a folder
    serve = partialmethod(BaseWSGIServer.serve_forever, poll_interval=LOOK_SECONDS)
    untrusting = partial(httpx.post, verify=False)
    session = SimpleNamespace(Session=cache(aioboto3.Session))
    with ExitStack() as stack:
        for patched in (
            patch("moto.backends.list_of_moto_modules", lambda: modules),
            patch.object(BaseWSGIServer, "serve_forever", serve),
            patch.object(Table, "query", _query),
            # The fixtures' clients alone, whose keys and region are given.
            patch("worker.demo.environment.aioboto3", session),
            # Loopback has no TLS. To load the public authorities takes 50 ms a client.
            patch("aiobotocore.httpsession.get_cert_path", lambda _: None),
            patch("worker.emulators.moto.httpx", SimpleNamespace(post=untrusting)),
        ):
            stack.enter_context(patched)
        yield


_query_all = Table.query
_INDEX = 6
"""Where the name of an index stands after the key."""


def _query(table, hash_key, *more, **named):
    """Query the items of the key only: moto compares it with that of every item, and sorts.

    The server takes one call of DynamoDB at a time.
    """
    if more[_INDEX] is not None:  # its keys are other attributes
        return _query_all(table, hash_key, *more, **named)
    items = table.items
    table.items = {hash_key: items[hash_key]} if hash_key in items else {}
    try:
        return _query_all(table, hash_key, *more, **named)
    finally:
        table.items = items

from functools import partial

import pytest

from worker.clients import http_transport
from worker.clients.http_by_aiohttp import ProxiedConnections


@pytest.fixture(scope="module", params=["own", "aiohttp"])
def each_transport(request):
    """The connections of an HttpClient: its own, and those it has behind a proxy."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "aiohttp":
            behind = partial(ProxiedConnections, proxy=None)
            patch.setattr(http_transport, "OwnConnections", behind)
        yield

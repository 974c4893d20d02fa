"""A client of the SDK is made by its first call: until then its model is not read."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from tests.support.s3 import a_client
from worker.clients.aws.session import LateClient


class Sdk:
    """Clients as the SDK makes them: each may be entered once."""

    def __init__(self, *faults):
        self.made = 0
        self.closed = 0
        self._faults = list(faults)

    @asynccontextmanager
    async def create(self):
        self.made += 1
        if self._faults:
            await self._faults.pop(0)()
        yield self
        self.closed += 1

    async def get_object(self, **parameters):
        return parameters


async def refuse():
    raise ValueError("Invalid endpoint")


async def hang():
    await asyncio.Event().wait()


@pytest.fixture
def late():
    return lambda sdk: LateClient(sdk.create)


async def test_the_sdks_client_is_made_by_the_first_calls_together_and_closed_at_the_end(late):
    sdk = Sdk()

    async with late(sdk) as client:
        assert sdk.made == 0
        replies = await asyncio.gather(client.get_object(Key="a"), client.get_object(Key="b"))

    assert replies == [{"Key": "a"}, {"Key": "b"}]
    assert (sdk.made, sdk.closed) == (1, 1)


async def test_one_that_could_not_be_made_is_made_anew_by_the_next_call(late):
    sdk = Sdk(refuse)

    async with late(sdk) as client:
        with pytest.raises(ValueError, match="Invalid endpoint"):
            await client.get_object()

        assert await client.get_object(Key="a") == {"Key": "a"}


async def test_a_call_that_is_cancelled_meanwhile_leaves_the_next_one_its_own(late):
    sdk = Sdk(hang)

    async with late(sdk) as client:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.get_object(), 0.01)

        assert await client.get_object(Key="a") == {"Key": "a"}


async def test_one_that_was_never_called_is_not_made():
    async with a_client() as client:
        assert client._opened is None

"""Credentials are looked up and renewed beside the event loop, once for all clients."""

import asyncio
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from threading import Event
from types import SimpleNamespace

import pytest
from botocore.credentials import Credentials, RefreshableCredentials
from botocore.exceptions import CredentialRetrievalError
from botocore.session import Session

from tests.support.aws_stub import REGION
from worker.clients.aws.session import AwsSession, ChainCredentials, ClientLimits

FRESH = timedelta(hours=1)
IN_PASSING = timedelta(minutes=12)
"""Time left at which the SDK renews what is about to end, and goes on with it meanwhile."""

AT_ONCE = timedelta(minutes=5)
"""Time left at which nothing is signed any more with what is about to end."""

LATE_SECONDS = 0.2


class Role:
    """Gives credentials: `key-0`, and `key-1`, `key-2` … when they are renewed."""

    def __init__(self):
        self.asked = 0
        self.fault = None
        self.answers = Event()
        self.answers.set()
        self.found = RefreshableCredentials("key-0", "s", "t", None, self._renew, "role")
        self.lasts(FRESH)

    def lasts(self, time):
        self.found._expiry_time = datetime.now(UTC) + time

    def _renew(self):
        self.asked += 1
        number = self.asked
        self.answers.wait()
        if self.fault:
            raise self.fault
        ends = datetime.now(UTC) + FRESH
        keys = {"access_key": f"key-{number}", "secret_key": "s", "token": "t"}
        return keys | {"expiry_time": ends.isoformat()}


@pytest.fixture
def role():
    role = Role()
    yield role
    role.answers.set()


async def chained(found):
    chain = Session()
    provider = SimpleNamespace(load_credentials=lambda: found)
    chain.register_component("credential_provider", provider)
    credentials = ChainCredentials(chain)
    await credentials.look_up()
    return credentials


async def key_of(credentials, seconds=5.0):
    return (await credentials.kept(seconds)).keys.access_key


async def renewed(credentials):
    await asyncio.wait([asyncio.wrap_future(credentials._under_way)])


async def test_credentials_that_last_are_given_without_a_thread(role, monkeypatch):
    lasting, endless = await chained(role.found), await chained(Credentials("key", "s"))
    monkeypatch.delattr("worker.clients.aws.session.Thread")

    assert [await key_of(lasting), await key_of(endless)] == ["key-0", "key"]
    assert role.asked == 0


async def test_without_credentials_there_are_none_and_they_are_looked_for_again():
    found = []
    chain = SimpleNamespace(get_credentials=lambda: found[0] if found else None)
    credentials = ChainCredentials(chain)

    assert await credentials.look_up() is None
    assert await credentials.kept(5) is None
    found.append(Credentials("key", "s"))
    assert await credentials.look_up() is found[0]
    assert await key_of(credentials) == "key"


async def test_clients_that_open_together_look_for_credentials_once(role):
    asked = []

    def look_up():
        asked.append(1)
        role.answers.wait()
        return role.found

    role.answers.clear()
    credentials = ChainCredentials(SimpleNamespace(get_credentials=look_up))
    opening = [asyncio.create_task(credentials.look_up()) for _ in range(3)]
    await asyncio.sleep(0)
    role.answers.set()

    assert await asyncio.gather(*opening) == [role.found] * 3
    assert len(asked) == 1


async def test_credentials_are_renewed_in_passing_before_their_end(role):
    credentials = await chained(role.found)
    role.answers.clear()
    role.lasts(IN_PASSING)

    assert [await key_of(credentials) for _ in range(3)] == ["key-0"] * 3
    role.answers.set()
    await renewed(credentials)
    assert await key_of(credentials) == "key-1"
    assert role.asked == 1


async def test_the_end_of_credentials_is_checked_every_second(role, monkeypatch):
    credentials = await chained(role.found)
    now = [1000.0]
    monkeypatch.setattr("worker.clients.aws.session.monotonic", lambda: now[0])
    assert await key_of(credentials) == "key-0"
    role.lasts(AT_ONCE)

    keys = []
    for seconds in (0.9, 0.2):
        now[0] += seconds
        keys.append(await key_of(credentials))
    assert keys == ["key-0", "key-1"]


async def test_a_renewal_in_passing_that_fails_leaves_what_there_is_and_is_tried_again(role):
    credentials = await chained(role.found)
    role.fault = OSError("no route")
    role.lasts(IN_PASSING)

    for tries in (1, 2):
        assert await key_of(credentials) == "key-0"
        await renewed(credentials)
        assert role.asked == tries


async def test_calls_at_the_end_of_credentials_wait_for_one_renewal(role):
    credentials = await chained(role.found)
    role.answers.clear()
    role.lasts(AT_ONCE)

    calls = [asyncio.create_task(key_of(credentials)) for _ in range(5)]
    done, _ = await asyncio.wait(calls, timeout=LATE_SECONDS)
    assert not done
    role.answers.set()

    assert await asyncio.gather(*calls) == ["key-1"] * 5
    assert role.asked == 1


async def test_a_renewal_outlives_the_call_that_began_it(role):
    credentials = await chained(role.found)
    role.answers.clear()
    role.lasts(AT_ONCE)

    first, second = (asyncio.create_task(key_of(credentials)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first])
    role.answers.set()

    assert await second == "key-1"
    assert role.asked == 1


async def test_a_renewal_that_fails_at_the_end_is_the_failure_of_its_calls(role):
    credentials = await chained(role.found)
    role.fault = CredentialRetrievalError(provider="role", error_msg="refused")
    role.lasts(AT_ONCE)

    for tries in (1, 2):
        with pytest.raises(CredentialRetrievalError, match="refused"):
            await key_of(credentials)
        assert role.asked == tries


async def test_a_renewal_without_end_ends_each_call_as_late_and_is_not_begun_again(role):
    credentials = await chained(role.found)
    role.answers.clear()
    role.lasts(AT_ONCE)

    for _ in range(3):
        with pytest.raises(CredentialRetrievalError, match="no answer"):
            await key_of(credentials, LATE_SECONDS)
    assert role.asked == 1


async def test_a_client_whose_credentials_are_renewed_for_ever_fails_as_late(stub, wire, role):
    role.answers.clear()
    role.lasts(AT_ONCE)
    session = AwsSession(transport=wire, region=REGION)
    session._chain._credentials = role.found
    limits = ClientLimits(pool=1, read_seconds=5, attempts=1, total_seconds=LATE_SECONDS)
    async with session.client("sqs", limits) as client:
        with pytest.raises(CredentialRetrievalError, match="no answer"):
            await client.receive_message(QueueUrl="q")

    assert not stub.asked


HANGS = """
import asyncio
from threading import Event
from types import SimpleNamespace
from worker.clients.aws.session import ChainCredentials

async def main():
    chain = SimpleNamespace(get_credentials=Event().wait)
    try:
        await asyncio.wait_for(ChainCredentials(chain).look_up(), 0.1)
    except TimeoutError:
        print("late")

asyncio.run(main())
"""


def test_a_look_up_that_hangs_does_not_hold_up_the_end_of_the_process():
    done = subprocess.run(  # noqa: S603  our own command
        [sys.executable, "-c", HANGS], capture_output=True, text=True, timeout=60, check=True
    )

    assert (done.stdout, done.stderr) == ("late\n", "")

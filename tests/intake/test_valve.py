"""While an upstream may be back, one message finds out, wherever it comes from."""

import asyncio

import pytest

from worker.intake.valve import LOOK_SECONDS, Valve, Verdict


@pytest.fixture
def valve():
    return Valve(lambda: Verdict("probe", "half-open"))


class Poller:
    """Holds what it may receive until it is told to go on."""

    def __init__(self, valve, in_hand=0):
        self.may = None
        self.go_on = asyncio.Event()
        self.task = asyncio.create_task(self._ask(valve, in_hand))

    async def _ask(self, valve, in_hand):
        async with valve.receive(10, lambda: in_hand) as self.may:
            await self.go_on.wait()


@pytest.mark.looptime
async def test_of_two_pollers_one_asks_for_one_message(valve):
    first, second = Poller(valve), Poller(valve)
    await asyncio.sleep(10 * LOOK_SECONDS)

    assert (first.may, second.may) == (1, None)

    first.go_on.set()
    await asyncio.sleep(2 * LOOK_SECONDS)
    assert second.may == 1
    second.go_on.set()
    await second.task


@pytest.mark.looptime
async def test_nothing_is_asked_for_while_a_message_in_hand_can_find_out(valve):
    poller = Poller(valve, in_hand=1)
    await asyncio.sleep(10 * LOOK_SECONDS)

    assert poller.may is None

    valve.stop()
    poller.go_on.set()
    await poller.task
    assert poller.may == 0


@pytest.mark.looptime
async def test_nothing_is_asked_for_while_a_probe_runs(valve):
    async with valve.run():
        poller = Poller(valve)
        await asyncio.sleep(10 * LOOK_SECONDS)
        assert poller.may is None

    await asyncio.sleep(2 * LOOK_SECONDS)
    assert poller.may == 1
    poller.go_on.set()
    await poller.task

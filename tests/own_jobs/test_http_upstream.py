"""A job that calls an HTTP endpoint: the example of worker/jobs/README.md, as it stands there."""

import os
import re

from tests.own_jobs.conftest import ROOT
from worker.emulators import WebhookSink
from worker.testing import an_event, run_worker

EXAMPLE = re.search(
    r"```python\n(.+?)```", (ROOT / "worker" / "jobs" / "README.md").read_text(), re.DOTALL
)[1]
FAST = {"BREAKER_OPEN_SECONDS": "0.2", "BREAKER_MAX_OPEN_SECONDS": "0.5", "BREAKER_MIN_CALLS": "3"}
ORDERS = 12


def orders_of(deliveries):
    return {one.body["order"] for one in deliveries}


async def test_messages_wait_while_its_endpoint_is_down_and_none_is_dead_lettered(
    a_distribution, emulators, monkeypatch
):
    site = a_distribution("stock", EXAMPLE)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), str(ROOT)]))
    async with WebhookSink() as stock:
        stock.status = 503
        async with run_worker(emulators, HANDLERS="stock", STOCK_URL=stock.url, **FAST):
            for number in range(ORDERS):
                emulators.put(an_event("order.placed", {"number": number}))
            await emulators.sqs.wait_until(lambda: len(stock.deliveries) > 3, 30)
            assert emulators.waiting() == ORDERS
            stock.status = 204
            # Not all: a message that failed as a probe is deferred for a minute.
            await stock.wait_for(lambda taken: len(orders_of(taken)) >= ORDERS // 2, seconds=150)

    assert len(orders_of(stock.taken)) == len(stock.taken) == ORDERS - emulators.waiting()
    assert sum(emulators.sqs.depth(emulators.dead_letter_url)) == 0

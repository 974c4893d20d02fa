"""An upstream on loopback, a process of its own: cheap, so that its callers are the limit.

`python -m tests.benchmarks.upstream KIND SECONDS` writes its URL on a line and serves until its
stdin ends; each answer takes so long. The kinds are those of `ANSWERS`.
"""

import asyncio
import itertools
import sys
from collections.abc import Callable

import uvloop

from tests.benchmarks.analytics import analytics
from tests.benchmarks.server.http import Connection, Exchange
from tests.benchmarks.tables import Refused, dynamodb

Answer = Callable[[str, bytes], bytes]
"""Target (or path) and body of a request → body of the reply. Raises Refused."""

CUSTOMER = (
    b'{"accountId":"A-1042","tier":"gold","ltv":1003.5,"segment":"retail","language":"en-GB",'
    b'"openTickets":2,"lastContact":"2026-02-27T09:14:03.120Z","consent":true,'
    b'"preferredChannel":"voice","accountManager":"a7c1f9d2-0000-4000-8000-000000000042"}'
)
"""About as large as what data actions answer."""

TOKEN = b'{"access_token":"bench","token_type":"bearer","expires_in":86400}'
FORM = b"grant_type="
CONVERSATION = (
    b'{"id":"10000000-0000-4000-8000-000000000001","startTime":"2026-03-02T10:00:00.000Z",'
    b'"participants":[{"id":"p1","purpose":"customer","address":"tel:+1%d",'
    b'"startTime":"2026-03-02T10:00:00.000Z"},{"id":"p2","purpose":"agent"}]}'
)


def data_action() -> Answer:
    """Return the answers of a data action that knows everyone, and of a token host."""
    return lambda _, body: TOKEN if body.startswith(FORM) else CUSTOMER


def genesys() -> Answer:
    """Return the answers of a Genesys Cloud: token, live conversations, data action.

    Each conversation that is asked for has a customer with a number of his own. What is asked is
    reported by the body alone: a conversation is a request without one.
    """
    numbers = itertools.count(5550000000)

    def answer(_target: str, body: bytes) -> bytes:
        if not body:
            return CONVERSATION % next(numbers)
        return TOKEN if body.startswith(FORM) else CUSTOMER

    return answer


ANSWERS: dict[str, Callable[[], Answer]] = {
    "action": data_action,
    "analytics": analytics,
    "genesys": genesys,
    "dynamodb": dynamodb,
}


async def serve(kind: str, seconds: float) -> None:
    """Serve until no one holds the other end of stdin."""
    loop, answer = asyncio.get_running_loop(), ANSWERS[kind]()

    def reply(exchange: Exchange) -> None:
        try:
            asked = exchange.target or exchange.path
            exchange.answer(answer(asked, exchange.body), delay_seconds=seconds)
        except Refused as refused:
            exchange.answer(refused.content, status=400, delay_seconds=seconds)

    listening = await loop.create_server(lambda: Connection(reply), "127.0.0.1", 0)
    sys.stdout.write(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.read)
    listening.close()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(sys.argv[1], float(sys.argv[2])))

"""Analytics on loopback, by pages of the query and by jobs: each day has the same conversations.

Their pages are made once, and a page costs two copies. The emulator makes each conversation when it
is asked for, which takes longer than reading it.
"""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from functools import cache

import orjson

from worker.emulators.genesys.history import MadeUp, as_platform

PER_DAY = 20_000
AGENTS = 1_000
QUEUES = tuple(f"9e000000-0000-4000-8000-{number:012}" for number in range(3))
FIRST, FIRST_MS = date(2026, 3, 1), 1_772_323_200_000
QUERY_PAGE, JOB_PAGE = 100, 1_000

TOKEN = b'{"access_token":"bench","token_type":"bearer","expires_in":86400}'
AVAILABLE = b'{"dataAvailabilityDate":"2100-01-01T00:00:00Z"}'
FULFILLED = b'{"state":"FULFILLED"}'
THIS_DAY, NEXT_DAY = b"@@@@-@@-@1T", b"@@@@-@@-@2T"
_PART = re.compile(
    r"/jobs/[0-9a-f-]{24}(\d{4})(\d\d)(\d\d)\d{4}(?:/results\?[^&]*(?:&cursor=(\d+))?)?"
)


def conversations(first: int, count: int) -> bytes:
    """Return some of the first day's, as a JSON list."""
    past = MadeUp(PER_DAY, first_ms=FIRST_MS, step_ms=86_400_000 // PER_DAY, queues=QUEUES)
    users = (f"05000000-0000-4000-8000-{n % AGENTS:012}" for n in range(first, first + count))
    made = zip(past[first : first + count], users, strict=True)
    return orjson.dumps([as_platform(replace(one, user_id=user)) for one, user in made])


@cache
def _template(number: int, size: int) -> bytes:
    listed = conversations((number - 1) * size, size)
    after = FIRST + timedelta(1)
    return listed.replace(_at(FIRST), THIS_DAY).replace(_at(after), NEXT_DAY)


def _at(day: date) -> bytes:
    return f"{day}T".encode()


def _page(day: date, number: int, size: int) -> bytes:
    page = _template(number, size).replace(THIS_DAY, _at(day))
    return page.replace(NEXT_DAY, _at(day + timedelta(1)))


def analytics() -> Callable[[str, bytes], bytes]:
    """Return what answers for the token, the query and the jobs."""
    for number in range(PER_DAY // JOB_PAGE):
        _template(number + 1, JOB_PAGE)
    for number in range(PER_DAY // QUERY_PAGE):
        _template(number + 1, QUERY_PAGE)

    def answer(path: str, body: bytes) -> bytes:
        if "/jobs" in path:
            return _of_jobs(path, body)
        if not body.startswith(b"{"):
            return TOKEN
        asked = orjson.loads(body)
        number, day = asked["paging"]["pageNumber"], date.fromisoformat(asked["interval"][:10])
        page = _page(day, number, QUERY_PAGE)
        return b'{"totalHits":%d,"conversations":%b}' % (PER_DAY, page)

    return answer


def _of_jobs(path: str, body: bytes) -> bytes:
    if body:
        day = orjson.loads(body)["interval"][:10].replace("-", "")
        return b'{"jobId":"00000000-0000-4000-8000-%b0000"}' % day.encode()
    if (asked := _PART.search(path)) is None:
        return AVAILABLE
    if "/results" not in path:
        return FULFILLED
    number = int(asked[4] or 1)
    page = _page(date(*map(int, asked.group(1, 2, 3))), number, JOB_PAGE)
    more = b',"cursor":"%d"' % (number + 1) if number * JOB_PAGE < PER_DAY else b""
    return b'{"conversations":%b%b}' % (page, more)

"""What every Python contestant does with a message: nothing, or a wait, with a note in a file.

Imported by programs in several environments, so it needs the standard library only.
"""

import asyncio
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager

ENDPOINT = os.environ.get("BENCH_ENDPOINT", "")
QUEUE_URL = os.environ.get("BENCH_QUEUE_URL", "")
QUEUE = QUEUE_URL.rpartition("/")[2]
CONCURRENCY = int(os.environ.get("BENCH_CONCURRENCY", "64"))

SECONDS = float(os.environ.get("BENCH_SECONDS", "0"))
"""Length of the work on a message."""

SLOW_SECONDS = float(os.environ.get("BENCH_SLOW_SECONDS", "0"))
"""Length of the work on message 0, if it is another."""

NOTES = os.environ.get("BENCH_NOTES")
"""File that takes a line when work begins and one when it ends, with the time; none without."""

NUMBER = re.compile(r"-4000-8000-(\d{12})")
"""In the id of an event."""

NO_OP = not (SECONDS or SLOW_SECONDS or NOTES)

_notes = os.open(NOTES, os.O_WRONLY | os.O_APPEND | os.O_CREAT) if NOTES else None


def work(text: str) -> None:
    """Work on the message that holds this event, in a thread of its own or alone."""
    if NO_OP:
        return
    with _noted(text) as seconds:
        time.sleep(seconds)


async def work_async(text: str) -> None:
    """Work on the message that holds this event, beside others."""
    if NO_OP:
        return
    with _noted(text) as seconds:
        await asyncio.sleep(seconds)


@contextmanager
def _noted(text: str) -> Iterator[float]:
    """Note begin and end; give the seconds of work in between. No end is noted on an error."""
    found = NUMBER.search(text)
    number = int(found[1]) if found else -1
    _note("begin", number)
    yield SLOW_SECONDS or SECONDS if number == 0 else SECONDS
    _note("end", number)


def _note(what: str, number: int) -> None:
    if _notes is not None:  # one short write with O_APPEND: whole lines, any process writes
        os.write(_notes, f"{what} {number} {time.monotonic()}\n".encode())


def events() -> list[str]:
    """Return the events that a producer sends, one a line of the file named to it."""
    with open(os.environ["BENCH_EVENTS"], encoding="utf-8") as lines:  # noqa: PTH123  needs no path
        return lines.read().splitlines()

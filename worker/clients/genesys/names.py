"""Names of queues, users, divisions and wrap-up codes by id: many in one request, remembered.

The lists of the platform take ids as a filter, and leave out what they do not know or what is of a
division the client may not see: README.md, "Names". Analytics has ids only.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import Any

from worker.clients.genesys import wire
from worker.clients.genesys.api import Api, with_background_retry
from worker.clients.genesys.wire import Call
from worker.clients.http_types import Reply, Request
from worker.errors import WorkerError
from worker.events.fields import UUID
from worker.resilience import Batcher, Cache

LISTS: Mapping[str, tuple[str, str]] = {
    "queueId": ("/api/v2/routing/queues", ""),
    # Without a state only active users: one who left is still in the reports of last month.
    "userId": ("/api/v2/users", "&state=any"),
    "divisionId": ("/api/v2/authorization/divisions", ""),
    "wrapUpCode": ("/api/v2/routing/wrapupcodes", ""),
}
"""Path of the list, and the rest of its query, by the dimension of analytics."""

BATCH = 100
"""Ids of one request, and the size of a page: the most that all four lists are known to give."""

MOST = 2_000
"""Ids of one question that are asked for: twenty requests."""

LONGEST = 200
"""Characters of a name that are kept: a longer one is none that a person reads."""

_WAIT_SECONDS = 0.01
_JOINERS = {"\u200c", "\u200d"}  # not printable by themselves, and part of Persian words and emoji


class Names:
    """Asks after all live work, as a name is worth less than any event."""

    def __init__(self, api: Api, cache: Cache[bytes, str]) -> None:
        self._api = api
        self._cache = cache
        self._batchers: Mapping[str, Batcher[str, str | None]] = {
            dimension: Batcher(
                partial(self._listed, dimension), max_items=BATCH, max_wait_seconds=_WAIT_SECONDS
            )
            for dimension in LISTS
        }

    async def aclose(self) -> None:
        """End, and leave what is asked."""
        for batcher in self._batchers.values():
            await batcher.abandon()

    async def find(self, dimension: str, ids: Iterable[str], found: dict[str, str]) -> None:
        """Add the names of the ids to `found`, each as soon as it is there.

        What is no UUID has no name here, such as `ININ-WRAP-UP-TIMEOUT`. Raises the first failure
        when all answers are there; what was found by then stays.
        """
        wanted = islice(filter(UUID.fullmatch, dict.fromkeys(ids)), MOST)
        asked = (self._add(dimension, one, found) for one in wanted)
        answers = await asyncio.gather(*asked, return_exceptions=True)
        for failure in answers:
            if failure is not None:
                raise failure

    async def _add(self, dimension: str, identity: str, found: dict[str, str]) -> None:
        key = f"{dimension} {identity}".encode()
        submit = partial(self._batchers[dimension].submit, identity)
        name = (await self._cache.get(key, submit)).value
        if name is not None:
            found[identity] = name

    async def _listed(self, dimension: str, ids: Sequence[str]) -> list[str | Exception | None]:
        try:
            names = await with_background_retry(self._api, names_call(dimension, ids))
        except WorkerError as error:
            return [error] * len(ids)
        return [names.get(one.lower()) for one in ids]


def names_call(dimension: str, ids: Sequence[str]) -> Call[Mapping[str, str]]:
    """Ask for the names of up to `BATCH` ids, which are UUIDs; names by id in lower case."""
    path, more = LISTS[dimension]
    query = "&".join(f"id={one}" for one in ids)
    request = Request(
        method="GET", path=f"{path}?pageSize={BATCH}{more}&{query}", template=f"{path}?id={{ids}}"
    )
    return Call(request, _names)


def _names(reply: Reply) -> Mapping[str, str]:
    entities = wire.objects_in(wire.object_of(reply).get("entities"))
    named = ((wire.text_of(one.get("id")), readable(one.get("name"))) for one in entities)
    return {identity.lower(): name for identity, name in named if identity and name}


def readable(name: Any) -> str | None:
    """Return a name in one line, without characters that cannot be seen; None for none.

    People choose names freely: what turns the direction of a text, or ends a line, is left out.
    """
    text = " ".join((wire.text_of(name) or "").split())
    shown = "".join(one for one in text if one.isprintable() or one in _JOINERS)
    return shown[:LONGEST].strip() or None

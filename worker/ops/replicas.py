"""The /status of several replicas, asked at once, and what they are together."""

import asyncio
import socket
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct, field, json
from msgspec.structs import replace

from worker.telemetry import (
    DeadLetterCause,
    InFlight,
    JobStatus,
    Problem,
    QueueStatus,
    Snapshot,
    UpstreamStatus,
)

ANSWER_SECONDS = 3.0
"""From the connection's begin to the last byte of the answer."""

MAX_BYTES = 4 * 1024 * 1024
AT_ONCE = 32

SHOWN = 10
"""Messages in flight shown, the longest first."""

NO_WORKER = (
    "No worker answers. Start one, or name them: `--url http://HOST:PORT`, again for more; "
    "all addresses of a name are asked."
)

_STATUS = json.Decoder(Snapshot)


class Replica(Struct, frozen=True, kw_only=True):
    """One address, and what answered there."""

    address: str
    name: str
    """Its host's name where no other replica has the same, else the address."""

    status: Snapshot | None = None
    problem: str = ""
    """Why there is no status."""


async def ask_all(places: Iterable[tuple[str, int]]) -> list[Replica]:
    """Ask every address of these hosts and ports; none that fails or hangs delays the others.

    A replica that answers at several addresses (IPv4 and IPv6) is returned once.
    """
    found = await asyncio.gather(*(_addresses(host, port) for host, port in places))
    asked = {one: None for addresses in found for one in addresses}
    limit = asyncio.Semaphore(AT_ONCE)
    replicas = await asyncio.gather(*(_ask(*one, limit) for one in asked))
    distinct: dict[str, Replica] = {}
    for one in replicas:
        distinct.setdefault(one.status.instance if one.status else one.address, one)
    return _named(list(distinct.values()))


def _named(replicas: Sequence[Replica]) -> list[Replica]:
    hosts = Counter(one.status.host for one in replicas if one.status)
    return [
        replace(one, name=one.status.host)
        if one.status and one.status.host and hosts[one.status.host] == 1
        else one
        for one in replicas
    ]


async def _addresses(host: str, port: int) -> list[tuple[str, int, str]]:
    """Return host, port and address of all that the name stands for; of one that has none, ""."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, TimeoutError):
        return [(host, port, "")]
    return [(host, port, str(address[0])) for *_, address in found]


async def _ask(host: str, port: int, address: str, limit: asyncio.Semaphore) -> Replica:
    if not address:
        name = f"{host}:{port}"
        return Replica(address=name, name=name, problem="the name does not resolve")
    shown = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"
    replica = Replica(address=shown, name=shown)
    async with limit:
        answer = await _get(f"{host}:{port}", address, port)
    if isinstance(answer, str):
        return replace(replica, problem=answer)
    try:
        return replace(replica, status=_read(answer))
    except ValueError:
        return replace(replica, problem="answers oddly: not as a worker of this version does")


async def _get(host: str, address: str, port: int) -> bytes | str:
    """Return the whole answer, or why there is none."""
    failure = f"no connection in {ANSWER_SECONDS:g} s"
    writer = None
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            reader, writer = await asyncio.open_connection(address, port)
            # The kernel takes connections for a process that was stopped, or has no time.
            failure = f"frozen: takes connections, and answers none in {ANSWER_SECONDS:g} s"
            writer.write(f"GET /status HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
            answer = bytearray()
            while (chunk := await reader.read(65_536)) and len(answer) <= MAX_BYTES:
                answer += chunk
                failure = f"answers oddly: not all of it came in {ANSWER_SECONDS:g} s"
            return bytes(answer)
    except TimeoutError:
        return failure
    except OSError as error:
        return f"no connection ({type(error).__name__})"
    finally:
        if writer is not None:
            writer.transport.abort()
            with suppress(OSError):
                await writer.wait_closed()


def _read(answer: bytes) -> Snapshot:
    """Return the status. Raises ValueError for an answer that is none."""
    head, _, body = answer.partition(b"\r\n\r\n")
    if head.split(b" ", 2)[1:2] != [b"200"]:
        raise ValueError("not answered with 200")
    try:
        status = _STATUS.decode(body)
    except RecursionError:
        raise ValueError("not a status") from None
    if not status.version or not status.instance:
        raise ValueError("not a status")
    return status


class Queue(Struct, frozen=True, kw_only=True):
    """One queue, as all replicas see it."""

    name: str
    visible: int | None
    in_flight: int
    """Of the replicas that answer, together."""

    invisible: int | None
    """In flight at no replica that answers: scheduled retries, or other consumers'."""

    dead_letters: int | None
    replicas: Mapping[str, QueueStatus]
    """By name; of those that answer."""


class Overview(Struct, frozen=True, kw_only=True):
    """All replicas together."""

    replicas: Sequence[Replica]
    queues: Sequence[Queue]
    oldest: Sequence[tuple[str, InFlight]]
    """Messages in flight that are longest in their phase, with the replica that has them."""

    jobs: Sequence[tuple[JobStatus, Mapping[str, Sequence[str]]]]
    """Outcomes are sums, the last failure is the latest; with the replicas by state."""

    upstreams: Sequence[tuple[UpstreamStatus, Sequence[str]]]
    causes: Sequence[DeadLetterCause]
    """Their numbers are sums."""

    problems: Sequence[tuple[Problem, Sequence[str]]]
    """With the replicas that have them."""

    warnings: Sequence[str]
    taken: datetime = field(default_factory=lambda: datetime.now(UTC))
    """When all answers, or their absence, were known."""

    @property
    def silent(self) -> list[Replica]:
        """Those that gave no status."""
        return [one for one in self.replicas if one.status is None]


def overview_of(replicas: Sequence[Replica]) -> Overview:
    """Return what the replicas are together."""
    answers = [(one.name, one.status) for one in replicas if one.status]
    oldest = [
        (name, message)
        for name, status in answers
        for queue in status.queues
        for message in queue.oldest
    ]
    upstreams = _grouped((name, one) for name, status in answers for one in status.upstreams)
    problems = _grouped((name, one) for name, status in answers for one in status.problems)
    return Overview(
        replicas=replicas,
        queues=list(_queues(answers)),
        oldest=sorted(oldest, key=lambda one: -one[1].seconds)[:SHOWN],
        jobs=list(_jobs(answers)),
        upstreams=upstreams,
        causes=_causes(answers),
        problems=sorted(problems, key=lambda one: one[0].heals),
        warnings=list(dict.fromkeys(one for _, status in answers for one in status.warnings)),
    )


Answers = Sequence[tuple[str, Snapshot]]


def _queues(answers: Answers) -> Iterator[Queue]:
    names = dict.fromkeys(queue.name for _, status in answers for queue in status.queues)
    for name in names:
        seen = {who: one for who, status in answers for one in status.queues if one.name == name}
        here = sum(one.in_flight for one in seen.values())
        # Each replica counts as invisible what the others have in flight.
        hidden = [
            one.invisible + one.in_flight for one in seen.values() if one.invisible is not None
        ]
        yield Queue(
            name=name,
            # The queue's own numbers, which each replica samples: the largest, not the sum.
            visible=_largest(one.visible for one in seen.values()),
            in_flight=here,
            invisible=max(0, max(hidden) - here) if hidden else None,
            dead_letters=_largest(one.dead_letters for one in seen.values()),
            replicas=seen,
        )


def _largest(numbers: Iterable[int | None]) -> int | None:
    return max((one for one in numbers if one is not None), default=None)


def _jobs(answers: Answers) -> Iterator[tuple[JobStatus, Mapping[str, Sequence[str]]]]:
    names = dict.fromkeys(job.name for _, status in answers for job in status.jobs)
    for name in names:
        seen = [(who, job) for who, status in answers for job in status.jobs if job.name == name]
        states: dict[str, list[str]] = {}
        outcomes: Counter[str] = Counter()
        for who, job in seen:
            states.setdefault(job.state, []).append(who)
            outcomes.update(job.outcomes)
        failures = [job.last_failure for _, job in seen if job.last_failure]
        worst = max((job for _, job in seen), key=lambda job: (len(job.problems), job.reason))
        latest = min(failures, key=lambda one: one.seconds_ago, default=None)
        yield replace(worst, outcomes=dict(outcomes), last_failure=latest), states


def _causes(answers: Answers) -> list[DeadLetterCause]:
    found: dict[tuple[str, str | None, str], DeadLetterCause] = {}
    for _, status in answers:
        for one in status.dead_letter_causes:
            key = (one.reason, one.job, one.fingerprint)
            before = found.get(key)
            found[key] = (
                one
                if before is None
                else replace(
                    one,
                    dead_letters=one.dead_letters + before.dead_letters,
                    held_back=one.held_back + before.held_back,
                )
            )
    return sorted(found.values(), key=lambda one: -one.dead_letters)


def _grouped(
    found: Iterable[tuple[str, Any]],
) -> list[tuple[Any, Sequence[str]]]:
    """Group what several replicas have; the seconds in its words differ, and are the first's."""
    groups: dict[object, tuple[Any, list[str]]] = {}
    for who, one in found:
        key = (one.where, one.remedy) if isinstance(one, Problem) else (one.name, one.breaker)
        groups.setdefault(key, (one, []))[1].append(who)
    return list(groups.values())

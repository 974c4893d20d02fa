"""FIFO queues: the messages of a group one after the other, the groups side by side.

SQS gives no message of a group while another one of it is in flight, but a single receive may bring
up to ten. They are handled in order, each after the one before is deleted. When one cannot be,
those behind it are released at once: the group stays blocked by its invisible head, so that breaks
no order, and waiting for their visibility timeouts would stall the group.
"""

from collections import deque
from collections.abc import Callable

from worker.intake.leases import Lease

REMEMBERED = 1000
"""Blocked groups shown in /status."""


class Groups:
    """The groups that have a message in flight here."""

    def __init__(self, start: Callable[[Lease], None], release: Callable[[Lease], None]) -> None:
        """`start`: begins the work on the next of a group. `release`: of those behind a failed."""
        self._start = start
        self._release = release
        self._groups: dict[str, deque[Lease]] = {}
        self.blocked: dict[str, str] = {}
        """Message id that a group waits for, of groups whose last head failed."""

    @property
    def waiting(self) -> list[Lease]:
        """Messages that wait behind the head of their group."""
        return [lease for group in self._groups.values() for lease in list(group)[1:]]

    def add(self, lease: Lease) -> None:
        """Take a message; it is started at once if it is the first of its group."""
        group = self._groups.setdefault(_group_of(lease), deque())
        group.append(lease)
        if len(group) == 1:
            self._start(lease)

    def settled(self, lease: Lease, gone: bool) -> None:  # noqa: FBT001  see acks.Settled
        """Start the next of the group, or release those behind a message that is not gone."""
        name = _group_of(lease)
        group = self._groups.get(name)
        if group is None or group[0] is not lease:
            return
        group.popleft()
        if not gone:
            self._block(name, lease.message.id)
            del self._groups[name]
            for waiting in group:
                self._release(waiting)
            return
        self.blocked.pop(name, None)
        if group:
            self._start(group[0])
        else:
            del self._groups[name]

    def clear(self) -> None:
        """Release all that wait behind a head; the heads are still in flight."""
        for name, group in self._groups.items():
            head, *waiting = group
            self._groups[name] = deque([head])
            for lease in waiting:
                self._release(lease)

    def _block(self, group: str, message_id: str) -> None:
        self.blocked[group] = message_id
        if len(self.blocked) > REMEMBERED:
            del self.blocked[next(iter(self.blocked))]


def _group_of(lease: Lease) -> str:
    return lease.message.group_id or ""

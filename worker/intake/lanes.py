"""FIFO queues: the messages of a group one after the other, the groups side by side."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from worker.intake.leases import Lease

REMEMBERED = 1000
"""Blocked groups told of in /status."""

Deliver = Callable[[Lease], Awaitable[bool]]
GiveBack = Callable[[Lease], Awaitable[None]]


class Lanes:
    """One lane per group at work.

    SQS gives no message of a group while another one of it is hidden, but a single receive may
    bring up to ten. They are handled in order, each after the one before is deleted. When one
    cannot be, those behind it are shown again at once: the group stays blocked by its hidden head,
    so that breaks no order, and waiting for their visibility timeouts would stall the group.
    """

    def __init__(self, deliver: Deliver, give_back: GiveBack) -> None:
        self._deliver = deliver
        self._give_back = give_back
        self._lanes: dict[str, deque[Lease]] = {}
        self.blocked: dict[str, str] = {}
        """Message id that a group waits for, of groups whose last head failed."""

    async def take(self, lease: Lease) -> None:
        """Handle the lease in its turn; whoever opens a lane works it off."""
        group = lease.message.group_id or ""
        if (lane := self._lanes.get(group)) is not None:
            lane.append(lease)
            return
        lane = self._lanes[group] = deque([lease])
        try:
            await self._work_off(group, lane)
        finally:
            del self._lanes[group]
            # Side by side, so that they share a call.
            await asyncio.gather(*(self._give_back(follower) for follower in list(lane)[1:]))

    async def _work_off(self, group: str, lane: deque[Lease]) -> None:
        while lane:
            if not await self._deliver(lane[0]):
                self._block(group, lane[0].message.id)
                return
            self.blocked.pop(group, None)
            lane.popleft()

    def _block(self, group: str, message_id: str) -> None:
        self.blocked[group] = message_id
        if len(self.blocked) > REMEMBERED:
            del self.blocked[next(iter(self.blocked))]

"""A running intake, and a handler of the test's own."""

from worker.events.origin import Result


class Intake:
    """A running intake; `drain` ends it and returns what became of the messages."""

    def __init__(self, parts, consuming, heartbeat):
        self.parts = parts
        self.consuming = consuming
        self.heartbeat = heartbeat

    async def drain(self, seconds=5):
        report = await self.consumer.drain(seconds)
        await self.acks.close()
        return self.consumer.report() if report else report

    @property
    def consumer(self):
        [consumer] = self.parts.consumers
        return consumer

    @property
    def acks(self):
        return self.consumer.settlement.acks

    @property
    def leases(self):
        return self.consumer.leases

    @property
    def permits(self):
        return self.parts.permits


class Recorder:
    """A handler that notes what it was given, after what the test wants it to do."""

    def __init__(self, *behaviours):
        self.seen = []
        self.running = 0
        self.most_at_once = 0
        self._behaviours = list(behaviours)

    async def __call__(self, event):
        self.running += 1
        self.most_at_once = max(self.most_at_once, self.running)
        try:
            if self._behaviours:
                await self._behaviours.pop(0)()
        finally:
            self.running -= 1
        self.seen.append(event.conversation_id)
        return Result.OK

"""A handler that needs an upstream, for tests in which that is down."""

from worker.events.origin import Result


class AskGenesys:
    """A handler that needs one answer of the data action."""

    def __init__(self):
        self.client = None
        self.seen = []

    async def build(self, context):
        self.client = (await context.genesys()).actions
        return self

    async def __call__(self, event):
        await self.client.execute_data_action("action", {"phone_number": "+15550100001"})
        self.seen.append(event.conversation_id)
        return Result.OK

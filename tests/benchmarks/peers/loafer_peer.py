"""loafer-ng: one route, ten messages at once. More routes only make more clients at once."""

from loafer.ext.aws.routes import SQSRoute
from loafer.managers import LoaferManager
from loafer.message_translators import AbstractMessageTranslator
from work import ENDPOINT, QUEUE, work_async


async def handle(message, metadata):
    await work_async(message)
    return True


class Text(AbstractMessageTranslator):  # its own reads JSON, which no other contestant does
    def translate(self, message):
        return {"content": message["Body"], "metadata": {}}


options = {
    "endpoint_url": ENDPOINT,
    "options": {"WaitTimeSeconds": 10, "MaxNumberOfMessages": 10},
}
route = SQSRoute(QUEUE, options, handler=handle, message_translator=Text(), name="bench")

if __name__ == "__main__":
    LoaferManager([route]).run()

"""dramatiq-sqs: `dramatiq dramatiq_peer`, and `python dramatiq_peer.py` to send."""

import dramatiq
from dramatiq_sqs import SQSBroker
from work import ENDPOINT, events, work

broker = SQSBroker(endpoint_url=ENDPOINT, visibility_timeout=None)
dramatiq.set_broker(broker)


@dramatiq.actor(queue_name="bench")
def event(text):
    work(text)


if __name__ == "__main__":
    for one in events():
        event.send(one)

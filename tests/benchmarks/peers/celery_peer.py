"""celery[sqs]: `celery -A celery_peer worker`, and `python celery_peer.py` to send."""

from celery import Celery
from work import ENDPOINT, events, work

app = Celery("bench", broker=f"sqs://x:x@{ENDPOINT.removeprefix('http://')}")
app.conf.update(
    broker_transport_options={
        "is_secure": False,
        "region": "us-east-1",
        "wait_time_seconds": 10,
        "polling_interval": 0,
    },
    task_default_queue="bench",
    task_ignore_result=True,
    # Its default acknowledges before the work: a crash would lose messages, which ours may not.
    task_acks_late=True,
    broker_connection_retry_on_startup=True,
)


@app.task(name="event")
def event(text):
    work(text)


if __name__ == "__main__":
    for one in events():
        event.delay(one)

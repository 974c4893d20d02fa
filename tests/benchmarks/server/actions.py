"""SQS's actions in its JSON protocol, as far as the contestants use them."""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from tests.benchmarks.server.http import Exchange
from tests.benchmarks.server.queue import Queue, md5

Parameters = Mapping[str, Any]
Answer = dict[str, Any]


class Actions:
    """One queue behind every queue URL: a contestant may call it as it likes."""

    def __init__(self, base_url: str, watched: Callable[[], None]) -> None:
        """`watched` is called after each receive that gave something and after each delete."""
        self.queue = Queue(visibility_seconds=300)
        self.calls: Counter[str] = Counter()
        """Calls received, by action."""

        self.given = 0
        """Messages given out."""

        self.round_trip_seconds = 0.0
        self.waiting: deque[tuple[Exchange, Parameters, asyncio.TimerHandle]] = deque()
        self._base_url = base_url
        self._watched = watched
        self._alarm: asyncio.TimerHandle | None = None

    def __call__(self, exchange: Exchange) -> None:
        """Answer a request, or keep it while it waits for messages."""
        action = exchange.target.rpartition(".")[2]
        self.calls[action] += 1
        parameters = orjson.loads(exchange.body or b"{}")
        if action == "ReceiveMessage":
            self._receive(exchange, parameters)
            return
        handler = ANSWERS.get(action)
        if handler is None:
            refusal = {"__type": "com.amazonaws.sqs#UnsupportedOperation", "message": action}
            self._send(exchange, orjson.dumps(refusal), status=400)
            return
        self._send(exchange, orjson.dumps(handler(self, parameters)))

    def serve_waiting(self) -> None:
        """Give messages to the long polls that wait, longest first."""
        self.queue.pass_time(_now())
        while self.waiting and self.queue.visible:
            exchange, parameters, timer = self.waiting.popleft()
            timer.cancel()
            if not exchange.alone:  # SQS might lease to no one here; no figure shall hang on that
                self._give(exchange, parameters)

    def queue_url(self, name: str = "bench") -> str:
        """Return the URL under which a queue is known."""
        return f"{self._base_url}/000000000000/{name}"

    def _receive(self, exchange: Exchange, parameters: Parameters) -> None:
        self.queue.pass_time(_now())
        if self.queue.visible or not parameters.get("WaitTimeSeconds"):
            self._give(exchange, parameters)
            return
        loop = asyncio.get_running_loop()
        timer = loop.call_later(parameters["WaitTimeSeconds"], self._end_poll, exchange)
        self.waiting.append((exchange, parameters, timer))

    def _end_poll(self, exchange: Exchange) -> None:
        self.waiting = deque(entry for entry in self.waiting if entry[0] is not exchange)
        self._send(exchange, b"{}")

    def _give(self, exchange: Exchange, parameters: Parameters) -> None:
        at_most = parameters.get("MaxNumberOfMessages", 1)
        given = self.queue.receive(at_most, _now(), parameters.get("VisibilityTimeout"))
        if not given:  # `Messages` is absent then, as with SQS
            self._send(exchange, b"{}")
            return
        self.given += len(given)
        entries = b",".join([message.as_json() for message in given])
        self._send(exchange, b'{"Messages":[' + entries + b"]}")
        self._watched()
        self._wind_alarm()

    def _wind_alarm(self) -> None:
        due = self.queue.next_due()
        if due is not None and (self._alarm is None or self._alarm.when() > due):
            if self._alarm:
                self._alarm.cancel()
            self._alarm = asyncio.get_running_loop().call_at(due, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        self.serve_waiting()
        self._wind_alarm()

    def _send(self, exchange: Exchange, content: bytes, status: int = 200) -> None:
        exchange.answer(content, status=status, delay_seconds=self.round_trip_seconds)

    def _delete(self, parameters: Parameters) -> Answer:
        self.queue.delete(parameters["ReceiptHandle"])
        self._watched()
        return {}

    def _delete_batch(self, parameters: Parameters) -> Answer:
        for entry in parameters["Entries"]:
            self.queue.delete(entry["ReceiptHandle"])
        self._watched()
        return {"Successful": [{"Id": entry["Id"]} for entry in parameters["Entries"]]}

    def _hide(self, entry: Parameters) -> bool:
        held = self.queue.hide(entry["ReceiptHandle"], entry["VisibilityTimeout"], _now())
        self.serve_waiting()
        self._wind_alarm()
        return held

    def _change_visibility(self, parameters: Parameters) -> Answer:
        self._hide(parameters)
        return {}

    def _change_visibility_batch(self, parameters: Parameters) -> Answer:
        done = [(entry["Id"], self._hide(entry)) for entry in parameters["Entries"]]
        lost = {"SenderFault": True, "Code": "MessageNotInflight"}
        return {
            "Successful": [{"Id": name} for name, held in done if held],
            "Failed": [{"Id": name, **lost} for name, held in done if not held],
        }

    def _store(self, entry: Parameters) -> Answer:
        message = self.queue.send(entry["MessageBody"], entry.get("MessageAttributes"))
        self.serve_waiting()
        return {"MessageId": str(message.number), "MD5OfMessageBody": md5(message.body)}

    def _store_batch(self, parameters: Parameters) -> Answer:
        entries = parameters["Entries"]
        return {"Successful": [{"Id": entry["Id"], **self._store(entry)} for entry in entries]}

    def _attributes(self, _: Parameters) -> Answer:
        attributes = {
            "VisibilityTimeout": int(self.queue.visibility_seconds),
            "ApproximateNumberOfMessages": self.queue.visible,
            "ApproximateNumberOfMessagesNotVisible": len(self.queue.hidden),
            "ApproximateNumberOfMessagesDelayed": 0,
            "QueueArn": "arn:aws:sqs:us-east-1:000000000000:bench",
        }
        return {"Attributes": {name: str(value) for name, value in attributes.items()}}

    def _url(self, parameters: Parameters) -> Answer:
        return {"QueueUrl": self.queue_url(parameters["QueueName"])}

    def _accept(self, _: Parameters) -> Answer:
        return {}

    def _list(self, _: Parameters) -> Answer:
        return {"QueueUrls": [self.queue_url()]}


def _now() -> float:
    return asyncio.get_running_loop().time()


ANSWERS: Mapping[str, Callable[[Actions, Parameters], Answer]] = {
    "DeleteMessage": Actions._delete,
    "DeleteMessageBatch": Actions._delete_batch,
    "ChangeMessageVisibility": Actions._change_visibility,
    "ChangeMessageVisibilityBatch": Actions._change_visibility_batch,
    "SendMessage": Actions._store,
    "SendMessageBatch": Actions._store_batch,
    "GetQueueAttributes": Actions._attributes,
    "GetQueueUrl": Actions._url,
    "CreateQueue": Actions._url,
    "SetQueueAttributes": Actions._accept,
    "ListQueues": Actions._list,
}

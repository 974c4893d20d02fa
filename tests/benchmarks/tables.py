"""As much of DynamoDB as records and the idempotency store need: put, query of one key, update.

moto answers some 160 requests a second and would be what is measured. An item is known by its keys
alone, and a condition on a put always means that there is none yet.
"""

from collections.abc import Callable, Mapping
from typing import Any

import orjson

ERRORS = "com.amazonaws.dynamodb.v20120810#"

Items = dict[str, dict[str, Mapping[str, Any]]]
"""Items by partition key, then by sort key."""


class Refused(Exception):
    """A request that is answered with an error."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.content = orjson.dumps({"__type": ERRORS + code, "message": code})


def put_item(items: Items, wish: Mapping[str, Any]) -> bytes:
    """Keep an item. Raises Refused for one that is there already, if the wish has a condition."""
    item = wish["Item"]
    conversation = items.setdefault(item["conversationId"]["S"], {})
    time = item["eventTimestamp"]["S"]
    if time in conversation and "ConditionExpression" in wish:
        raise Refused("ConditionalCheckFailedException")
    conversation[time] = item
    return b"{}"


def query(items: Items, wish: Mapping[str, Any]) -> bytes:
    """Return the items of conversation `:c` from time `:t` on."""
    values = wish["ExpressionAttributeValues"]
    conversation = items.get(values[":c"]["S"], {})
    found = [item for time, item in conversation.items() if time >= values[":t"]["S"]]
    return orjson.dumps({"Items": found, "Count": len(found), "ScannedCount": len(found)})


def update_item(_items: Items, _wish: Mapping[str, Any]) -> bytes:
    """Take an update for done."""
    return b"{}"


OPERATIONS: Mapping[str, Callable[[Items, Mapping[str, Any]], bytes]] = {
    "PutItem": put_item,
    "Query": query,
    "UpdateItem": update_item,
}


def dynamodb() -> Callable[[str, bytes], bytes]:
    """Return the answers of a DynamoDB without items."""
    items: Items = {}

    def answer(target: str, body: bytes) -> bytes:
        operation = OPERATIONS.get(target.rpartition(".")[2])
        if operation is None:
            raise Refused("UnknownOperationException")
        return operation(items, orjson.loads(body))

    return answer

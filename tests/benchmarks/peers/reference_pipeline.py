"""Voice enrichment as it is mostly written first: requests and boto3, a step after the other.

With VOICE_THREADS the same steps run in that many threads. Clients and connections are kept, the
token is too, and messages come ten at a time: it is not made slow on purpose.
"""

import json
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import boto3
import requests
from botocore.config import Config
from requests.adapters import HTTPAdapter

THREADS = int(os.environ.get("VOICE_THREADS", "0"))
QUEUE_URL = os.environ["SQS_QUEUE_URL"]
API = os.environ["GENESYS_API_URL"]
ACTION = os.environ["GENESYS_ACTION_ID"]
TABLE = os.environ["DYNAMODB_TABLE"]
PURPOSES = ("customer", "external")

config = Config(max_pool_connections=max(THREADS + 1, 10))
sqs = boto3.client("sqs", config=config)
table = boto3.resource("dynamodb", config=config).Table(TABLE)
genesys = requests.Session()
genesys.mount("http://", HTTPAdapter(pool_connections=1, pool_maxsize=max(THREADS, 10)))


class Token:
    """The access token, asked for anew five minutes before its end."""

    def __init__(self):
        self._value = ""
        self._good_until = 0.0
        self._lock = threading.Lock()

    def header(self):
        with self._lock:
            if time.monotonic() > self._good_until:
                self._fetch()
        return {"Authorization": f"Bearer {self._value}"}

    def _fetch(self):
        reply = genesys.post(
            f"{API}/oauth/token",
            data={
                "grant_type": "client_credentials",
                "client_id": os.environ["GENESYS_CLIENT_ID"],
                "client_secret": os.environ["GENESYS_CLIENT_SECRET"],
            },
            timeout=10,
        )
        reply.raise_for_status()
        answer = reply.json()
        self._value = answer["access_token"]
        self._good_until = time.monotonic() + answer["expires_in"] - 300


token = Token()


def phone_of(conversation_id):
    """Ask the live conversation for its customer's number."""
    reply = genesys.get(
        f"{API}/api/v2/conversations/{conversation_id}", headers=token.header(), timeout=10
    )
    reply.raise_for_status()
    for participant in reply.json()["participants"]:
        if participant.get("purpose") in PURPOSES and participant.get("address"):
            return participant["address"].removeprefix("tel:")
    return None


def customer_of(phone):
    """Ask the data action who that is."""
    reply = genesys.post(
        f"{API}/api/v2/integrations/actions/{ACTION}/execute",
        json={"phone_number": phone},
        headers=token.header(),
        timeout=10,
    )
    reply.raise_for_status()
    return reply.json()


def enrich(body):
    """Write one record."""
    event = json.loads(body, parse_float=Decimal)
    score = event["detail"]["eventBody"]
    phone = phone_of(score["conversationId"])
    customer = customer_of(phone) if phone else {}
    item = {
        "conversationId": score["conversationId"],
        "eventTimestamp": event["time"],
        "phoneNumber": phone,
        "sentimentOverall": score["sentimentOverallScore"],
        "crmTier": customer.get("tier", "unknown"),
    }
    if "ltv" in customer:
        item["crmLtv"] = Decimal(str(customer["ltv"]))
    table.put_item(Item=item)


def handle(message):
    """Enrich and delete; a message that fails comes again by itself."""
    try:
        enrich(message["Body"])
    except Exception as error:  # noqa: BLE001  a pipeline goes on
        print("failed:", type(error).__name__, flush=True)  # noqa: T201  its log
        return
    sqs.delete_message(QueueUrl=QUEUE_URL, ReceiptHandle=message["ReceiptHandle"])


def receive():
    """Return up to ten messages."""
    answer = sqs.receive_message(QueueUrl=QUEUE_URL, MaxNumberOfMessages=10, WaitTimeSeconds=10)
    return answer.get("Messages", [])


def run_in_line():
    """Take one message after the other."""
    while True:
        for message in receive():
            handle(message)


def run_in_threads():
    """Take as many messages at once as there are threads, and no more."""
    free = threading.BoundedSemaphore(THREADS)

    def work(message):
        try:
            handle(message)
        finally:
            free.release()

    with ThreadPoolExecutor(THREADS) as pool:
        while True:
            for message in receive():
                free.acquire()
                pool.submit(work, message)


if __name__ == "__main__":
    run_in_threads() if THREADS else run_in_line()

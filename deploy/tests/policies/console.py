"""The console's changes: what an operator clicks there, in the console as a process of its own."""  # noqa: INP001  a script's folder

import asyncio
import json
import re
from collections.abc import Mapping
from pathlib import Path

import aiohttp
from cloud import Cloud

from worker.demo.process import WorkerProcess

PROGRAM = ("-m", "worker", "console", "--port", "0", "--allow-changes")
CHANGES = {"redrive": "aaaaaaaaaaaa", "delete": "dddddddddddd"}
"""What is done, and the fingerprint of the dead letter that it is done with."""

RUN_SECONDS = 20
POLL_SECONDS = 0.1
ENDED = re.compile(r'<span class="badge \w+">(ended|failed|stopped)</span>')
DONE = {"redrive": "1 redriven of 1", "delete": "1 deleted of 1"}


def prepare(cloud: Cloud) -> None:
    """Dead-letter a message for each change."""
    sqs, url = cloud.client("sqs"), cloud.environment()["SQS_DEAD_LETTER_QUEUE_URL"]
    for action, fingerprint in CHANGES.items():
        record = {
            "reason": f"to {action}",
            "errorClass": "Permanent",
            "fingerprint": fingerprint,
            "queue": cloud.queues()["reports"],
        }
        text = {"DataType": "String", "StringValue": json.dumps(record)}
        sqs.send_message(QueueUrl=url, MessageBody="{}", MessageAttributes={"worker.failure": text})


async def changed(environment: Mapping[str, str], log: Path) -> str:
    """Make each change, after its dry run; return what the console wrote and showed."""
    environment = {**environment, "OPS_PORT": "9464"}  # of replicas, which it does not ask here
    async with (
        WorkerProcess(environment, log, PROGRAM, until_ready=False) as console,
        aiohttp.ClientSession(console.url, headers={"Origin": console.url}) as http,
    ):
        token = await _token(http)
        shown = [await _run(http, "/dead-letters/read", token=token, limit="10")]
        for action, fingerprint in CHANGES.items():
            form = {"token": token, "action": action, "fingerprint": fingerprint}
            place, text = await _run(http, "/dead-letters/dry-run", **form)
            shown.append((place, text))
            shown.append(await _run(http, f"{place}/apply", token=token, rate="100", sure="yes"))
    written = await asyncio.to_thread(log.read_text)
    return "\n".join([written, *(text for _, text in shown)])


def undone(text: str) -> list[str]:
    """Return the changes that were not made."""
    return [f"console: no {action}" for action, words in DONE.items() if words not in text]


async def _token(http: aiohttp.ClientSession) -> str:
    async with http.get("/dead-letters") as reply:
        found = re.search(r'name="token" value="([^"]+)"', await reply.text())
    return found[1] if found else ""


async def _run(http: aiohttp.ClientSession, path: str, **form: str) -> tuple[str, str]:
    """Begin a run; return its page's path, and the page once it is over."""
    async with http.post(path, data=form) as reply:
        place, text = reply.url.path, await reply.text()
    async with asyncio.timeout(RUN_SECONDS):
        while reply.ok and place.startswith("/runs/") and not ENDED.search(text):
            await asyncio.sleep(POLL_SECONDS)  # another process has no event to wait for
            async with http.get(place) as reply:
                place, text = reply.url.path, await reply.text()
    return place, text

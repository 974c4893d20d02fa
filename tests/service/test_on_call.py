"""The page of a whole worker: are cause and remedy on it, in words, for the engineer on call?"""

import asyncio
import json
import re
from html import unescape

from tests.service.conftest import sample
from worker.emulators.sqs.control import ACCESS_DENIED

STA = sample("events/platform/sta_sentiment.json")
CASE_SECONDS = 60


def problems_on(page):
    """Return where, cause and remedy of each problem, the first as the reader meets them."""
    texts = re.findall(r'<p class="(?:where|cause|remedy)">(.*?)</p>', page)
    plain = [unescape(re.sub(r"<[^>]*>", "", text)) for text in texts]
    return list(zip(plain[::3], plain[1::3], plain[2::3], strict=True))


def scored(number, score):
    """Return an event of one of several conversations."""
    event = json.loads(STA)
    event["id"] = f"99999999-2222-4333-8444-{number:012}"
    body = event["detail"]["eventBody"]
    body["conversationId"] = f"c0ffee00-0000-4000-8000-{number:012}"
    body["sentimentOverallScore"] = score
    return json.dumps(event)


async def first_problem(worker, of_cause):
    """Wait for a problem; return it once the page has it."""
    async with asyncio.timeout(CASE_SECONDS):
        while True:
            for where, cause, remedy in problems_on(await worker.page("/")):
                if of_cause in cause:
                    return where, cause, remedy
            await asyncio.sleep(0.1)


async def test_receives_that_are_denied(emulators, start_worker):
    emulators.sqs.faults.add("ReceiveMessage", ACCESS_DENIED)

    async with start_worker(until_ready=False) as worker:
        problem = await first_problem(worker, "ReceiveMessage")

    assert problem == (
        "queue genesys-events",
        "ReceiveMessage fails with AccessDenied",
        (
            "What to do: allow the role sqs:ReceiveMessage on the queue, and check the queue's own "
            "policy (worker explain SQS05)"
        ),
    )


async def test_a_secret_that_has_expired(start_worker):
    async with start_worker(until_ready=False, GENESYS_CLIENT_SECRET="expired") as worker:
        where, cause, remedy = await first_problem(worker, "GENESYS_CLIENT_SECRET")

    assert where == "jobs voice, attributes, workflow, sentiment, reports"
    assert cause == "genesys refuses client credentials (invalid_client) (GENESYS_CLIENT_SECRET)"
    assert remedy == (
        "What to do: check GENESYS_CLIENT_ID, GENESYS_CLIENT_SECRET and GENESYS_ENVIRONMENT "
        "(worker explain GEN01)"
    )


async def test_a_table_that_is_gone(emulators, start_worker, known_customer):
    for number in range(3):
        emulators.sqs.send(emulators.queue_url, scored(number, -0.4))

    async with start_worker(until_ready=False, HANDLERS="voice", DYNAMODB_TABLE="gone") as worker:
        problem = await first_problem(worker, "DYNAMODB_TABLE")

    assert problem == (
        "job voice",
        "dynamodb: ResourceNotFoundException (DYNAMODB_TABLE)",
        "What to do: check DYNAMODB_TABLE, the account and the region (worker explain DDB01)",
    )


async def test_a_bad_deployment_of_sender_or_reader(emulators, start_worker, known_customer):
    for number in range(9):
        emulators.sqs.send(emulators.queue_url, scored(number, 42.0))

    async with start_worker(until_ready=False, HANDLERS="voice", SQS_PARK_LIMIT="5") as worker:
        where, cause, remedy = await first_problem(worker, "4 held back")

    assert where == "unreadable messages"
    assert cause.startswith(
        "dead-letter limit reached for: detail.eventBody.sentimentOverallScore: "
    )
    assert cause.endswith("; 5 dead-lettered, 4 held back")
    assert re.fullmatch(
        r"What to do: check the latest deployment and roll it back; the messages held back stay on "
        r"the queue and are tried again, one at a time. Then `?worker dlq redrive --fingerprint "
        r"[0-9a-f]{12}`?",
        remedy,
    )


async def test_a_budget_that_is_exhausted(emulators, start_worker, known_customer):
    for number in range(6):
        emulators.sqs.send(emulators.queue_url, scored(number, -0.4))

    async with start_worker(
        until_ready=False, HANDLERS="voice", GENESYS_REQUESTS_PER_MINUTE="2"
    ) as worker:
        where, cause, remedy = await first_problem(worker, "budget")

    assert where == "Genesys"
    assert re.fullmatch(
        r"the request budget is exhausted: the next request is granted in \d+ s", cause
    )
    assert remedy == (
        "What to do: nothing is lost: messages wait for their turn. Raise "
        "GENESYS_REQUESTS_PER_MINUTE if the organization allows more; more replicas do not help "
        "(worker explain GEN05)"
    )

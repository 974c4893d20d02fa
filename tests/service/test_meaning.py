"""What an event means: whose it is, of which medium, on which scale; shown by a whole worker."""

import json

from tests.service.conftest import sample
from worker.demo.environment import STATE_MACHINE_ARN
from worker.emulators.genesys.cloud import Ended, a_conversation

SCORE = json.loads(sample("events/platform/sta_sentiment.json"))
END = json.loads(sample("events/platform/customer_end_voice.json"))
OTHERS = "0b000000-0000-4000-8000-00000000000b"


def score_of(conversation_id, score=-0.4):
    body = SCORE["detail"]["eventBody"]
    body |= {"conversationId": conversation_id, "sentimentOverallScore": score}
    return json.dumps(SCORE | {"id": conversation_id})


def live(conversation_id, medium):
    """A conversation whose customer has a leg of this medium."""
    customer = {"id": conversation_id, "purpose": "customer", medium: [{"id": conversation_id}]}
    address = {"address": "tel:+15550100001"}
    return {"id": conversation_id, "participants": [customer | address]}


async def test_only_calls_become_voice_records_and_only_with_a_score_of_the_scale(
    emulators, start_worker, records, settled
):
    call, message, mail, odd = (f"c{n}ffee00-0000-4000-8000-000000000001" for n in range(4))
    media = {call: "calls", message: "messages", mail: "emails", odd: "calls"}
    emulators.genesys.conversations = {one: live(one, kind) for one, kind in media.items()}
    async with start_worker(HANDLERS="voice"):
        for one in (call, message, mail):
            emulators.sqs.send(emulators.queue_url, score_of(one))
        emulators.sqs.send(emulators.queue_url, score_of(odd, 42.0))
        await settled()

    assert [record["conversationId"]["S"] for record in await records()] == [call]
    [letter] = emulators.sqs.messages(emulators.dead_letter_url)
    failure = letter.sent.attributes["worker.failure"].value
    assert "detail.eventBody.sentimentOverallScore: not within -1..1" in failure


def end_of(conversation_id, *, minute, disconnect, source=None):
    detail = END["detail"]
    body = detail["eventBody"] | {
        "conversationId": conversation_id,
        "disconnectType": disconnect,
        "eventTime": detail["eventBody"]["eventTime"] + 60_000 * minute,
    }
    event_id = f"e{minute}00000{len(source or '') % 10}-0000-4000-8000-000000000001"
    event = {"id": event_id, "detail": detail | {"eventBody": body}}
    return json.dumps(END | event | ({"source": source} if source else {}))


def ended(emulators, conversation_id):
    start, end = "2026-03-02T10:00:00.000Z", "2026-03-02T10:15:30.000Z"
    record = a_conversation(conversation_id, conversation_id, start=start, end=end)
    emulators.genesys.ended[conversation_id] = Ended(record)


async def executions(emulators):
    async with emulators.aws("stepfunctions") as workflows:
        found = await workflows.list_executions(stateMachineArn=STATE_MACHINE_ARN)
    return [execution["name"] for execution in found["executions"]]


async def test_a_leg_that_left_a_conference_and_the_end_are_one_execution_of_each_organization(
    emulators, start_worker, settled
):
    conversation_id = "c0ffee00-0000-4000-8000-00000000000a"
    ended(emulators, conversation_id)
    async with start_worker(HANDLERS="workflow"):
        for source in (None, END["source"].replace(organization_of(END), OTHERS)):
            for minute, disconnect in enumerate(("CONFERENCE_TRANSFER", "ENDPOINT")):
                body = end_of(conversation_id, minute=minute, disconnect=disconnect, source=source)
                emulators.sqs.send(emulators.queue_url, body)
        await settled()

    names = await executions(emulators)
    assert len(names) == len(set(names)) == 2
    assert emulators.sqs.messages(emulators.dead_letter_url) == ()


async def test_an_event_of_another_organization_is_dead_lettered_without_a_call(
    emulators, start_worker, settled
):
    conversation_id = "c0ffee00-0000-4000-8000-00000000000a"
    ended(emulators, conversation_id)
    source = END["source"].replace(organization_of(END), OTHERS)
    foreign = end_of(conversation_id, minute=0, disconnect="ENDPOINT", source=source)
    async with start_worker(HANDLERS="workflow", GENESYS_ORGANIZATION_ID=organization_of(END)):
        emulators.sqs.send(emulators.queue_url, foreign)
        await settled()

    [letter] = emulators.sqs.messages(emulators.dead_letter_url)
    assert OTHERS in letter.sent.attributes["worker.failure"].value
    assert await executions(emulators) == []
    assert emulators.genesys.counts.keys() <= {"token"}


def organization_of(event):
    return event["source"].split("/")[3]

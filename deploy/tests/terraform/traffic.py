"""What is put on the buses, and what the emulated Genesys Cloud knows of it."""  # noqa: INP001  a script's folder

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import own_job

from worker.emulators.genesys.cloud import Ended, GenesysCloud, Spoken, a_conversation, a_transcript

AT = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
SENT = "2026-03-03T03:00:00Z"
CALL = "0ca11000-0000-4000-8000-000000000001"
CHAT = "0c4a7000-0000-4000-8000-000000000002"
CALLER = "0ca11e00-0000-4000-8000-000000000003"
CHATTER = "0c4a77e0-0000-4000-8000-000000000004"
PHONE = "+15550100001"

ENDED = "v2.detail.events.conversation.{id}.customer.end"
SCORED = "v2.speechandtextanalytics.conversation.{id}.sentiment"
UNWANTED = "v2.detail.events.conversation.{id}.user.end"

Entry = Mapping[str, Any]


def furnish(genesys: GenesysCloud) -> None:
    """Let the platform know a call and a chat, both over."""
    genesys.transports[own_job.TOPIC] = genesys.transports[ENDED]
    genesys.customers[PHONE] = {"accountId": "A-1", "tier": "gold", "ltv": 1000.5}
    for conversation, customer, medium in ((CALL, CALLER, "voice"), (CHAT, CHATTER, "message")):
        genesys.ended[conversation] = Ended(
            a_conversation(
                conversation,
                customer,
                media_type=medium,
                start="2026-03-02T11:56:00.000Z",
                end="2026-03-02T12:00:00.000Z",
            )
        )
        participant = {"id": customer, "purpose": "customer"}

        live = participant | ({"address": f"tel:{PHONE}"} if conversation == CALL else {})
        genesys.conversations[conversation] = {"id": conversation, "participants": [live]}
    transcript = a_transcript((-1, 0.9), (-1, 0.9), (1, 0.9))
    genesys.speech.conversations[CHAT] = Spoken(score=-0.5, transcripts={CHATTER: transcript})


def wanted(source: str, bus: str) -> list[Entry]:
    """Return three events that the rules take."""
    score = {"conversationId": CALL, "sentimentOverallScore": 0.25}
    return [
        entry(SCORED, score, source, bus),
        entry(ENDED, leg(CALL, CALLER, "VOICE"), source, bus),
        entry(ENDED, leg(CHAT, CHATTER, "MESSAGE"), source, bus),
    ]


def unwanted(source: str, bus: str) -> list[Entry]:
    """Return an event of another topic, and one of another organisation."""
    stranger = source.replace("/cloud/", "/cloud/other-")
    return [
        entry(UNWANTED, leg(CALL, CALLER, "VOICE"), source, bus),
        entry(ENDED, leg(CALL, CALLER, "VOICE"), stranger, bus),
    ]


def report_due(name: str) -> Entry:
    """Return a report asked for by hand, on our own bus."""
    return {
        "Source": "genesys.report.scheduler",
        "DetailType": "report.due",
        "Detail": json.dumps({"name": name, "interval": "2026-03-01T00:00Z/2026-03-02T00:00Z"}),
        "EventBusName": "default",
        "Time": AT,
    }


def as_sent_by_the_scheduler(template: str) -> str:
    """Fill in the Scheduler's keywords, as it does when a schedule is due."""
    return template.replace("<aws.scheduler.scheduled-time>", SENT).replace(
        "<aws.scheduler.execution-id>", "5a0d5000-0000-4000-8000-000000000005"
    )


def entry(topic: str, body: Mapping[str, Any], source: str, bus: str) -> Entry:
    """Return an event as Genesys Cloud puts it on a bus."""
    detail = {
        "topicName": topic.replace("{id}", str(body["conversationId"])),
        "version": "2",
        "eventBody": body,
        "metadata": {"CorrelationId": "terraform"},
        "timestamp": AT.isoformat(),
    }
    return {
        "Source": source,
        "DetailType": topic,
        "Detail": json.dumps(detail),
        "EventBusName": bus,
        "Time": AT,
    }


def leg(conversation: str, participant: str, medium: str) -> Mapping[str, Any]:
    """Return the end of a participant's leg."""
    return {
        "eventTime": int(AT.timestamp() * 1000),
        "conversationId": conversation,
        "participantId": participant,
        "sessionId": participant,
        "mediaType": medium,
        "direction": "INBOUND",
    }

"""Conversations that end: each starts a workflow, and a chat's sentiment is forwarded too.

The events of some come late, as in an outage of the event source: a backfill sent others by then.
"""

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

import orjson

from worker.demo import (
    LEDGER_TABLE,
    STATE_MACHINE_ARN,
    Effects,
    Ended,
    Environment,
    Fault,
    Past,
    Planned,
    Spoken,
    a_conversation,
    a_transcript,
    an_id,
    as_platform,
    envelope,
    iso,
    leg,
    platform,
    put_events,
    run_command,
)

VOICE = "conversation end"
CHAT = "chat end"
TOPIC = "v2.detail.events.conversation.{id}.customer.end"
START = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
SETTLE_SECONDS = 180
MOODS: dict[str, tuple[tuple[int, float], ...]] = {
    "severe": ((-1, 0.9),) * 9 + ((1, 0.9),),
    "mild": ((1, 0.9), (1, 0.8), (0, 0.9)),
    "unsure": ((1, 0.5), (0, 0.4)),
}
"""Sentiment and confidence of the customer's phrases; `unsure` is below the gate."""


@dataclass(frozen=True, slots=True)
class Ending:
    """One conversation that ended."""

    number: int
    conversation_id: str
    participant_id: str
    mood: str | None
    """None: a call, whose sentiment is none of this job's business."""

    platform: bool
    known: bool
    """Analytics has seen its end."""

    day: datetime = START

    def at(self) -> datetime:
        """Return when it ended: long ago, so no job waits for what analytics does not know."""
        return self.day + timedelta(seconds=self.number)


class EndedJob:
    """The traffic and the proof of workflows and of chat sentiment."""

    def __init__(self, calls: int, chats: int, random: Random) -> None:
        moods = [None] * calls + [tuple(MOODS)[number % len(MOODS)] for number in range(chats)]
        self._ended = [_ending(number, mood, random) for number, mood in enumerate(moods)]
        self._chats = [one for one in self._ended if one.mood]
        self._forwarded = [one for one in self._chats if one.mood != "unsure"]
        self._random = random
        self._missed: list[Ending] = []
        """Those of which no event came in time; none unless the event source is off."""

        self._missed_count = max(3, calls // 20)

    def prepare(self, environment: Environment) -> None:
        """Let analytics know the conversations, and what was said in the chats."""
        for one in self._ended:
            record = _record(one)
            if not one.known:
                del record["conversationEnd"]
            environment.genesys.ended[one.conversation_id] = Ended(record)
            if one.mood:
                transcript = a_transcript(*MOODS[one.mood])
                spoken = Spoken(score=0.1, transcripts={one.participant_id: transcript})
                environment.genesys.speech.conversations[one.conversation_id] = spoken
                customer = {"id": one.participant_id, "purpose": "customer"}
                live = {"id": one.conversation_id, "participants": [customer]}
                environment.genesys.conversations[one.conversation_id] = live

    def traffic(self) -> list[Planned]:
        """Return each ending once, and one in five three times, once under a new envelope id."""
        once = [_event(one, copy=0) for one in self._ended]
        again = [_event(one, copy=copy) for one in self._ended[::5] for copy in (0, 1)]
        return once + again

    def late_duplicates(self) -> list[Planned]:
        """Return copies of what is done."""
        return [_event(one, copy=2) for one in self._ended[::7]]

    def faults(self) -> list[Fault]:
        """Return an outage of the webhook that sentiment goes to, and one of the event source."""
        source = "the event source is off: worker backfill sends what was missed"
        return [
            Fault("the CRM webhook answers 503", 2.0, _hook_down, _hook_up),
            Fault(source, 1.0, self._miss, lambda _: None, self._backfill),
        ]

    def _miss(self, environment: Environment) -> None:
        """Let analytics know conversations of which no event comes."""
        history = environment.genesys.history
        self._missed = [_missed(number, self._random) for number in range(self._missed_count)]
        past = [_past(one) for one in self._missed]
        history.conversations = sorted(
            (*history.conversations, *past), key=lambda one: one.start_ms
        )
        for one in past:
            environment.genesys.ended[one.id] = Ended(dict(as_platform(one)))

    async def _backfill(self, environment: Environment) -> None:
        """Send their events, and then let those come that were held back."""
        day = self._missed[0].day
        interval = ("--from", iso(day), "--to", iso(day + timedelta(hours=1)))
        variables = environment.variables() | {"LEDGER_TABLE": LEDGER_TABLE}
        options = ("--job", "workflow", "--rate", "50", "--apply")
        await run_command(variables, "backfill", *interval, *options)
        await environment.sqs.wait_until(lambda: environment.waiting() == 0, SETTLE_SECONDS)
        for one in self._missed:
            environment.put(_event(one, copy=7).body)
        await environment.sqs.wait_until(lambda: environment.waiting() == 0, SETTLE_SECONDS)

    async def effects(self, environment: Environment) -> list[Effects]:
        """Check executions, bus, conversation, CRM webhook and alerts."""
        events = await put_events(environment, "genesys.sentiment.forwarder")
        severe = [one for one in self._forwarded if one.mood == "severe"]
        return [
            await self._executions(environment),
            _sent("EventBridge sentiment, ids", self._forwarded, _details(events, "Analysis")),
            _sent("EventBridge escalation, ids", severe, _details(events, "Escalation")),
            _sent("CRM webhook, ids", self._forwarded, _deliveries(environment, "crm")),
            _sent("alert webhook, ids", severe, _deliveries(environment, "alert")),
            self._marked(environment),
        ]

    async def _executions(self, environment: Environment) -> Effects:
        expected = {one.conversation_id: one for one in (*self._ended, *self._missed)}
        found: Counter[str] = Counter()
        wrong = []
        async with environment.aws("stepfunctions") as workflows:
            pages = workflows.get_paginator("list_executions")
            async for page in pages.paginate(stateMachineArn=STATE_MACHINE_ARN):
                for execution in page["executions"]:
                    run = await workflows.describe_execution(executionArn=execution["executionArn"])
                    handed = orjson.loads(run["input"])
                    conversation_id = handed["conversationId"]
                    found[conversation_id] += 1
                    one = expected.get(conversation_id)
                    if one is None or handed["detailsStatus"] != _status(one):
                        wrong.append(conversation_id)
        wrong += [key for key in expected if found[key] != 1]
        return Effects("Step Functions executions", len(expected), found.total(), wrong)

    def _marked(self, environment: Environment) -> Effects:
        marked = []
        for one in self._chats:
            [customer] = environment.genesys.conversations[one.conversation_id]["participants"]
            if customer.get("attributes", {}).get("forwardingStatus") == "queued":
                marked.append(one)
        wrong = [one.conversation_id for one in marked if one not in self._forwarded]
        count = len(self._forwarded)
        return Effects("chats marked as queued", count, len(marked), wrong, "sentiment_mark")


def demo(events: int, random: Random) -> EndedJob:
    """Return its share of the demo's traffic."""
    return EndedJob(max(6, events // 8), max(6, events // 12), random)


def _ending(number: int, mood: str | None, random: Random) -> Ending:
    return Ending(
        number=number,
        conversation_id=an_id(random),
        participant_id=an_id(random),
        mood=mood,
        platform=mood is not None or random.random() < 0.7,
        known=random.random() < 0.9,
    )


def _missed(number: int, random: Random) -> Ending:
    """Return a call of yesterday: executions of longer ago are not kept."""
    now = datetime.now(UTC).replace(microsecond=0)
    return Ending(
        number=number,
        conversation_id=an_id(random),
        participant_id=an_id(random),
        mood=None,
        platform=True,
        known=True,
        day=now - timedelta(days=1),
    )


def _past(one: Ending) -> Past:
    """Return it as the list of all conversations has it."""
    minute = timedelta(minutes=1)
    start_ms = int((one.at() - minute).timestamp() * 1000)
    return Past(id=one.conversation_id, start_ms=start_ms, duration_ms=60_000)


def _record(one: Ending) -> dict[str, Any]:
    start, end = iso(one.at() - timedelta(minutes=4)), iso(one.at())
    media_type = "message" if one.mood else "voice"
    return a_conversation(
        one.conversation_id, one.participant_id, media_type=media_type, start=start, end=end
    )


def _event(one: Ending, *, copy: int) -> Planned:
    event_id = str(UUID(int=(2 << 100) + (one.number << 8) + copy, version=4))
    kind = CHAT if one.mood else VOICE
    if not one.platform:
        detail = {"conversationId": one.conversation_id}
        return Planned(kind, envelope("conversation.end", detail, at=one.at(), event_id=event_id))
    media_type = "MESSAGE" if one.mood else "VOICE"
    body = leg(one.conversation_id, one.participant_id, one.at(), mediaType=media_type)
    return Planned(kind, platform(TOPIC, body, at=one.at(), event_id=event_id))


def _status(one: Ending) -> str:
    return "complete" if one.known else "partial"


def _details(events: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [event["detail"] for event in events if event["detail-type"].endswith(kind)]


def _deliveries(environment: Environment, sink: str) -> list[dict[str, Any]]:
    return [one.body["data"] for one in environment.sinks[sink].taken]


def _sent(sink: str, expected: list[Ending], payloads: list[dict[str, Any]]) -> Effects:
    """Compare by forwarding id: a sink without keys may hear the same words twice, no others."""
    words: dict[str, set[bytes]] = {}
    for payload in payloads:
        text = orjson.dumps(payload, option=orjson.OPT_SORT_KEYS)
        words.setdefault(payload["conversationId"], set()).add(text)
    ids = {one.conversation_id for one in expected}
    wrong = [key for key, texts in words.items() if len(texts) > 1 or key not in ids]
    return Effects(sink, len(ids), len(words), [*wrong, *sorted(ids - set(words))])


def _hook_down(environment: Environment) -> None:
    environment.sinks["crm"].status = 503


def _hook_up(environment: Environment) -> None:
    environment.sinks["crm"].status = 204

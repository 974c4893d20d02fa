"""What breaks parsers, among good messages: dead-lettered once, with a reason, at one receive."""

import re
from collections import Counter

import orjson

from tests.chaos.arena import open_arena
from tests.chaos.findings import Findings
from tests.chaos.sizes import Sizes
from tests.unit.events.test_poison import HEAD, POISON
from worker.demo import Planned
from worker.emulators.sqs.model import MAXIMUM_BYTES
from worker.jobs.voice.demo import VoiceJob

SENDABLE = re.compile("[\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]+")
"""Characters SQS takes; it refuses the empty body, too.
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html"""

MORE = {
    "a blank": b" ",
    "a mebibyte of text": b'"' + b"x" * (MAXIMUM_BYTES - 2) + b'"',
    "80,000 keys and no detail": b"{" + b",".join(b'"%d":0' % n for n in range(80_000)) + b"}",
    "a NUL in an id": HEAD.replace(b'"id":"1"', b'"id":"\\u0000"') + b"{}}",
    "a line break in a type": HEAD.replace(b"voice.analytics", b"voice\\nanalytics") + b"{}}",
}


def kinds() -> dict[str, str]:
    """Return all kinds that can stand in an SQS message, as its body."""
    found = {}
    for name, body in ({name: body for name, (body, _) in POISON.items()} | MORE).items():
        try:
            text = body.decode() if isinstance(body, bytes) else body
        except UnicodeDecodeError:
            continue
        if SENDABLE.fullmatch(text) and len(text) <= MAXIMUM_BYTES:
            found[name] = text
    return found


async def play(seed: int, sizes: Sizes) -> Findings:
    """Send each kind of poison with good messages before, between and after."""
    async with open_arena(seed) as arena:
        poison = kinds()
        good = VoiceJob(max(40, sizes.events // 5), arena.random)
        good.prepare(arena.emulators)
        planned = [
            Planned(name, body, disposition="dead-lettered") for name, body in poison.items()
        ]
        planned += good.traffic()
        arena.random.shuffle(planned)
        worker = await arena.worker()
        await worker.start()
        arena.send(planned)
        findings = arena.findings
        findings.expect(await arena.settled(90), "all is settled")
        history = arena.check()
        dead_lettered = Counter(history.dead_lettered)
        names = {
            key: one.kind for key, one in history.sent.items() if one.disposition == "dead-lettered"
        }
        findings.none_of(
            (names[k] for k in names if dead_lettered[k] != 1), "dead-lettered exactly once"
        )
        findings.none_of(_without_reason(arena.dead_letters()), "dead-lettered with a reason")
        receives = arena.receives()
        findings.none_of(
            (names[k] for k in names if receives[k] != 1), "dead-lettered at one receive"
        )
        [records] = await good.effects(arena.emulators)
        findings.expect(records.right, "neighbours are done", records)
        findings.expect(await worker.ready(), "the worker is ready")
        findings.figures |= {
            "kinds of poison": len(poison),
            "neighbours": len(planned) - len(poison),
            "most receives of a neighbour": max(receives.values()),
        }
        return findings


def _without_reason(dead_letters):
    for dead_letter in dead_letters:
        note = dead_letter.sent.attributes.get("worker.failure")
        if note is None or not orjson.loads(note.value)["reason"]:
            yield dead_letter.id

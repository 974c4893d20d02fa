"""`worker backfill`: what was missed is found by its effects, and sent once."""

import asyncio
import json
import os
import re
import signal
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from tests.service.conftest import CONVERSATION
from tests.support.commands import run_as_process, run_here
from worker.app.command_line import for_job, open_with
from worker.app.jobs import load_settings
from worker.clients.aws.idempotency import SKEW_SECONDS
from worker.demo import leg, platform
from worker.demo.environment import LEDGER_TABLE, STATE_MACHINE_ARN, TABLE
from worker.emulators.genesys.cloud import Ended, Spoken
from worker.emulators.genesys.history import History, Past, as_platform
from worker.events import Interval, utc_text
from worker.jobs.workflow import checks

SENTIMENT = "v2.speechandtextanalytics.conversation.{id}.sentiment"
CUSTOMER_END = "v2.detail.events.conversation.{id}.customer.end"
PHONE = "+15550100001"


def hours_ago(hours):
    return datetime.now(UTC) - timedelta(hours=hours)


def ms(moment):
    return int(moment.timestamp() * 1000)


YESTERDAY = hours_ago(25)
DAY = ("--from", utc_text(hours_ago(26)), "--to", utc_text(hours_ago(2)))
MINUTE = timedelta(minutes=1)


def of(run, job):
    return next(one for one in run.json["jobs"] if one["job"] == job)


def missing(run, job):
    return sorted(of(run, job)["conversationIds"])


@pytest.fixture
def environment(emulators):
    return {**emulators.variables(), "LEDGER_TABLE": LEDGER_TABLE}


@pytest.fixture
def start_backfill(environment):
    """Start the command as an operator does; return its process."""

    async def start(*arguments, stderr=asyncio.subprocess.PIPE, **environ):
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "worker", "backfill", *arguments),
            env={**environment, **environ},
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
        )

    return start


@pytest.fixture
def backfill(environment):
    """Run the command with the worker's environment."""

    async def run(*arguments, **environ):
        environ = {**environment, **environ}
        return await run_here(environ, "backfill", *arguments, seconds=120)

    return run


@pytest.fixture
def calls(emulators):
    """Return a function that lets analytics know calls of the last day, each with a score."""

    def know(count, *, first=YESTERDAY, every=MINUTE, scored=True, **more):
        found = [
            Past(
                id=str(UUID(int=(ms(first) << 64) + number, version=4)),
                start_ms=ms(first + number * every),
                ani=f"tel:{PHONE}",
                **more,
            )
            for number in range(count)
        ]
        history = [*emulators.genesys.history.conversations, *found]
        emulators.genesys.history = History(sorted(history, key=lambda past: past.start_ms))
        for past in found:
            emulators.genesys.ended[past.id] = Ended(dict(as_platform(past)))
            if scored:
                emulators.genesys.speech.conversations[past.id] = Spoken(score=0.5)
        emulators.genesys.customers[PHONE] = {"tier": "gold", "ltv": 12500.0}
        return found

    return know


@pytest.fixture
def with_effects(emulators):
    """Return a function that makes the effects of conversations: executions or records."""

    async def start(past):
        async with emulators.aws("stepfunctions") as workflows:
            for one in past:
                name = f"enrich_{one.id}_00c0ffee"
                await workflows.start_execution(stateMachineArn=STATE_MACHINE_ARN, name=name)

    async def record(past):
        items = [
            {
                "conversationId": {"S": one.id},
                "eventTimestamp": {"S": as_platform(one)["conversationEnd"]},
                "detailType": {"S": SENTIMENT},
            }
            for one in past
        ]
        async with emulators.aws("dynamodb") as dynamodb:
            for first in range(0, len(items), 25):
                puts = [{"PutRequest": {"Item": item}} for item in items[first : first + 25]]
                await dynamodb.batch_write_item(RequestItems={TABLE: puts})

    return start, record


@pytest.fixture
def executions(emulators):
    async def read():
        async with emulators.aws("stepfunctions") as workflows:
            pages = workflows.get_paginator("list_executions")
            return [
                execution["name"]
                async for page in pages.paginate(stateMachineArn=STATE_MACHINE_ARN)
                for execution in page["executions"]
            ]

    return read


def ids(past):
    return sorted(one.id for one in past)


def bodies(emulators, queue_url=None):
    messages = emulators.sqs.messages(queue_url or emulators.queue_url)
    return [json.loads(one.sent.body) for one in messages]


@pytest.fixture
async def day(calls, with_effects):
    """1,200 calls of yesterday: of 37 there is no execution, and of 12 no record."""
    past = calls(1200)
    start, record = with_effects
    unstarted, unrecorded = past[5 : 5 + 37 * 30 : 30], past[700:712]
    await start([one for one in past if one not in unstarted])
    await record([one for one in past if one not in unrecorded])
    return unstarted, unrecorded


async def test_of_1200_conversations_those_without_effect_are_found_sent_and_done_once(
    day, backfill, environment, emulators, start_worker, settled, executions, records
):
    unstarted, unrecorded = day

    options = (*DAY, "--json", "--apply", "--rate", "200")
    run = await run_as_process(environment, "backfill", *options, seconds=120)
    assert run.code == 0, run.err
    assert run.json["conversations"] == 1200
    assert missing(run, "workflow") == ids(unstarted)
    assert missing(run, "voice") == ids(unrecorded)
    assert (of(run, "workflow")["sent"], of(run, "voice")["sent"]) == (37, 12)
    assert len({body["id"] for body in bodies(emulators)}) == len(bodies(emulators)) == 49

    async with start_worker(LEDGER_TABLE=LEDGER_TABLE):
        await settled()
    after = await backfill(*DAY, "--json", "--apply")
    assert [one["missing"] for one in after.json["jobs"]] == [0, 0]
    assert len(await executions()) == 1200
    assert len(await records()) == 1200
    assert emulators.sqs.messages(emulators.dead_letter_url) == ()


async def test_what_was_sent_and_has_no_effect_yet_is_not_sent_again(calls, backfill, emulators):
    past = calls(3)

    dry = await backfill(*DAY, "--json")
    assert [one["missing"] for one in dry.json["jobs"]] == [3, 3]
    assert bodies(emulators) == []

    first = await backfill(*DAY, "--json", "--apply", "--rate", "200")
    assert [one["sent"] for one in first.json["jobs"]] == [3, 3]

    for options in ((), ("--apply",)):
        again = await backfill(*DAY, "--json", *options)
        assert again.code == 0, again.err
        assert missing(again, "voice") == missing(again, "workflow") == ids(past)
        assert [one["queuedBefore"] for one in again.json["jobs"]] == [3, 3]
        assert [one["sent"] for one in again.json["jobs"]] == [0, 0]
    assert len(bodies(emulators)) == 6

    nevertheless = await backfill(*DAY, "--json", "--apply", "--again", "--rate", "200")
    assert [one["sent"] for one in nevertheless.json["jobs"]] == [3, 3]


async def test_killed_in_the_middle_and_started_again_nothing_is_done_twice(
    calls, start_backfill, backfill, emulators, start_worker, settled, executions
):
    past = calls(60)
    wanted = (*DAY, "--job", "workflow", "--apply", "--json")

    killed = await start_backfill(*wanted, "--rate", "20")
    await emulators.sqs.wait_until(lambda: len(bodies(emulators)) >= 15, 60)
    killed.send_signal(signal.SIGKILL)
    await killed.communicate()
    before = [body["detail"]["conversationId"] for body in bodies(emulators)]
    assert 15 <= len(before) < 60

    again = await backfill(*wanted, "--rate", "200")

    assert again.code == 0, again.err
    sent = [body["detail"]["conversationId"] for body in bodies(emulators)]
    assert sorted(set(sent)) == ids(past)
    # What was in the very act when it was killed may have been sent without its claim complete.
    assert len(sent) - len(set(sent)) <= 10
    assert of(again, "workflow")["queuedBefore"] + of(again, "workflow")["sent"] == 60

    async with start_worker(LEDGER_TABLE=LEDGER_TABLE):
        await settled()
    started = await executions()
    assert len(started) == 60
    assert [[name for name in started if call in name][1:] for call in ids(past)] == [[]] * 60


async def test_what_a_killed_run_had_claimed_and_not_sent_is_sent_once_its_lease_is_over(
    calls, backfill, emulators
):
    [call] = calls(1)
    ended_at = as_platform(call)["conversationEnd"]
    lease_ends = int(time.time() * 1000) - SKEW_SECONDS * 1000 + 4000
    claim = {
        "id": {"S": f"backfill workflow|{call.id}|{ended_at}"},
        "status": {"S": "IN_PROGRESS"},
        "owner": {"S": "killed"},
        "leaseUntil": {"N": str(int(lease_ends))},
        "expiresAt": {"N": str(int(time.time()) + 3600)},
    }
    async with emulators.aws("dynamodb") as dynamodb:
        await dynamodb.put_item(TableName=LEDGER_TABLE, Item=claim)

    run = await backfill(*DAY, "--json", "--apply", "--job", "workflow")

    assert run.code == 0, run.err
    assert of(run, "workflow")["sent"] == len(bodies(emulators)) == 1


async def test_a_terminal_sees_how_many_of_how_many_are_sent(calls, start_backfill):
    calls(4)
    ours, theirs = os.openpty()
    process = await start_backfill(*DAY, "--apply", "--rate", "3", stderr=theirs, TERM="xterm")
    os.close(theirs)
    shown = await asyncio.to_thread(all_of, ours)
    await process.communicate()

    assert process.returncode == 0
    assert "reading days" in shown
    assert re.search(r"sending events.*[1-7]/8", shown)


def all_of(terminal):
    """Read until the other end is closed, which Linux reports by an error."""
    found = b""
    with suppress(OSError):
        while piece := os.read(terminal, 65536):
            found += piece
    os.close(terminal)
    return found.decode()


async def test_a_late_original_is_a_duplicate_of_what_was_sent_in_its_place(
    calls, backfill, emulators, start_worker, settled, executions, records
):
    [call] = calls(1)
    await backfill(*DAY, "--apply")
    assert len(bodies(emulators)) == 2

    async with start_worker(LEDGER_TABLE=LEDGER_TABLE):
        await settled()
        for body in originals(call):
            emulators.sqs.send(emulators.queue_url, body)
        await settled()

    assert len(await executions()) == 1
    [record] = await records()
    assert record["crmTier"] == {"S": "gold"}
    assert record["eventTimestamp"] == {"S": as_platform(call)["conversationEnd"]}


async def test_what_was_sent_is_a_duplicate_of_an_original_that_came_meanwhile(
    calls, backfill, emulators, start_worker, settled, executions, records
):
    [call] = calls(1)
    elsewhere = emulators.sqs.create_queue("elsewhere")
    await backfill(*DAY, "--apply", SQS_QUEUE_URL=elsewhere)
    replaced = bodies(emulators, elsewhere)
    assert len(replaced) == 2

    async with start_worker(LEDGER_TABLE=LEDGER_TABLE):
        for body in originals(call):
            emulators.sqs.send(emulators.queue_url, body)
        await settled()
        for body in replaced:
            emulators.sqs.send(emulators.queue_url, json.dumps(body))
        await settled()

    assert len(await executions()) == 1
    [record] = await records()
    assert record["detailType"] == {"S": SENTIMENT}


async def test_calls_without_a_score_and_what_has_not_ended_are_not_missing(calls, backfill):
    calls(3, scored=False, first=hours_ago(20))
    calls(3, duration_ms=None)
    recent = calls(1, first=hours_ago(0.5), duration_ms=1000)

    run = await backfill("--from", DAY[1], "--to", utc_text(hours_ago(0)), "--json")

    assert run.code == 0, run.err
    assert missing(run, "voice") == []
    assert len(missing(run, "workflow")) == 3
    assert ids(recent)[0] not in missing(run, "workflow")
    assert any("is left to its own events" in note for note in run.json["notes"])


async def test_a_conversation_that_was_open_for_days_is_found_by_its_end(calls, backfill):
    open_for = timedelta(days=2)
    found = calls(
        1, first=YESTERDAY - open_for, duration_ms=ms(YESTERDAY) - ms(YESTERDAY - open_for)
    )

    run = await backfill(*DAY, "--json", "--job", "workflow")
    shorter = await backfill(*DAY, "--json", "--job", "workflow", "--open-days", "0")

    assert missing(run, "workflow") == ids(found)
    assert missing(shorter, "workflow") == []


async def test_an_execution_of_an_earlier_end_does_not_stand_for_a_later_one(
    emulators, monkeypatch
):
    for name, value in emulators.variables().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_TRANSPORT", "sdk")
    settings = load_settings()
    async with emulators.aws("stepfunctions") as workflows:
        name = f"enrich_{CONVERSATION}_00c0ffee"
        await workflows.start_execution(stateMachineArn=STATE_MACHINE_ARN, name=name)

    async with open_with(settings) as context:
        job, given = for_job(context, "workflow"), settings.jobs["workflow"]
        find = await checks.backfill(job, given, Interval(hours_ago(26), hours_ago(-2)))
        earlier, later = ended(hours_ago(1)), ended(hours_ago(-1))
        found = await find([earlier, later, ended(hours_ago(-1), purpose="user")])

    assert [one.detail["timestamp"] for one in found] == [later["conversationEnd"]]


def ended(at, purpose="customer"):
    participants = [{"purpose": purpose}]
    return {
        "conversationId": CONVERSATION,
        "conversationEnd": utc_text(at),
        "participants": participants,
    }


async def test_a_long_interval_is_read_by_jobs_and_finds_the_same(calls, backfill, emulators):
    old = calls(30, first=hours_ago(24 * 7), every=timedelta(hours=5))
    week = ("--from", utc_text(hours_ago(24 * 7 + 1)), "--to", utc_text(hours_ago(0)))

    run = await backfill(*week, "--json", "--job", "workflow")

    assert run.code == 0, run.err
    asked = emulators.genesys.counts
    assert missing(run, "workflow") == ids(old)
    assert asked["details_job"] >= 5
    assert asked["details_query"] >= 3


async def test_a_day_that_is_too_large_is_read_by_hours(calls, backfill, emulators):
    past = calls(5, every=timedelta(hours=1))
    emulators.genesys.history.is_too_large = lambda start, end: end - start > 3_600_000

    run = await backfill(*DAY, "--json", "--job", "workflow", "--open-days", "0")

    assert run.code == 0, run.err
    assert missing(run, "workflow") == ids(past)


async def test_a_day_that_changes_while_it_is_read_is_read_again(calls, backfill, emulators):
    past = calls(5)
    readings = []

    def without_the_last(_number, page):
        readings.append(page)
        return page[:-1] if len(readings) == 1 and page else page

    emulators.genesys.history.spoil = without_the_last
    settled = await backfill(*DAY, "--json", "--job", "workflow", "--open-days", "0")
    emulators.genesys.history.spoil = lambda _number, page: page[:-1]
    changing = await backfill(*DAY, "--json", "--job", "workflow", "--open-days", "0")

    assert (settled.code, missing(settled, "workflow")) == (0, ids(past)), settled.err
    assert changing.code == 1
    assert changing.json["unsettled"]


async def test_a_job_that_cannot_be_asked_hides_no_other(calls, backfill):
    past = calls(2)

    run = await backfill(*DAY, "--json", DYNAMODB_TABLE="no-such-table")

    assert run.code == 1
    assert "ResourceNotFoundException" in of(run, "voice")["problem"]
    assert missing(run, "workflow") == ids(past)


async def test_events_that_its_settings_would_not_take_are_not_sent(calls, backfill, emulators):
    calls(1)
    types = {"EVENTS_VOICE_TYPES": SENTIMENT.replace("{id}", "*"), "HANDLERS": "voice,forward"}

    run = await backfill(*DAY, "--apply", **types)

    assert run.code == 2
    assert "voice: its settings take no voice.analytics" in run.err
    assert bodies(emulators) == []


async def test_other_jobs_of_the_queue_that_take_the_events_are_named(calls, backfill):
    calls(1)

    run = await backfill(*DAY, "--json", "--job", "workflow", FORWARD_TYPES="conversation.*")

    assert of(run, "workflow")["alsoTakenBy"] == ["forward"]


async def test_nothing_is_sent_where_the_queue_does_not_exist(calls, backfill, emulators):
    calls(2)
    gone = f"{emulators.queue_url}-gone"

    run = await backfill(*DAY, "--apply", SQS_QUEUE_URL=gone)

    assert run.code == 1
    assert "NonExistentQueue" in run.out


async def test_without_an_answer_of_genesys_it_ends_with_3(backfill):
    nowhere = "http://127.0.0.1:9"

    run = await backfill(*DAY, GENESYS_API_URL=nowhere, GENESYS_LOGIN_URL=nowhere)

    assert run.code == 3


async def test_on_a_fifo_queue_a_conversation_is_a_group(calls, backfill, emulators):
    [call] = calls(1)
    fifo = emulators.sqs.create_queue("events.fifo", FifoQueue="true")
    dead = emulators.sqs.create_queue("dead.fifo", FifoQueue="true")
    queues = {"SQS_QUEUE_URL": fifo, "SQS_DEAD_LETTER_QUEUE_URL": dead}

    run = await backfill(*DAY, "--apply", "--job", "workflow", "--again", **queues)
    repeat = await backfill(*DAY, "--apply", "--job", "workflow", "--again", **queues)

    assert (run.code, repeat.code) == (0, 0), run.err
    [message] = emulators.sqs.messages(fifo)
    assert message.sent.group_id == call.id


def originals(call):
    """The events of a call as Genesys Cloud sends them: its end, and its score minutes later."""
    ended = datetime.fromtimestamp(call.end_ms / 1000, UTC)
    scored = {"conversationId": call.id, "sentimentOverallScore": 0.5}
    at = ended + timedelta(minutes=7)
    end = leg(call.id, call.id, ended, mediaType="VOICE")
    return [
        platform(CUSTOMER_END, end, at=ended, event_id=str(UUID(int=1, version=4))),
        platform(SENTIMENT, scored, at=at, event_id=str(UUID(int=2, version=4))),
    ]

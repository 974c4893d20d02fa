"""`worker dlq`: nothing is lost, whatever is asked, and whatever interrupts it."""

import asyncio
import gzip
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from base64 import b64encode
from collections import Counter

import pytest

from tests.cli.in_thread import in_thread
from tests.support.dead_letters import (
    ABC,
    NOW,
    XYZ,
    DeadLettered,
    dead_lettered,
    dead_letters,
    moved,
)
from worker.app.command_line import open_context, open_queue
from worker.cli.dlq.output import progress_text
from worker.cli.dlq.reader import DEFAULT_TIMING, Timing, read_dead_letter
from worker.cli.dlq.redrive import Addresses, Filter, Order, Tally, carry_out
from worker.clients.aws import Message
from worker.emulators.sqs import SqsServer
from worker.emulators.sqs.control import ACCESS_DENIED, FailEntries, When
from worker.emulators.sqs.model import Attribute, Sending
from worker.intake.dead_letters import RECORD_ATTRIBUTE

MOVED = "moved by SQS (maxReceiveCount)"
TRACE = "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1"


QUICK = ("--wait", "0")
"""The emulator says at once, and always, what is there."""

SHORT = Timing(receive=0, before_delete=0.01)


class Clock:
    """The emulator's, so that leases can end at once."""

    def __init__(self):
        self.ahead = 0.0

    def __call__(self):
        return time.monotonic() + self.ahead


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def sqs(clock, monkeypatch):
    with in_thread(lambda: SqsServer(clock=clock)) as (server,):
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.endpoint_url)
        yield server


@pytest.fixture
def fifo():
    return False


@pytest.fixture
def dead(sqs, fifo):
    kind = {"FifoQueue": "true"} if fifo else {}
    return sqs.create_queue("dead.fifo" if fifo else "dead", **kind)


@pytest.fixture
def queue(sqs, dead, fifo):
    kind = {"FifoQueue": "true"} if fifo else {}
    policy = f'{{"deadLetterTargetArn": "{sqs.arn(dead)}", "maxReceiveCount": 1}}'
    return sqs.create_queue("q.fifo" if fifo else "q", RedrivePolicy=policy, **kind)


@pytest.fixture
def environ(queue, dead):
    return {"SQS_QUEUE_URL": queue, "SQS_DEAD_LETTER_QUEUE_URL": dead}


@pytest.fixture
def dlq(worker, environ):
    return lambda *arguments: worker("dlq", *arguments, *QUICK, **environ)


@pytest.fixture
def redriven(queue, dead):
    """Redrive with short timing, and return the tally."""

    async def redrive(timing, **over):
        order = {"addresses": Addresses(queues=[queue]), "only": Filter(), "rate": 1000, **over}
        order = Order(action="redrive", apply=True, before=time.time(), timing=timing, **order)
        async with open_context() as context:
            await carry_out(await open_queue(context, dead), order, tally := Tally())
        return tally

    return lambda timing=SHORT, **over: asyncio.run(redrive(timing, **over))


@pytest.fixture
def moved_by_sqs(queue):
    return lambda *bodies: moved(queue, *bodies)


def bodies(sqs, url):
    return sorted(message.sent.body for message in sqs.messages(url))


def visible(sqs, url):
    return sqs.depth(url).visible


# ── list ───────────────────────────────────────────────────────────────────────────────────────


def test_list_groups_by_reason_and_fingerprint(dlq, dead, moved_by_sqs):
    dead_lettered(
        dead,
        *dead_letters(3, failed_at=NOW),
        *dead_letters(2, XYZ),
        DeadLettered("{}", failed_at=NOW + 60),
    )
    moved_by_sqs("{}")

    done = dlq("list", "--json")

    assert done.code == 0
    assert (done.json["seen"], done.json["approximate"]) == (7, 7)
    assert [(c["count"], c["fingerprint"], c["reason"]) for c in done.json["causes"]] == [
        (4, "abcabcabcabc", "conversationId: empty"),
        (2, "xyzxyzxyzxyz", "genesys: 404 not.found"),
        (1, "moved-by-sqs", MOVED),
    ]
    first = done.json["causes"][0]
    assert first["jobs"] == ["voice"]
    assert first["firstFailure"] == "2026-03-02T11:59:00+00:00"
    assert first["lastFailure"] == "2026-03-02T12:01:00+00:00"


def test_list_leaves_every_message_as_it_was_and_visible_at_once(dlq, sqs, dead):
    sent = dead_lettered(dead, *dead_letters(25))

    dlq("list")

    assert bodies(sqs, dead) == sorted(sent)
    assert visible(sqs, dead) == 25


def test_list_reads_no_more_than_it_is_asked_and_says_so(dlq, sqs, dead):
    dead_lettered(dead, *dead_letters(12))

    done = dlq("list", "--limit", "5")

    assert "5 read of about 12" in done.out
    assert visible(sqs, dead) == 12


def test_list_shows_neither_bodies_nor_attribute_values(dlq, dead):
    phone = {"caller": {"DataType": "String", "StringValue": "+4915112345678"}}
    dead_lettered(dead, DeadLettered('{"phone": "+4915187654321"}', attributes=phone))

    shown = dlq("list").out + dlq("list", "--json").out + dlq("show", ABC.fingerprint).out

    assert "49151" not in shown


@pytest.mark.parametrize("note", ["{", "[]", '{"reason": 1, "lastFailure": "never"}', ""])
def test_a_record_that_cannot_be_read_is_a_cause_like_others(dlq, sqs, dead, note):
    sqs.send(dead, "{}", attributes={RECORD_ATTRIBUTE: Attribute("String", note)})

    (cause,) = dlq("list", "--json").json["causes"]

    assert (cause["fingerprint"], cause["count"]) == ("unreadable", 1)


def test_a_reason_cannot_write_to_the_terminal(dlq, sqs, dead):
    note = '{"reason": "\\u001b]0;\\u202egone", "fingerprint": "f"}'
    sqs.send(dead, "{}", attributes={RECORD_ATTRIBUTE: Attribute("String", note)})

    shown = dlq("list").out + dlq("show", "f").out
    assert "gone" in shown
    assert not {"\x1b", "\u202e"} & set(shown)


def test_an_empty_queue_is_read_at_once(dlq, sqs, dead):
    done = dlq("list", "--json")

    assert (done.code, done.json["seen"]) == (0, 0)
    assert sqs.counts["ReceiveMessage"] == 1


def test_list_counts_only_what_is_selected(dlq, dead):
    (body, *_) = dead_lettered(dead, *dead_letters(3))
    dead_lettered(dead, *dead_letters(2, XYZ))

    by_job = dlq("list", "--job", "workflow")
    by_conversation = dlq("list", "--conversation", json.loads(body)["n"].upper(), "--json").json

    assert "2 selected, 5 read of about 5." in by_job.out
    assert ABC.fingerprint not in by_job.out
    assert (by_conversation["seen"], by_conversation["others"]) == (1, 4)


def test_ages_are_in_words_for_people_and_in_numbers_for_machines(dlq, dead):
    dead_lettered(dead, *dead_letters(2, failed_at=time.time() - 3 * 86400))

    for_people, for_machines = dlq("list").out, dlq("list", "--json").out
    shown = dlq("show", ABC.fingerprint).out

    assert "failed: 3 d 0 h ago (20" in for_people
    assert "ago" not in for_machines
    assert re.search(r"lastFailure: \S+ \(3 d 0 h ago\)", shown)


# ── show ───────────────────────────────────────────────────────────────────────────────────────


def test_show_says_why_and_the_body_only_when_asked(dlq, dead):
    dead_lettered(dead, *dead_letters(3), DeadLettered('{"n": 7}', XYZ))

    (plain,) = dlq("show", XYZ.fingerprint, "--json").json
    (full,) = dlq("show", XYZ.fingerprint, "--json", "--body").json

    assert "body" not in plain
    assert full["body"] == '{"n": 7}'
    assert plain["failure"]["reason"] == XYZ.reason
    assert plain["failure"]["attempts"] == 3


def test_show_decodes_a_body_that_was_too_long_for_its_record(dlq, dead):
    body = '{"n": "' + "x" * 1_040_000 + '"}'
    dead_lettered(dead, DeadLettered(body))

    (full,) = dlq("show", ABC.fingerprint, "--json", "--body").json

    assert full["body"] == body
    assert full["bodyBytes"] == len(body)


def test_show_finds_a_message_by_its_id_before_and_after_it_was_dead_lettered(dlq, dead):
    dead_lettered(dead, *dead_letters(3))
    (one, *_) = dlq("show", ABC.fingerprint, "--count", "3", "--json").json

    (by_old,) = dlq("show", one["failure"]["messageId"], "--json").json
    (by_new,) = dlq("show", one["messageId"], "--json").json

    assert by_old["messageId"] == by_new["messageId"] == one["messageId"]


def test_show_finds_all_that_is_about_a_conversation(dlq, dead):
    (body, *_) = dead_lettered(dead, *dead_letters(3))
    dead_lettered(dead, DeadLettered(body, XYZ))

    found = dlq("show", json.loads(body)["n"], "--count", "9", "--body", "--json").json

    assert [one["body"] for one in found] == [body, body]


def test_show_of_an_unknown_fingerprint_says_so_and_is_exit_code_1(dlq, dead):
    dead_lettered(dead, *dead_letters(1))

    done = dlq("show", "nothing")

    assert done.code == 1
    assert "has the fingerprint, id or conversation nothing" in done.err


@pytest.mark.parametrize("command", [("redrive",), ("delete", "--apply")])
def test_a_filter_by_an_unknown_fingerprint_says_so(dlq, dead, command):
    dead_lettered(dead, *dead_letters(1))

    done = dlq(*command, "--fingerprint", "nothing")

    assert "no dead letter that was read has the fingerprint nothing" in done.err


def test_show_leaves_out_what_a_message_has_not(dlq, dead):
    dead_lettered(dead, *dead_letters(1))
    dead_lettered(dead, DeadLettered("{}", XYZ, group_id="g"))

    assert "groupId" not in dlq("show", ABC.fingerprint).out
    assert "groupId: g" in dlq("show", XYZ.fingerprint).out


# ── redrive ────────────────────────────────────────────────────────────────────────────────────


def test_nothing_is_moved_without_apply(dlq, sqs, queue, dead):
    sent = dead_lettered(dead, *dead_letters(3))

    done = dlq("redrive")

    assert done.code == 0
    assert "3 would be redriven" in done.out
    assert bodies(sqs, queue) == []
    assert (bodies(sqs, dead), visible(sqs, dead)) == (sorted(sent), 3)


def test_redrive_brings_back_the_message_as_it_was(dlq, sqs, queue, dead):
    attributes = {
        "tenant": {"DataType": "String", "StringValue": "t"},
        "raw": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
    }
    dead_lettered(dead, DeadLettered('{"n": 1}', attributes=attributes, group_id="g"))

    done = dlq("redrive", "--apply", "--json")

    (back,) = sqs.messages(queue)
    assert done.json["done"] == 1
    assert (back.sent.body, back.sent.group_id) == ('{"n": 1}', "g")
    assert back.sent.attributes == {
        "tenant": Attribute("String", "t"),
        "raw": Attribute("Binary", b"\x00\xff"),
    }
    assert sqs.messages(dead) == ()


@pytest.mark.parametrize(
    "chosen",
    [
        ("--reason", "404 NOT"),
        ("--fingerprint", XYZ.fingerprint),
        ("--job", "workflow"),
        ("--older-than", "30d"),
    ],
)
def test_a_filter_moves_what_it_names_and_leaves_the_rest_visible(dlq, sqs, queue, dead, chosen):
    others = dead_lettered(dead, *dead_letters(12, failed_at=time.time()))
    meant = dead_lettered(dead, *dead_letters(3, XYZ, failed_at=time.time() - 40 * 86400))

    done = dlq("redrive", *chosen, "--apply", "--json")

    assert (done.json["done"], done.json["others"]) == (3, 12)
    assert bodies(sqs, queue) == sorted(meant)
    assert (bodies(sqs, dead), visible(sqs, dead)) == (sorted(others), 12)


def test_one_conversation_or_one_message_is_redriven(dlq, sqs, queue, dead):
    first, second, _ = dead_lettered(dead, *dead_letters(3))
    (letter,) = dlq("show", json.loads(second)["n"], "--json").json

    by_conversation = dlq(
        "redrive", "--conversation", json.loads(first)["n"], "--apply", "--json"
    ).json
    by_message = dlq("redrive", "--message", letter["messageId"], "--apply", "--json").json

    assert (by_conversation["done"], by_message["done"]) == (1, 1)
    assert bodies(sqs, queue) == sorted([first, second])


def test_a_conversation_is_found_in_a_body_that_was_compressed(dlq, sqs, queue, dead):
    conversation = "c0ffee00-0000-4000-8000-000000000001"
    body = json.dumps({"id": conversation, "more": "x" * 1_040_000})
    dead_lettered(dead, DeadLettered(body), *dead_letters(2))

    assert dlq("delete", "--conversation", conversation, "--json").json["selected"] == 1


def test_what_was_not_read_is_not_said_to_stay(dlq, dead):
    dead_lettered(dead, *dead_letters(12))

    limited, nothing = dlq("redrive", "--limit", "3"), dlq("redrive", "--job", "reports")

    assert "3 would be redriven (q 3), 0 others stay. About 9 were not read." in limited.out
    assert "Nothing was changed. Add --apply to do it." in limited.out
    assert "Nothing was changed. Nothing was selected." in nothing.out


def test_progress_has_a_total_a_rate_and_the_time_that_is_left():
    tally = Tally(depth=600, others=50, done=40, not_sent=10)
    a_letter = read_dead_letter(Message(id="1", receipt="", body="{}", received_at=0))
    tally.causes.add([a_letter] * 50)

    assert progress_text(tally, 10.0) == (
        "100 of about 600 read, 10.0/s, about 50 s left: 40 done, 50 others, 10 failed"
    )
    assert "0.0/s, about ? left" in progress_text(Tally(depth=600), 0.0)


def test_what_sqs_moved_itself_is_redriven_too(dlq, sqs, queue, dead, moved_by_sqs):
    moved_by_sqs('{"n": 1}')
    dead_lettered(dead, *dead_letters(1))

    dlq("redrive", "--reason", "maxReceiveCount", "--apply")

    assert bodies(sqs, queue) == ['{"n": 1}']


def test_a_message_sent_by_another_is_not_taken_for_one_that_sqs_moved(dlq, sqs, dead):
    sqs.send(dead, "{}")

    [cause] = dlq("list", "--json").json["causes"]

    assert (cause["fingerprint"], cause["reason"]) == (
        "no-record",
        "no failure record: not sent by this worker",
    )


def test_a_redriven_message_keeps_its_trace(dlq, sqs, queue, dead):
    sqs._queues.find(dead).send(Sending(body="{}", trace_header=TRACE))

    dlq("redrive", "--apply")

    [message] = sqs.messages(queue)
    assert message.sent.trace_header == TRACE


def test_a_limit_moves_that_many(dlq, sqs, queue, dead):
    dead_lettered(dead, *dead_letters(25))

    done = dlq("redrive", "--limit", "13", "--rate", "1000", "--apply", "--json")

    assert done.json["done"] == 13
    assert (len(bodies(sqs, queue)), visible(sqs, dead)) == (13, 12)


def test_messages_go_no_faster_than_asked(dlq, sqs, queue, dead):
    dead_lettered(dead, *dead_letters(12))
    began = time.monotonic()

    dlq("redrive", "--rate", "5", "--apply")

    sent = [record.time for record in sqs.journal.find("SendMessage") if record.queue == "q"]
    assert len(sent) == 12
    assert time.monotonic() - began > 2
    assert all(len([t for t in sent if at <= t < at + 0.9]) <= 5 for at in sent)


def test_what_is_dead_lettered_again_meanwhile_is_left_alone(worker, sqs, queue, dead, environ):
    dead_lettered(dead, *dead_letters(1))
    future = [message.sent_at_milliseconds for message in sqs.messages(dead)]
    for message in sqs.messages(dead):
        message.sent_at_milliseconds += 3_600_000

    done = worker("dlq", "redrive", "--apply", "--json", *QUICK, **environ)

    assert future
    assert (done.json["done"], done.json["newer"]) == (0, 1)
    assert visible(sqs, dead) == 1


def test_letters_behind_many_that_came_after_the_start_are_redriven(
    worker, sqs, queue, dead, environ
):
    dead_lettered(dead, *dead_letters(45))
    for message in sqs.messages(dead)[:40]:
        message.sent_at_milliseconds += 3_600_000

    done = worker("dlq", "redrive", "--rate", "1000", "--apply", "--json", *QUICK, **environ)

    assert (done.json["done"], done.json["newer"]) == (5, 40)
    assert visible(sqs, dead) == 40


def test_what_cannot_be_sent_stays_and_is_exit_code_1(dlq, sqs, queue, dead):
    sent = dead_lettered(dead, *dead_letters(45))
    sqs.faults.add("SendMessage", ACCESS_DENIED, When(queue="q"))

    done = dlq("redrive", "--rate", "1000", "--apply", "--json")

    assert done.code == 1
    assert done.json["problems"] == ["AccessDenied"]
    assert done.json["notSent"] == 30  # three batches, and no more
    assert (bodies(sqs, dead), visible(sqs, dead)) == (sorted(sent), 45)


def test_one_letter_that_cannot_be_sent_stops_no_other(dlq, sqs, queue, dead):
    dead_lettered(dead, *dead_letters(25))
    sqs.faults.add("SendMessage", ACCESS_DENIED, When(queue="q", last=1))

    done = dlq("redrive", "--rate", "1000", "--apply", "--json")

    assert (done.json["done"], done.json["notSent"]) == (24, 1)
    assert visible(sqs, dead) == 1


# mtime: else each process that collects it has another one, and xdist will not run them.
NOT_DEFLATED = b64encode(gzip.compress(b"{}", mtime=0)[:10] + b"\xff" * 8).decode()


@pytest.mark.parametrize("body", ["{}", "H4sI", NOT_DEFLATED])
def test_an_encoded_body_that_cannot_be_decoded_stays_and_stops_no_other(
    dlq, sqs, queue, dead, body
):
    sent = dead_lettered(dead, *dead_letters(3))
    note = '{"reason": "long", "bodyEncoding": "gzip+base64"}'
    sqs.send(dead, body, attributes={RECORD_ATTRIBUTE: Attribute("String", note)})

    done = dlq("redrive", "--rate", "1000", "--apply", "--json")

    assert (done.code, done.json["problems"]) == (1, ["BodyNotDecoded"])
    assert (done.json["done"], done.json["notSent"]) == (3, 1)
    assert (bodies(sqs, queue), bodies(sqs, dead)) == (sorted(sent), [body])


def test_a_delete_that_fails_at_first_is_tried_again(redriven, sqs, queue, dead):
    dead_lettered(dead, *dead_letters(10))
    sqs.faults.add("DeleteMessageBatch", FailEntries(3), When(last=1))

    tally = redriven()

    assert (tally.failed, tally.done) == (False, 10)
    assert (len(bodies(sqs, queue)), bodies(sqs, dead)) == (10, [])


def test_what_cannot_be_deleted_is_on_both_queues_and_said_so(dlq, sqs, queue, dead):
    sent = dead_lettered(dead, *dead_letters(2))
    sqs.faults.add("DeleteMessageBatch", ACCESS_DENIED)

    done = dlq("redrive", "--apply", "--json")

    assert (done.code, done.json["notDeleted"]) == (1, 2)
    assert bodies(sqs, queue) == bodies(sqs, dead) == sorted(sent)


def test_no_message_is_deleted_before_its_copy_was_taken(dlq, sqs, dead, queue):
    dead_lettered(dead, *dead_letters(30))
    sqs.faults.add("SendMessage", ACCESS_DENIED, When(queue="q", probability=0.5))

    dlq("redrive", "--rate", "1000", "--apply")

    taken, deleted = 0, 0
    for record in sqs.journal.records:
        if record.action == "SendMessage" and record.queue == "q" and record.outcome == "ok":
            taken += 1
        if record.action == "DeleteMessageBatch":
            deleted += len(record.message_ids)
            assert deleted <= taken
    assert taken == deleted > 0
    assert len(bodies(sqs, queue)) + len(bodies(sqs, dead)) == 30


def test_a_long_run_keeps_what_it_read_invisible(redriven, sqs, queue, dead):
    dead_lettered(dead, *dead_letters(30, XYZ), *dead_letters(5))

    redriven(Timing(receive=0, invisible=1), only=Filter(job="voice"), rate=4)

    assert max(sqs.journal.receives.values()) == 1
    assert visible(sqs, dead) == 30


@pytest.mark.parametrize("fifo", [True])
def test_a_fifo_queue_keeps_its_groups_and_their_order(dlq, sqs, queue, dead):
    sent = {group: dead_letters(15, group_id=group) for group in ("a", "b")}
    dead_lettered(dead, *[one for pair in zip(*sent.values(), strict=True) for one in pair])

    done = dlq("redrive", "--rate", "1000", "--apply", "--json")

    assert done.json["done"] == 30
    for group, wanted in sent.items():
        found = [m.sent.body for m in sqs.messages(queue) if m.sent.group_id == group]
        assert found == [dead_letter.body for dead_letter in wanted]


@pytest.mark.parametrize("fifo", [True])
def test_a_fifo_letter_that_cannot_be_sent_holds_back_its_group_only(dlq, sqs, queue, dead):
    stuck, free = dead_letters(5, group_id="a"), dead_letters(5, group_id="b")
    dead_lettered(dead, *stuck, *free)
    sqs.faults.add("SendMessage", ACCESS_DENIED, When(queue="q.fifo", last=1))

    dlq("redrive", "--rate", "1000", "--apply")

    assert [m.sent.body for m in sqs.messages(queue)] == [dead_letter.body for dead_letter in free]
    assert [m.sent.body for m in sqs.messages(dead)] == [dead_letter.body for dead_letter in stuck]


@pytest.mark.parametrize("fifo", [True])
def test_a_copy_that_was_sent_but_not_deleted_is_sent_once_by_the_next_run(dlq, sqs, queue, dead):
    dead_lettered(dead, *dead_letters(3, group_id="a"))
    sqs.faults.add("DeleteMessageBatch", ACCESS_DENIED)
    dlq("redrive", "--apply")
    sqs.faults.clear()

    done = dlq("redrive", "--apply", "--json")

    assert (done.json["done"], len(bodies(sqs, queue)), bodies(sqs, dead)) == (3, 3, [])


@pytest.mark.parametrize("seed", range(2))
def test_kill_9_again_and_again_loses_nothing(sqs, queue, dead, environ, clock, seed):
    sent = dead_lettered(dead, *dead_letters(120))
    sqs.round_trip_seconds = 0.01
    kills = 0

    while bodies(sqs, dead):
        before = len(bodies(sqs, queue))
        process = _a_redrive(environ)
        limit = before + 7 + 13 * (seed + kills) % 29
        while process.poll() is None and len(bodies(sqs, queue)) < limit:
            time.sleep(0.002)
        if process.poll() is None and kills < 3:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.wait(60)
        assert set(bodies(sqs, queue)) | set(bodies(sqs, dead)) == set(sent)
        clock.ahead += DEFAULT_TIMING.invisible + 1

    copies = Counter(bodies(sqs, queue))
    assert kills >= 2
    assert set(copies) == set(sent)
    assert copies.total() - len(copies) <= 10 * kills


def _a_redrive(environ):
    return subprocess.Popen(
        [sys.executable, "-m", "worker", "dlq", "redrive", "--apply", "--rate", "300", "--wait=0"],
        env={**os.environ, **environ},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def test_ctrl_c_shows_everything_again_at_once(sqs, queue, dead, environ):
    dead_lettered(dead, *dead_letters(40, XYZ), *dead_letters(5))
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "worker",
            "dlq",
            "redrive",
            "--job=voice",
            "--rate=0.1",
            "--apply",
            "--wait=0",
        ],
        env={**os.environ, **environ},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _until(lambda: sqs.depth(dead).in_flight, 60)
    process.send_signal(signal.SIGINT)
    code = process.wait(60)

    assert code == 130
    assert sqs.depth(dead).in_flight == 0


# ── native ─────────────────────────────────────────────────────────────────────────────────────


def test_native_lets_sqs_move_everything(dlq, sqs, queue, dead, moved_by_sqs):
    sent = moved_by_sqs('{"n": 1}', '{"n": 2}')

    asked = dlq("redrive", "--native")
    assert bodies(sqs, dead) == sent
    done = dlq("redrive", "--native", "--rate", "500", "--apply", "--json")

    assert (asked.code, done.code) == (0, 0)
    assert "SQS would move everything, about 2 messages." in asked.out
    assert done.json["sourceArn"] == sqs.arn(dead)
    _until(lambda: bodies(sqs, queue) == sent)


def _until(holds, seconds=30):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_native_says_when_sqs_refuses(worker, sqs, dead):
    lone = sqs.create_queue("no-redrive-policy")

    done = worker(
        "dlq", "redrive", "--native", "--apply",
        SQS_QUEUE_URL=dead, SQS_DEAD_LETTER_QUEUE_URL=lone,
    )  # fmt: skip

    assert done.code == 1
    assert "StartMessageMoveTask failed: InvalidParameterValue" in done.err


def test_native_takes_no_filter(dlq, sqs):
    assert dlq("redrive", "--native", "--job", "voice").code == 2
    assert dlq("redrive", "--native", "--limit", "1").code == 2


# ── delete ─────────────────────────────────────────────────────────────────────────────────────


def test_delete_takes_away_what_it_names_and_nothing_else(dlq, sqs, queue, dead):
    kept = dead_lettered(dead, *dead_letters(12))
    dead_lettered(dead, *dead_letters(3, XYZ))

    done = dlq("delete", "--fingerprint", XYZ.fingerprint, "--apply")

    assert done.code == 0
    assert (bodies(sqs, dead), visible(sqs, dead)) == (sorted(kept), 12)
    assert bodies(sqs, queue) == []


def test_delete_does_nothing_without_apply(dlq, sqs, dead):
    dead_lettered(dead, *dead_letters(2))

    assert "2 would be deleted" in dlq("delete", "--all").out
    assert visible(sqs, dead) == 2


@pytest.mark.parametrize("arguments", [(), ("--all", "--job", "voice")])
def test_delete_wants_a_filter_or_all(dlq, sqs, dead, arguments):
    dead_lettered(dead, *dead_letters(1))

    assert dlq("delete", *arguments, "--apply").code == 2
    assert visible(sqs, dead) == 1


@pytest.fixture
def on_a_terminal(environ):
    """Run a command whose stdin is a terminal where `answer` was typed."""

    def run(*arguments, answer=""):
        ours, theirs = pty.openpty()
        os.write(ours, answer.encode())
        done = subprocess.run(  # noqa: S603  our own command
            [sys.executable, "-m", "worker", "dlq", *arguments, "--wait=0"],
            env={**os.environ, **environ},
            stdin=theirs,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        os.close(ours)
        os.close(theirs)
        return done

    return run


@pytest.mark.parametrize(("answer", "left", "code"), [("n", 2, 1), ("y", 0, 0)])
def test_delete_asks_on_a_terminal(on_a_terminal, sqs, dead, answer, left, code):
    dead_lettered(dead, *dead_letters(2))

    done = on_a_terminal("delete", "--all", "--apply", answer=f"{answer}\n")

    assert (done.returncode, visible(sqs, dead)) == (code, left)
    assert "2 would be deleted" in done.stdout
    assert "--apply" not in done.stdout


def test_delete_asks_nothing_when_there_is_nothing_to_delete(on_a_terminal, sqs, dead):
    dead_lettered(dead, *dead_letters(2))

    done = on_a_terminal("delete", "--fingerprint", "nothing", "--apply", "--json")

    assert done.returncode == 0
    assert "for good?" not in done.stderr
    assert json.loads(done.stdout)["selected"] == 0


# ── settings and failures ──────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("url", ["", "same"])
def test_a_dead_letter_queue_that_is_none_is_a_configuration_error(worker, queue, url):
    done = worker(
        "dlq", "list", SQS_QUEUE_URL=queue, SQS_DEAD_LETTER_QUEUE_URL=queue if url else ""
    )

    assert (done.code, done.err.split(":")[0]) == (2, "SQS_DEAD_LETTER_QUEUE_URL")


def test_a_queue_that_does_not_exist_is_one_line_and_exit_code_1(worker, queue, dead):
    done = worker("dlq", "list", SQS_QUEUE_URL=queue, SQS_DEAD_LETTER_QUEUE_URL=f"{dead}-gone")

    assert done.code == 1
    assert re.fullmatch(
        r"\w+ failed: [\w.]+; check its name, the account and the region\n", done.err
    )


@pytest.mark.parametrize("transport", ["wire", "sdk"])
def test_an_sqs_that_is_not_reached_is_exit_code_3(worker, monkeypatch, closed_port, transport):
    url = f"http://127.0.0.1:{closed_port}"
    monkeypatch.setenv("AWS_ENDPOINT_URL", url)
    queues = {"SQS_QUEUE_URL": f"{url}/1/q", "SQS_DEAD_LETTER_QUEUE_URL": f"{url}/1/dead"}

    done = worker("dlq", "list", **queues, AWS_TRANSPORT=transport)

    assert done.code == 3
    assert "get_queue_attributes failed" in done.err


@pytest.mark.parametrize(
    "arguments",
    [
        *(("--older-than", "soon"), ("--rate", "0"), ("--rate", "nan"), ("--limit", "0")),
        ("--conversation", "c0ffee"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(dlq, sqs, arguments):
    assert dlq("redrive", *arguments, "--apply").code == 2
    assert sqs.counts["ReceiveMessage"] == 0

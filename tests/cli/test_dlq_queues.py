"""`worker dlq` with several queues and dead-letter queues: each goes back to its own."""

import json
import random
import time

import pytest

from tests.cli.in_thread import in_thread
from tests.support.dead_letters import moved
from tests.support.factories import an_id
from worker.cli.dlq.reader import read_dead_letter
from worker.cli.dlq.redrive import Addresses, NoAddress
from worker.clients.aws.sqs import Message
from worker.emulators.sqs import SqsServer
from worker.emulators.sqs.model import Attribute
from worker.intake.dead_letters import RECORD_ATTRIBUTE, encode_body


@pytest.fixture
def sqs(monkeypatch):
    with in_thread(lambda: SqsServer(clock=time.monotonic)) as (server,):
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.endpoint_url)
        yield server


@pytest.fixture
def dead(sqs):
    return sqs.create_queue("dead")


@pytest.fixture
def queue(sqs, dead):
    """Return the URL of a queue by its name; its dead letters go to the one for all."""

    def made(name):
        policy = json.dumps({"deadLetterTargetArn": sqs.arn(dead), "maxReceiveCount": 1})
        return sqs.create_queue(name, RedrivePolicy=policy)

    return {name: made(name) for name in ("voice", "chats", "others")}


@pytest.fixture
def environ(queue, dead):
    bound = f"voice={queue['voice']},attributes+sentiment={queue['chats']}"
    return {"SQS_QUEUE_URL": bound, "SQS_DEAD_LETTER_QUEUE_URL": dead}


@pytest.fixture
def dlq(worker, environ):
    def run(*arguments, **over):
        return worker("dlq", *arguments, "--wait", "0", **environ | over)

    return run


@pytest.fixture
def dead_letter(sqs, dead):
    """Put a dead letter as the worker writes them; returns its body as it was on the queue."""

    def put(body=None, attributes=None, url=None, **record):
        body = body or f'{{"n": "{an_id()}"}}'
        encoded = encode_body(body, attributes or {})
        record = {"reason": "why", "fingerprint": "f", **record, **encoded.record}
        own = {RECORD_ATTRIBUTE: Attribute("String", json.dumps(record))}
        for name, value in encoded.attributes.items():
            content = value.get("StringValue") or value["BinaryValue"]
            own[name] = Attribute(value["DataType"], content)
        sqs.send(url or dead, encoded.text, attributes=own)
        return body

    return put


def bodies(sqs, url):
    return sorted(message.sent.body for message in sqs.messages(url))


def test_each_letter_goes_back_to_the_queue_named_in_its_record(dlq, sqs, queue, dead, dead_letter):
    voice = [dead_letter(queue=queue["voice"]) for _ in range(3)]
    chats = [dead_letter(queue=queue["chats"]) for _ in range(2)]

    dry = dlq("redrive")
    done = dlq("redrive", "--apply", "--json")

    assert "5 would be redriven (chats 2, voice 3), 0 others stay." in dry.out
    assert (done.code, done.json["destinations"]) == (0, {"chats": 2, "voice": 3})
    assert bodies(sqs, queue["voice"]) == sorted(voice)
    assert bodies(sqs, queue["chats"]) == sorted(chats)
    assert bodies(sqs, dead) == []


def test_what_sqs_moved_goes_back_to_where_it_came_from(dlq, sqs, queue, dead):
    for name in ("voice", "others"):
        moved(queue[name], name)
    assert len(bodies(sqs, dead)) == 2

    done = dlq("redrive", "--apply", "--json")

    assert done.json["destinations"] == {"others": 1, "voice": 1}
    assert bodies(sqs, queue["others"]) == ["others"]


def test_a_letter_that_names_no_queue_stays_and_stops_no_other(dlq, sqs, queue, dead, dead_letter):
    lost = [dead_letter() for _ in range(45)]
    voice = [dead_letter(queue=queue["voice"]) for _ in range(3)]

    dry = dlq("redrive")
    done = dlq("redrive", "--rate", "1000", "--apply")

    reported = "45 without a queue: it names no queue, and SQS_QUEUE_URL has several. "
    assert f"{reported}Send them by --to URL." in dry.err
    assert reported in done.err
    assert (dry.code, done.code) == (0, 1)
    assert bodies(sqs, queue["voice"]) == sorted(voice)
    assert bodies(sqs, dead) == sorted(lost)
    assert sqs.depth(dead).visible == 45


def test_to_sends_all_to_one_queue_whatever_they_name(dlq, sqs, queue, dead, dead_letter):
    sent = [
        dead_letter(),
        dead_letter(queue=queue["voice"]),
        dead_letter(queue="https://elsewhere.example/1/q"),
    ]

    done = dlq("redrive", "--to", queue["others"], "--apply", "--json")

    assert (done.code, done.json["destinations"]) == (0, {"others": 3})
    assert bodies(sqs, queue["others"]) == sorted(sent)


@pytest.mark.parametrize("url", ["voice", "http://sqs.example/1/q", "arn:aws:sqs:eu-west-1:1:q"])
def test_to_takes_the_url_of_a_queue_only(dlq, url):
    assert dlq("redrive", "--to", url, "--apply").code == 2


def test_all_dead_letter_queues_are_read(dlq, sqs, queue, dead, dead_letter):
    fifo, dead_fifo = (
        sqs.create_queue(f"{name}.fifo", FifoQueue="true", ContentBasedDeduplication="true")
        for name in ("ended", "dead")
    )
    both = {
        "SQS_QUEUE_URL": f"voice={queue['voice']},workflow={fifo}",
        "SQS_DEAD_LETTER_QUEUE_URL": f"{dead},{dead_fifo}",
    }
    one = dead_letter(queue=queue["voice"], fingerprint="a", job="voice")
    other = dead_letter(queue=fifo, url=dead_fifo, fingerprint="b", job="workflow")

    listed = dlq("list", "--json", **both)
    shown = dlq("show", "b", "--json", **both)
    done = dlq("redrive", "--apply", "--json", **both)

    assert (listed.json["seen"], listed.json["approximate"]) == (2, 2)
    assert [(c["jobs"], c["queues"]) for c in listed.json["causes"]] == [
        (["voice"], ["voice"]),
        (["workflow"], ["ended.fifo"]),
    ]
    assert [found["queue"] for found in shown.json] == ["ended.fifo"]
    assert done.json["destinations"] == {"ended.fifo": 1, "voice": 1}
    assert (bodies(sqs, queue["voice"]), bodies(sqs, fifo)) == ([one], [other])


def test_a_limit_holds_for_all_dead_letter_queues_together(dlq, sqs, queue, dead_letter, dead):
    dead_fifo = sqs.create_queue("dead.fifo", FifoQueue="true", ContentBasedDeduplication="true")
    for url in (dead, dead_fifo):
        for _ in range(3):
            dead_letter(queue=queue["voice"], url=url)

    done = dlq("redrive", "--limit", "4", "--apply", "--json",
               SQS_DEAD_LETTER_QUEUE_URL=f"{dead},{dead_fifo}")  # fmt: skip

    assert done.json["done"] == 4


NOISE = random.Random(1)
ODD = "".join(chr(NOISE.choice([NOISE.randint(32, 126), NOISE.randint(161, 0x7FF)]))
              for _ in range(800_000)).encode()[:1_040_000].decode(errors="ignore")  # fmt: skip


def test_a_body_in_an_attribute_comes_back_with_all_attributes(dlq, sqs, queue, dead_letter):
    attributes = {
        f"a{n}": {"DataType": "String", "StringValue": str(n)} for n in range(9)
    } | {"raw": {"DataType": "Binary", "BinaryValue": b"\0\xff"}}  # fmt: skip
    dead_letter(ODD, attributes, queue=queue["voice"])

    [shown] = dlq("show", "f", "--json", "--body").json
    dlq("redrive", "--apply")

    assert shown["failure"]["bodyEncoding"] == "attribute+gzip"
    assert (shown["body"], shown["attributes"]) == (ODD, sorted(attributes))
    [back] = sqs.messages(queue["voice"])
    assert back.sent.body == ODD
    assert {name: one.value for name, one in back.sent.attributes.items()} == {
        **{f"a{n}": str(n) for n in range(9)},
        "raw": b"\0\xff",
    }


def test_a_folded_attribute_is_shown_by_name_only(dlq, dead_letter):
    attributes = {
        f"a{n}": {"DataType": "String", "StringValue": "+4915112345678"} for n in range(10)
    }
    dead_letter("{}", attributes)

    shown = dlq("show", "f", "--json").out

    assert "a9" in shown
    assert "49151" not in shown


def test_native_asks_which_of_several_queues(dlq, sqs, queue, dead):
    moved(queue["voice"], "{}")

    assert dlq("redrive", "--native").code == 2
    assert dlq("redrive", "--native", "--to", queue["voice"], "--apply").code == 0


OURS = (
    "https://sqs.eu-west-1.amazonaws.com/1/voice",
    "https://sqs.eu-west-1.amazonaws.com/1/chats",
)
DEAD = "https://sqs.eu-west-1.amazonaws.com/1/dead"


def a_dead_letter(record=None, moved_from=None):
    note = {} if record is None else {
        RECORD_ATTRIBUTE: {"DataType": "String", "StringValue": json.dumps(record)}
    }  # fmt: skip
    return read_dead_letter(
        Message(
            id="m", receipt="r", body="{}", received_at=0, attributes=note, moved_from=moved_from
        )
    )


@pytest.mark.parametrize("odd", [[], {}, ["m"], 1, None])
def test_an_odd_id_in_a_record_hides_no_other_message(odd):
    dead_letter = a_dead_letter({"messageId": odd})

    assert dead_letter.is_called("m")
    assert not dead_letter.is_called("another")


@pytest.mark.parametrize(
    "named",
    [
        "https://attacker.example/1/voice",
        "https://sqs.eu-west-1.amazonaws.com/2/voice",
        "https://sqs.eu-west-1.amazonaws.com/1/x/../../2/voice",
        "http://sqs.eu-west-1.amazonaws.com/1/voice",
        DEAD,
        "voice",
        "",
    ],
)
def test_a_record_sends_nothing_to_a_stranger_nor_to_the_dead_letter_queue(named):
    with pytest.raises(NoAddress):
        Addresses(queues=OURS).of(a_dead_letter({"queue": named}), DEAD)


def test_a_queue_beside_the_dead_letter_queue_is_taken_from_the_record():
    beside = "https://sqs.eu-west-1.amazonaws.com/1/of-another-deployment"

    assert Addresses(queues=OURS).of(a_dead_letter({"queue": beside}), DEAD) == beside


def test_a_queue_that_sqs_names_is_found_by_its_name():
    ours = a_dead_letter(moved_from="arn:aws:sqs:eu-west-1:1:chats")
    others = a_dead_letter(moved_from="arn:aws:sqs:eu-west-1:1:more")

    assert Addresses(queues=OURS).of(ours, DEAD) == OURS[1]
    assert Addresses(queues=OURS).of(others, DEAD) == "https://sqs.eu-west-1.amazonaws.com/1/more"


def test_one_queue_takes_what_names_none():
    assert Addresses(queues=OURS[:1]).of(a_dead_letter({}), DEAD) == OURS[0]

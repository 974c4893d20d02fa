"""What the benchmarks make of their figures, and the stand-ins they measure against."""

from math import isnan

import orjson
import pytest

from tests.benchmarks import budget, growth, intake, memory, opening, outgoing, steady, voice
from tests.benchmarks.contest import Results
from tests.benchmarks.findings import Spread
from tests.benchmarks.memory import Sample
from tests.benchmarks.queue_server import Stretch
from tests.benchmarks.running import Failed
from tests.benchmarks.tables import Refused, dynamodb

ITEM = {"conversationId": {"S": "c"}, "eventTimestamp": {"S": "2026-03-02T10:00:00.000Z"}}


def claims_of(findings):
    return {claim.text: (round(claim.measured, 3), claim.met) for claim in findings.claims}


def put(item, **more):
    return orjson.dumps({"TableName": "t", "Item": item, **more})


def look(time):
    values = {":c": {"S": "c"}, ":t": {"S": time}, ":d": {"S": "d"}}
    return orjson.dumps({"TableName": "t", "ExpressionAttributeValues": values})


def test_the_table_refuses_a_second_item_of_one_key_if_there_is_a_condition():
    answer, wish = dynamodb(), put(ITEM, ConditionExpression="attribute_not_exists(x)")
    answer("DynamoDB_20120810.PutItem", wish)

    with pytest.raises(Refused) as refused:
        answer("DynamoDB_20120810.PutItem", wish)

    assert b"ConditionalCheckFailedException" in refused.value.content


def test_the_table_finds_items_from_a_time_on():
    answer = dynamodb()
    answer("DynamoDB_20120810.PutItem", put(ITEM))

    def found(time):
        return orjson.loads(answer("DynamoDB_20120810.Query", look(time)))["Count"]

    assert [found("2026-03-02T10:00:00.000Z"), found("2026-03-02T10:00:00.001Z")] == [1, 0]


def test_the_table_refuses_what_it_does_not_know():
    with pytest.raises(Refused):
        dynamodb()("DynamoDB_20120810.Scan", b"{}")


def test_a_padded_message_is_an_event_of_that_size(tmp_path):
    growth.write_padded(tmp_path / "m", 3, 16 * 1024)

    bodies = [orjson.loads(line)[0] for line in (tmp_path / "m").read_bytes().splitlines()]

    assert [len(body) for body in bodies] == [16 * 1024] * 3
    assert len({orjson.loads(body)["id"] for body in bodies}) == 3


def test_a_part_of_the_messages_is_found_by_number(tmp_path):
    path = tmp_path / "m"
    memory.write_part(path, 25, 35)

    lines = path.read_bytes().splitlines()
    ids = [
        orjson.loads(orjson.loads(lines[number % len(lines)])[0])["id"] for number in range(25, 35)
    ]

    assert [int(one[-12:]) for one in ids] == list(range(25, 35))


def test_swing_is_the_distance_from_the_middle_of_the_range():
    assert growth.swing([80, 100, 120]) == pytest.approx(0.2)
    assert isnan(growth.swing([80]))


def test_the_slope_is_of_a_hundred_thousand_messages():
    samples = [Sample(n * 20_000, 80 + n, 140) for n in range(11)]

    assert memory.slope_per_100k(samples) == pytest.approx(5)


def test_a_claim_about_memory_leaves_the_warm_up_out():
    samples = [Sample(1_000, 70, 300), *(Sample(n * 20_000, 80, 140) for n in range(1, 11))]

    start = memory.Start(Spread([1.0]), Spread([63.0]), Spread([0.3]))
    findings = memory.reported(samples, start)

    assert all(claim.met for claim in findings.claims)


def test_an_outgoing_call_is_compared_with_plain_httpx():
    used = {way: Spread([100.0]) for way in outgoing.WAYS} | {"httpx": Spread([500.0])}

    assert list(claims_of(outgoing.reported(used)).values()) == [(0.2, True)]


def test_events_per_request_are_those_of_the_workflow():
    findings = budget.reported({"voice": (50, 84), "workflow": (150, 10), "reports": (1, 12)})

    assert list(claims_of(findings).values()) == [(15.0, False)]


def test_the_pipeline_is_compared_by_clock_and_by_cpu():
    stretch = Stretch(
        deleted=100, complete=True, seconds=0.5, cpu_seconds=0.1, server_seconds=0.0, calls={}
    )
    slow = voice.Rate(5.0, 200.0)
    rounds = {one.name: [slow] for one in voice.PIPELINES}
    rounds[voice.OURS.name] = rounds[voice.OURS_MANY.name] = [voice.rate_of(stretch)]

    claims = list(claims_of(voice.reported(Results(rounds))).values())

    assert claims == [(40.0, True), (5.0, True), (5.0, True), (5.0, True)]


def test_a_pipeline_that_is_faster_than_its_requests_allow_was_not_measured():
    rate = voice.Rate(per_second=1000, per_cpu_second=1000)

    with pytest.raises(Failed, match="640 at most"):
        voice.asked(voice.OURS, rate)

    assert voice.asked(voice.OURS_MANY, rate) == rate


def test_one_bad_round_of_the_pipeline_is_enough():
    rounds = {one.name: [voice.Rate(5.0, 200.0)] * 2 for one in voice.PIPELINES}
    rounds[voice.OURS.name] = [voice.Rate(100, 1000), voice.Rate(100, 500)]

    claims = claims_of(voice.reported(Results(rounds)))

    assert claims["the same at 64, in the worst round"] == (2.5, False)


@pytest.mark.parametrize("kib", opening.KIBIBYTES)
def test_a_large_event_is_read_as_one_that_is_wanted(kib):
    body = opening.body_of(kib * 1024, 1)

    assert 0.9 < len(body) / (kib * 1024) < 1.1
    assert len(opening.reader()(body)) == 1


def test_a_pipeline_that_was_not_measured_bears_no_claim_out():
    rounds = {one.name: [] for one in voice.PIPELINES}

    findings = voice.reported(Results(rounds, dict.fromkeys(rounds, "no network")))

    assert not any(claim.met for claim in findings.claims)


def test_the_intake_is_held_to_the_bare_loop_and_to_go_plain_and_over_tls():
    def costs(ours, bare, go):
        figures = {intake.OURS.name: ours, intake.BARE.name: bare, intake.GO.name: go}
        names = [one.name for one in intake.CONTESTANTS]
        at = {name: [intake.Cost(1000, figures.get(name, 100), 200, 1, 0)] for name in names}
        return Results(at)

    plain, tls = costs(29, 100, 30), costs(48, 150, 40)
    claims = claims_of(intake.reported({0: plain, 5: plain}, tls))

    assert claims["CPU of a message, of the bare loop's"] == (0.29, True)
    assert claims["CPU of a message, of Go's with parse"] == (0.967, True)
    assert claims["CPU of a message over TLS, of the bare loop's"] == (0.32, False)
    assert claims["CPU of a message over TLS, of Go's with parse"] == (1.2, True)


def test_the_steady_load_is_judged_by_calls_cpu_and_the_late_ones():
    def costs(calls, late):
        ours = [steady.Cost(12, calls, (0.02, late))]
        others = {one.name: [steady.Cost(100, 2000, (0.01, 0.02))] for one in steady.CONTESTANTS}
        return Results({**others, steady.OURS.name: ours})

    claims = claims_of(steady.reported({200: costs(430, 0.16), 20: costs(960, 0.05)}))

    assert list(claims.values()) == [
        (430, True),
        (960, False),
        (0.12, True),
        (0.12, True),
        (160, False),
    ]


def test_a_message_waits_from_its_sending_to_the_first_note_of_it(tmp_path):
    notes = tmp_path / "notes"
    notes.write_text("".join(f"begin {n} {100 + n}\nend {n} {200 + n}\n" for n in range(1, 12)))

    middle, late = steady._begun({n: 99.5 + n for n in range(1, 12)}, notes, 1)

    assert (middle, late) == (0.5, 0.5)

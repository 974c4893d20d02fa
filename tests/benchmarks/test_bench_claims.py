"""What the benchmarks make of their figures, and the stand-ins they measure against."""

import json
from math import isnan

import orjson
import pytest

from tests.benchmarks import (
    analytics,
    aws_calls,
    budget,
    functions,
    growth,
    head_of_line,
    intake,
    memory,
    opening,
    outgoing,
    rows,
    sigterm,
    steady,
    voice,
)
from tests.benchmarks.contest import Results
from tests.benchmarks.findings import Spread
from tests.benchmarks.memory import Sample
from tests.benchmarks.queue_server import Stretch
from tests.benchmarks.running import Failed
from tests.benchmarks.tables import Refused, dynamodb
from tests.support.console import until

ITEM = {"conversationId": {"S": "c"}, "eventTimestamp": {"S": "2026-03-02T10:00:00.000Z"}}


MANY = Results({one.name: [] for one in voice.ONCE})


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


def test_a_bad_minute_of_a_round_is_no_swing_and_growth_in_all_of_them_is():
    bad_minutes = [[100, 100, 180], [180, 100, 100], [100, 180, 100]]
    growing = [[80, 100, 120], [160, 200, 240], [80, 110, 120]]

    assert growth.swings(bad_minutes).middle == pytest.approx(1 / 6, rel=0.01)
    assert growth.swings([*bad_minutes, [100, 100, 100], [100, 100, 100]]).middle == 0
    assert growth.swings(growing).middle == pytest.approx(0.2)
    assert growth.swings([[80, 100, 120]]).middle == pytest.approx(0.2)
    assert isnan(growth.swings([]).middle)


def test_the_slope_is_of_a_hundred_thousand_messages():
    samples = [Sample(n * 20_000, 80 + n, 140) for n in range(11)]

    assert memory.slope_per_100k(samples) == pytest.approx(5)


def test_a_claim_about_memory_leaves_the_warm_up_out():
    samples = [Sample(1_000, 70, 300), *(Sample(n * 20_000, 80, 140) for n in range(1, 11))]

    start = memory.Start(*map(Spread, ([1.0], [63.0], [0.3], [0.11])))
    findings = memory.reported([samples], start)

    assert all(claim.met for claim in findings.claims)


def test_a_long_run_is_judged_by_the_median_of_its_rounds():
    def run(slope):
        return [Sample(n * 20_000, 80 + n * slope / 5, 140) for n in range(11)]

    start = memory.Start(*map(Spread, ([1.0], [63.0], [0.3], [0.11])))
    claims = claims_of(memory.reported([run(1), run(9), run(2)], start))

    assert claims["memory added by 100,000 messages"] == (2, True)


def test_the_cost_of_a_long_run_is_judged_by_its_fifths():
    costs = [0, *(100, 140) * 4, 150, 210]
    run = [Sample(n * 20_000, 80, cost) for n, cost in enumerate(costs)]

    start = memory.Start(*map(Spread, ([1.0], [63.0], [0.3], [0.11])))
    claims = claims_of(memory.reported([run], start))

    assert claims["cost of a message, ± from 1,000 to 199,000 messages"] == (0.2, True)


def test_an_outgoing_call_is_compared_with_plain_httpx():
    used = {way: [100.0] for way in outgoing.WAYS} | {"httpx": [500.0]}

    assert list(claims_of(outgoing.reported(used)).values()) == [(0.2, True)]


def test_events_per_request_are_those_of_the_workflow():
    findings = budget.reported({"voice": (50, 84), "workflow": (150, 10), "reports": (1, 12)})

    assert list(claims_of(findings).values()) == [(15.0, False)]


def test_the_pipeline_is_compared_by_clock_and_by_cpu():
    stretch = Stretch(
        deleted=100,
        complete=True,
        given=100,
        seconds=0.5,
        cpu_seconds=0.1,
        server_seconds=0.0,
        calls={},
    )
    slow = voice.Rate(5.0, 200.0)
    rounds = {one.name: [slow] for one in voice.PIPELINES}
    rounds[voice.OURS.name] = [voice.rate_of(stretch)]

    claims = list(claims_of(voice.reported(Results(rounds), MANY)).values())

    assert claims == [(5.0, True), (5.0, True), (40.0, True)]


def test_a_pipeline_that_is_faster_than_its_requests_allow_was_not_measured():
    rate = voice.Rate(per_second=1000, per_cpu_second=1000)

    with pytest.raises(Failed, match="640 at most"):
        voice.asked(voice.OURS, rate)

    assert voice.asked(voice.OURS_MANY, rate) == rate


def test_one_bad_round_of_the_pipeline_is_enough():
    rounds = {one.name: [voice.Rate(5.0, 200.0)] * 2 for one in voice.PIPELINES}
    rounds[voice.OURS.name] = [voice.Rate(100, 1000), voice.Rate(100, 500)]

    claims = claims_of(voice.reported(Results(rounds), MANY))

    assert claims["the same in the worst round"] == (2.5, False)


@pytest.mark.parametrize("kib", opening.KIBIBYTES)
def test_a_large_event_is_read_as_one_that_is_wanted(kib):
    body = opening.body_of(kib * 1024, 1)

    assert 0.9 < len(body) / (kib * 1024) < 1.1
    assert len(opening.reader()(body)) == 1


def test_a_pipeline_that_was_not_measured_bears_no_claim_out():
    rounds = {one.name: [] for one in voice.PIPELINES}

    findings = voice.reported(Results(rounds, dict.fromkeys(rounds, "no network")), MANY)

    assert not any(claim.met for claim in findings.claims)


def test_the_intake_is_held_to_the_bare_loop_and_to_go_plain_and_over_tls():
    def costs(ours, bare, go, optimised=0.8):
        figures = {intake.OURS.name: ours, intake.BARE.name: bare, intake.GO.name: go}
        figures[intake.OURS_OPTIMISED.name] = optimised * ours
        names = [one.name for one in intake.EVERYONE]
        at = {name: [intake.Cost(1000, figures.get(name, 100), 200, 1, 0)] for name in names}
        return Results(at)

    plain, far, tls = costs(29, 100, 30), costs(34, 120, 30, 0.9), costs(48, 150, 40)
    claims = claims_of(intake.reported({0: plain, 5: far}, tls))

    assert claims["CPU of a message, of the bare loop's"] == (0.29, True)
    assert claims["CPU of a message, of the cheapest other peer's"] == (0.29, True)
    assert claims["CPU of a message on the optimised Python, of Go's with parse"] == (0.773, True)
    assert claims["CPU of a message, of Go's with parse"] == (0.967, True)
    at_5_ms = "CPU of a message at 5 ms of round trip"
    assert claims[f"{at_5_ms}, of the bare loop's"] == (0.283, True)
    assert claims[f"{at_5_ms} on the optimised Python, of Go's with parse"] == (1.02, False)
    assert claims[f"{at_5_ms}, of Go's with parse"] == (1.133, False)
    assert claims["CPU of a message over TLS, of the bare loop's"] == (0.32, False)
    assert claims["CPU of a message over TLS, of Go's with parse"] == (1.2, True)


def test_without_a_bare_loop_on_its_python_a_contestant_has_no_ratio_to_it():
    both = [intake.OURS_OPTIMISED, intake.GO]
    results = Results({one.name: [intake.Cost(1000, 40, 200, 1, 0)] for one in both})

    row = intake._row(intake.OURS_OPTIMISED, results)

    assert row[3] is None
    assert row[4].middle == 1


def test_the_steady_load_is_judged_by_calls_cpu_and_the_late_ones():
    def costs(calls, late):
        ours = [steady.Cost(12, calls, (0.02, late))]
        others = {one.name: [steady.Cost(100, 2000, (0.01, 0.02))] for one in steady.CONTESTANTS}
        return Results({**others, steady.OURS.name: ours})

    claims = claims_of(steady.reported({200: costs(430, 0.16), 20: costs(960, 0.05)}))

    assert list(claims.values()) == [
        (430, True),
        (0.12, True),
        (160, False),
        (960, False),
        (0.12, True),
    ]


def test_a_message_waits_from_its_sending_to_the_first_note_of_it(tmp_path):
    notes = tmp_path / "notes"
    notes.write_text("".join(f"begin {n} {100 + n}\nend {n} {200 + n}\n" for n in range(1, 12)))

    middle, late = steady._begun({n: 99.5 + n for n in range(1, 12)}, notes, 1)

    assert (middle, late) == (0.5, 0.5)


def test_a_call_of_aws_is_compared_with_one_over_aiohttp_round_by_round():
    used = {"wire": [50, 90, 60], "aiohttp": [200, 180, 150], "sdk": [600, 600, 600]}

    assert list(claims_of(aws_calls.reported(used)).values()) == [(0.4, True)]


def test_the_machines_speed_is_that_of_most_of_the_work():
    taken = [rows.LEAST_PAGES * rows.QUERY_PAGE * us / 1e6 for us in (3, 6)]

    assert rows.least_us(taken) == pytest.approx(4)  # a second at 3 us, and one at 6: half as much


async def test_the_yardstick_is_taken_while_the_report_is_written():
    page = analytics.conversations(0, rows.QUERY_PAGE)

    async with rows.yardstick(page) as taken:
        await until(lambda: len(taken) >= 3)

    assert min(taken) > 0


def test_the_dearest_of_the_usual_reports_is_what_is_claimed():
    def run(us, kept):
        figures = {"least_us": 2 * rows.LEAST_US, "seconds": 1.0, "kept_ms": 1.0}
        return {"cpu_us": us, "mib": 30, "kept_cpu_ms": kept, "rows": 1, "groups": 1, **figures}

    found = {way: [run(20, 10)] for way in (*rows.USUAL, *rows.MANY_GROUPS)}
    found[rows.USUAL[1]], found[rows.MANY_GROUPS[0]] = [run(52, 5)], [run(90, 42)]

    claims = list(claims_of(rows.reported(found, 1_000_000)).values())

    assert claims == [(26, False), (30, True), (21, False)]


def test_the_imports_are_judged_by_the_speed_of_the_machine_in_their_round():
    samples = [Sample(n * 20_000, 80, 140) for n in range(11)]
    start = memory.Start(*map(Spread, ([3.1, 1.5], [63.0], [0.8, 0.32], [0.22, 0.11])))

    claims = claims_of(memory.reported([samples], start))

    assert claims["CPU of the imports, at the speed of the aims"] == (0.36, False)
    assert claims["start to ready, at that speed"] == (1.525, False)


def test_one_round_that_leaves_a_message_hidden_is_enough():
    ends = [sigterm.End(hidden, 0, 0, 0.2) for hidden in (0, 0, 1)]
    others = {one.name: [] for one in sigterm.OTHERS}

    claims = claims_of(sigterm.reported(Results({sigterm.OURS.name: ends, **others})))

    assert list(claims.values()) == [(1, False)]


def test_the_head_of_line_is_the_median_of_its_rounds():
    delays = [head_of_line.Delay(1.0, disturbed, 500) for disturbed in (1.1, 9.0, 1.2)]
    others = {one.name: [] for one in head_of_line.OTHERS}

    findings = head_of_line.reported(Results({head_of_line.OURS.name: delays, **others}))

    assert list(claims_of(findings).values()) == [(1.2, True)]


def test_growth_is_judged_within_each_round_and_shows_one_to_four_replicas():
    flat = [growth.Cost(40, 1), growth.Cost(80, 1), growth.Cost(60, 1)]
    points = [
        *(growth.Point(concurrency=count) for count in growth.CONCURRENCIES),
        *(growth.Point(body_kib=kib) for kib in growth.BODY_KIB),
        *(growth.Point(replicas=count) for count in growth.REPLICAS),
    ]

    findings = growth.reported(Results({one.name: flat for one in points}), {})

    assert [claim.met for claim in findings.claims] == [True]
    [replicas] = [table for table in findings.tables if table.name == "growth_replicas"]
    assert [row[0] for row in replicas.rows] == [1, 2, 3, 4]


def test_a_function_is_billed_by_the_millisecond_of_its_part_of_a_cpu():
    prices = functions.Prices(json.loads(functions.PRICES_FILE.read_text()))

    assert functions.billed_ms(20, 10) == 1
    assert functions.billed_ms(1000, 1) == 4
    assert functions.compute_dollars(4, 10, prices) == pytest.approx(0.02 + 0.00267, abs=1e-4)


def test_ours_stands_beside_the_function_with_or_without_powertools():
    ours = Results({functions.OURS.name: [functions.Cpu(40.0)]})
    found = {functions.Function(each).name: [functions.Cpu(20.0)] for each in functions.BATCHES}
    missing = {name: [] for name in found}

    [full] = functions.reported(Results({**ours.rounds, **found})).tables
    [less] = functions.reported(
        Results({**ours.rounds, **missing}, dict.fromkeys(missing, "no"))
    ).tables

    assert [row[0] for row in full.rows] == [row[0] for row in less.rows]
    assert len(less.missing) == len(functions.BATCHES)

"""Faults that the simulation found, each in its smallest scenario."""

from tests.simulation.play import play
from tests.simulation.scenario import JOBS, Expect, Fault, Job, Restart, Scenario, Traffic

ANALYTICS = Job(("analytics", "stepfunctions"))
REMEMBERING = Job(("dynamodb",), may_miss=("data_action",))


def test_a_drain_ends_the_pollers_that_wait_for_a_permit():
    scenario = Scenario(
        "drain under load",
        60,
        (Traffic("voice", count=200), Traffic("workflow", count=200)),
        (Expect("voice", most_receives=3), Expect("workflow", most_receives=3)),
        jobs={"voice": JOBS["voice"], "workflow": ANALYTICS},
        restarts=(Restart(5),),
    )

    assert play(scenario).problems == []


def test_a_job_behind_an_open_one_on_the_same_queue_is_probed():
    scenario = Scenario(
        "the second job of a queue",
        1500,
        (Traffic("voice", 0.3, end=500), Traffic("workflow", 1, end=500)),
        (Expect("voice", longest=10), Expect("workflow", longest=1200, back_within=90)),
        jobs={"voice": JOBS["voice"], "workflow": ANALYTICS},
        faults=(Fault("analytics", 60, 200),),
        fault_ends=200,
        one_queue=True,
    )

    assert play(scenario).problems == []


def test_an_upstream_that_a_job_may_miss_is_probed():
    scenario = Scenario(
        "what may be missing",
        1500,
        (Traffic("voice", 1, end=500),),
        (Expect("voice", longest=1200, back_within=60),),
        jobs={"voice": REMEMBERING},
        faults=(Fault("data_action", 60, 200),),
        fault_ends=200,
    )

    assert play(scenario).problems == []


def test_a_probe_refused_by_what_its_job_may_miss_is_not_chosen_again_at_once():
    scenario = Scenario(
        "what may be missing, and what is needed",
        1500,
        (Traffic("voice", 1, end=500, light=0.5),),
        (Expect("voice", longest=1200),),
        jobs={"voice": REMEMBERING},
        faults=(Fault("data_action", 60, 300), Fault("dynamodb", 150, 280)),
    )

    assert play(scenario).problems == []

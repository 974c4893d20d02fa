"""Jobs of other distributions, found by their entry point."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.own_jobs.conftest import run_python
from worker.demo import History, Past
from worker.testing import an_event

EVENT_ID = "5a000000-0000-4000-8000-000000000001"

JOB = """
from worker.api import JobSettings, Result, any_events, Globs, Job

class Mine(JobSettings):
    {field}: str | None = None
    events_{name}_types: Globs = ("v2.mine",)

async def build(context, settings):
    async def handle(event):
        return Result.OK
    return handle

async def inspector(context, settings, files):
    from worker.api import Inspection
    async def inspect(event):
        line = ("ok", "stored as", f"{{settings.{field}}}/{{event.origin.event_id}}")
        return Inspection(lines=[line], report={{"files": sorted(files)}})
    return inspect

async def trace(context, settings, conversation_id):
    from worker.api import Trace, TraceEntry
    entry = TraceEntry(time=None, what="mine", id=conversation_id, state=context.job)
    return [Trace(where=settings.{field}, entries=[entry])]

async def backfill(context, settings, interval):
    from worker.api import Lost
    async def find(conversations):
        ids = [one["conversationId"] for one in conversations]
        return [
            Lost(key=one, conversation_id=one, detail_type="v2.mine", time=interval.start,
                 detail={{"conversationId": one}})
            for one in ids
        ]
    return find

async def check(context, settings):
    from worker.api import fail
    return [fail("mine", f"made by {{context.job}}", "do something")]

JOB = Job(name="{name}", summary="mine", events=[any_events("events_{name}_types")], settings=Mine,
    build=build, requires=["{required}"], topics=["v2.mine.{{id}}"], {more})
"""


def source_of(name="mine", field="mine_target", required=None, more=""):
    return JOB.format(name=name, field=field, required=required or field.upper(), more=more)


async def test_an_installed_job_is_listed_with_its_distribution(a_distribution):
    listed = await run_python(
        "-m", "worker", "jobs", "--json", site=a_distribution("mine", source_of())
    )

    entry = listed.json["jobs"][-1]
    assert (entry["name"], entry["distribution"]) == ("mine", "mine-jobs")
    assert (entry["detail_types"], entry["topics"]) == (["v2.mine"], ["v2.mine.{id}"])


async def test_the_list_shows_what_a_job_lacks_and_that_one_is_on(a_distribution):
    site = a_distribution("mine", source_of())

    off = await run_python("-m", "worker", "jobs", site=site)
    on = await run_python("-m", "worker", "jobs", site=site, MINE_TARGET="x")

    assert "mine  off: lacks MINE_TARGET" in off.out
    assert "mine  on" in on.out


async def test_the_json_is_the_same_whatever_the_environment(a_distribution):
    site = a_distribution("mine", source_of())

    plain = await run_python("-m", "worker", "jobs", "--json", site=site)
    other = await run_python(
        "-m", "worker", "jobs", "--json", site=site, MINE_TARGET="x", EVENTS_MINE_TYPES="y"
    )

    assert plain.out == other.out


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("JOB = 1", "job mine: mine:JOB is no worker.api.Job"),
        ("import nowhere_at_all", "job mine: ModuleNotFoundError"),
        (source_of(name="voice"), "job voice: the name is taken by"),
        (source_of(field="dynamodb_table"), "its setting DYNAMODB_TABLE is job voice's"),
        (source_of(more="webhooks=['hook_url']"), "its settings have no field hook_url"),
    ],
)
async def test_a_declaration_that_cannot_hold_ends_the_command_with_its_reason(
    a_distribution, source, problem
):
    listed = await run_python("-m", "worker", "jobs", site=a_distribution("mine", source))

    assert listed.code == 2
    assert problem in listed.err


async def test_the_checks_of_a_job_are_run_when_it_is_on(a_distribution, emulators):
    site = a_distribution("mine", source_of(more='checks={"mine": "mine:check"}'))

    checked = await run_python(
        "-m", "worker", "check", "--json", site=site, HANDLERS="mine", MINE_TARGET="x"
    )

    rows = {(row["name"], row["state"], row["found"]) for row in checked.json}
    assert ("mine", "fail", "made by mine") in rows
    assert ("job mine", "ok", "set: MINE_TARGET") in rows
    assert checked.code == 1


async def test_inspect_asks_the_inspector_of_a_job_and_shows_what_it_says(a_distribution, tmp_path):
    site = a_distribution("mine", source_of(more='inspector="mine:inspector"'))
    (tmp_path / "event.json").write_text(an_event("v2.mine", {}, event_id=EVENT_ID))
    command = ("-m", "worker", "inspect", tmp_path / "event.json")

    plain, live, asked = [
        await run_python(*command, *more, site=site, MINE_TARGET="x")
        for more in ((), ("--live", "--body"), ("--live", "--body", "--json"))
    ]

    assert f"stored as      x/{EVENT_ID}" in live.out
    assert "stored as" not in plain.out
    assert asked.json[0]["report"] == {"files": []}


async def test_a_service_that_there_is_no_model_of_is_a_finding(a_distribution, emulators):
    site = a_distribution("mine", source_of(more='aws_services=["kinesys"]'))

    checked = await run_python(
        "-m", "worker", "check", "--json", site=site, HANDLERS="mine", MINE_TARGET="x"
    )

    rows = {(row["name"], row["state"], row["found"]) for row in checked.json}
    assert ("job mine: kinesys", "fail", "AWS service kinesys") in rows


async def test_a_webhook_of_an_installed_job_is_reached(a_distribution, emulators):
    source = source_of(field="mine_hook_url", more="webhooks=['mine_hook_url']")
    source = source.replace("str | None", "Url | None").replace("import JobS", "import Url, JobS")

    checked = await run_python(
        "-m", "worker", "check", "--json", site=a_distribution("mine", source),
        HANDLERS="mine", MINE_HOOK_URL=emulators.sinks["crm"].url,
    )  # fmt: skip

    assert {row["name"]: row["state"] for row in checked.json}["MINE_HOOK_URL"] == "ok"
    assert emulators.sinks["crm"].deliveries == []


async def test_topics_are_those_of_the_jobs_that_are_on(a_distribution, emulators):
    site = a_distribution("mine", source_of())
    command = ("-m", "worker", "source", "create", "s", "--account", "111122223333")
    command += ("--region", "eu-west-1", "--apply")

    await run_python(*command, site=site, HANDLERS="mine", MINE_TARGET="x")

    [made] = emulators.genesys.integrations.values()
    assert made["config"]["properties"]["eventFilter"] == ["v2.mine.{id}"]


async def test_handlers_that_name_no_job_end_source_with_exit_code_2(a_distribution, emulators):
    command = ("-m", "worker", "source", "create", "s", "--account", "111122223333")
    command += ("--region", "eu-west-1")

    done = await run_python(*command, site=a_distribution("mine", source_of()), HANDLERS="yours")

    assert done.code == 2
    assert "HANDLERS: 'yours' is not a job" in done.err


async def test_trace_shows_what_a_job_says_that_it_did(a_distribution, emulators):
    site = a_distribution("mine", source_of(more='trace="mine:trace"'))
    environ = {"HANDLERS": "mine", "MINE_TARGET": "my shelf"}

    run = await run_python("-m", "worker", "trace", EVENT_ID, "--json", site=site, **environ)

    assert run.code == 0
    [entry] = run.json["entries"]
    assert entry["job"] == entry["state"] == entry["what"] == "mine"
    assert (entry["where"], entry["id"], entry["time"]) == ("my shelf", EVENT_ID, None)


async def test_a_trace_that_does_not_exist_ends_the_command_with_its_reason(
    a_distribution, emulators
):
    site = a_distribution("mine", source_of(more='trace="mine:tracing"'))
    environ = {"HANDLERS": "mine", "MINE_TARGET": "my shelf"}

    run = await run_python("-m", "worker", "trace", EVENT_ID, site=site, **environ)

    assert run.code == 2
    assert "job mine: mine:tracing" in run.err


async def test_a_backfill_sends_what_a_job_says_that_it_has_missed(a_distribution, emulators):
    site = a_distribution("mine", source_of(more='backfill="mine:backfill"'))
    end = datetime.now(UTC) - timedelta(days=1)
    past = [
        Past(id=f"c0ffee00-0000-4000-8000-{n:012}", start_ms=int(end.timestamp() * 1000) - 120_000)
        for n in range(3)
    ]
    emulators.genesys.history = History(past)
    interval = ("--from", f"{end - timedelta(hours=1):%FT%TZ}", "--to", f"{end:%FT%TZ}")
    environ = {"HANDLERS": "mine", "MINE_TARGET": "my shelf"}

    run = await run_python(
        *("-m", "worker", "backfill", *interval, "--apply", "--rate", "50", "--json"),
        site=site,
        **environ,
    )

    assert run.code == 0, run.err
    sent = [json.loads(one.sent.body) for one in emulators.sqs.messages(emulators.queue_url)]
    assert {one["detail"]["conversationId"] for one in sent} == {one.id for one in past}
    assert {one["detail-type"] for one in sent} == {"v2.mine"}
    organization = emulators.genesys.organization_id
    source = f"aws.partner/genesys.com/cloud/{organization}/backfill"
    assert {one["source"] for one in sent} == {source}

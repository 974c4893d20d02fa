"""`worker settings`, and what every command does with bad settings."""

import subprocess
import sys

import pytest

from tests.unit.test_settings import BAD, GOOD, VOICE
from worker import __version__
from worker.cli.commands import variables_in


def test_it_shows_every_setting_and_exits_with_0(worker):
    run = worker("settings", **GOOD)

    assert run.code == 0
    assert "SQS_QUEUE_URL" in run.out
    assert "HANDLERS" in run.out
    assert "canary-secret" not in run.out + run.err


def test_it_prints_the_table_also_when_nothing_is_set(worker):
    run = worker("settings")

    assert run.code == 2
    assert "BREAKER_MAX_OPEN_SECONDS" in run.out
    assert "SQS_QUEUE_URL: is not set" in run.err


def test_names_are_never_cut_however_narrow_the_terminal(worker):
    assert "SQS_DEAD_LETTER_QUEUE_URL" in worker("settings", COLUMNS="60", **GOOD).out


@pytest.mark.parametrize("name", ["SQS_QUEUE_URL", "CRM_WEBHOOK_URL", "CRM_API_TOKEN", "HANDLERS"])
def test_a_bad_setting_exits_with_2_and_names_it_outside_the_table(worker, name):
    run = worker("settings", **{**GOOD, name: BAD[name]})

    assert run.code == 2
    assert [line.split(":")[0] for line in run.err.splitlines()] == [name]
    assert "7f3a" not in run.out
    assert "canary-secret" not in run.out + run.err


@pytest.mark.parametrize("name", ["SQS_QUEUE_URL", *VOICE])
def test_a_missing_setting_exits_with_2_and_names_it(worker, name):
    run = worker("settings", **{**GOOD, "HANDLERS": "voice", name: ""})

    assert (run.code, run.err.split(":")[0]) == (2, name)


def test_json_is_for_machines(worker):
    document = worker("settings", "--json", **{**GOOD, "SQS_CONCURENCY": "2"}).json

    values = {row["name"]: row["value"] for row in document["settings"]}
    assert values["GENESYS_CLIENT_SECRET"] == "********"
    assert document["problems"] == []
    assert document["warnings"] == ["SQS_CONCURENCY: unknown; did you mean SQS_CONCURRENCY?"]


def test_the_queues_are_shown_with_their_jobs(worker):
    url = "https://sqs.eu-west-1.amazonaws.com/1/chats"
    environ = {**GOOD, "CRM_WEBHOOK_URL": "https://crm.example/hook"}
    environ["SQS_QUEUE_URL"] = f"voice={GOOD['SQS_QUEUE_URL']},sentiment={url}"

    assert worker("settings", "--json", **environ).json["queues"] == [
        {"name": "work", "jobs": ["voice"]},
        {"name": "chats", "jobs": ["sentiment"]},
    ]
    assert "queue chats: sentiment" in worker("settings", **environ).out


HOOKS = {
    "CRM_WEBHOOK_URL": "https://hooks.example/T0/canary-7f3a",
    "ALERT_WEBHOOK_URL": "https://hooks.example:8443?sig=canary-7f3a",
    "ANALYTICS_WEBHOOK_URL": "https://hooks.example/canary-7f3a?x=1#canary-7f3a",
    "REPORT_WEBHOOK_URL": "https://hooks.example/services/canary-7f3a",
    "FORWARD_TO": "https://hooks.example/canary-7f3a",
    "FORWARD_TYPES": "*.attributes",
}


@pytest.mark.parametrize("bad", [{}, {"WEBHOOK_SECRET": "no"}, {"FORWARD_BATCH_SECONDS": "no"}])
@pytest.mark.parametrize("form", ["text", "env", "json", "markdown"])
def test_of_a_webhooks_url_only_the_host_is_shown(worker, form, bad):
    run = worker("settings", "--format", form, **{**GOOD, **HOOKS, **bad})

    assert "canary-7f3a" not in run.out + run.err
    if form == "text":
        assert "https://hooks.example:8443/…" in run.out


def test_queues_and_hosts_are_shown_whole(worker):
    queue = "https://sqs.eu-west-1.amazonaws.com/111122223333/copies"
    crm = "https://crm.example/"

    document = worker(
        *("settings", "--json"),
        **{**GOOD, "FORWARD_TO": f"sqs:{queue}", "FORWARD_TYPES": "*", "CRM_API_ENDPOINT": crm},
    ).json

    values = {row["name"]: row["value"] for row in document["settings"]}
    assert values["FORWARD_TO"] == f"sqs:{queue}"
    assert values["CRM_API_ENDPOINT"] == crm
    assert values["SQS_QUEUE_URL"] == GOOD["SQS_QUEUE_URL"]


def test_a_half_configured_job_is_a_warning(worker):
    run = worker("settings", **{**GOOD, "REPORTS_BUCKET": "figures"})

    assert run.code == 0
    assert "job reports is off: REPORT_BUCKET is not set; did you mean REPORTS_BUCKET?" in run.err


@pytest.mark.parametrize("command", [["settings"], ["check"], ["send", "-"]])
def test_bad_settings_end_a_process_without_a_traceback(worker_process, command):
    run = worker_process(*command, SQS_QUEUE_URL="http://queue.example/canary-7f3a")

    assert run.code == 2
    assert "SQS_QUEUE_URL" in run.out + run.err
    assert "Traceback" not in run.err
    assert "7f3a" not in run.out + run.err


@pytest.mark.parametrize("command", ["check", "jobs", "run", "send", "settings", "status", "trace"])
def test_a_command_loads_no_heavy_library_before_it_runs(command):
    probe = (
        f"import sys, worker.cli.{command};"
        "print(sorted({'pydantic', 'botocore', 'httpx', 'rich.table'} & set(sys.modules)))"
    )
    done = subprocess.run(  # noqa: S603  our own probe
        [sys.executable, "-c", probe], capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "[]"


def test_the_version_is_reported(worker):
    assert worker("--version").out.strip() == __version__


def settings_with(worker_process, tmp_path, *arguments, **environ):
    """The values in force, with a file that sets most."""
    lines = [f"{name}={value}" for name, value in GOOD.items()]
    (tmp_path / ".env").write_text("\n".join([*lines, "SQS_CONCURRENCY='7'  # few"]))
    (tmp_path / "more").write_text("export SQS_CONCURRENCY=9\n")
    run = worker_process(*arguments, **environ)
    assert run.code == 0, run.err
    return {row["name"]: row["value"] for row in run.json["settings"]}


@pytest.mark.parametrize(
    "arguments",
    [
        ["--env-file", "{}/.env", "settings", "--json"],
        ["settings", "--json", "--env-file", "{}/.env"],
        ["settings", "--env-file={}/.env", "--json"],
        ["settings", "--json", "--env-file", "{}/more", "--env-file", "{}/.env"],
    ],
)
def test_variables_may_come_from_a_file(worker_process, tmp_path, arguments):
    places = [one.format(tmp_path) for one in arguments]

    assert settings_with(worker_process, tmp_path, *places)["SQS_CONCURRENCY"] == "7"


def test_the_environment_counts_more_than_a_file(worker_process, tmp_path):
    arguments = ["settings", "--json", "--env-file", str(tmp_path / ".env")]
    values = settings_with(worker_process, tmp_path, *arguments, SQS_CONCURRENCY="8")

    assert values["SQS_CONCURRENCY"] == "8"


def test_an_env_file_that_is_not_there_exits_with_2(worker_process):
    run = worker_process("settings", "--env-file", "/nowhere/.env")

    assert (run.code, run.out) == (2, "")
    assert run.err == "--env-file: '/nowhere/.env' cannot be read: No such file or directory\n"


CHANGED = {**GOOD, "SQS_CONCURRENCY": "8", "LOG_LEVEL": "debug", "EVENTS_VOICE_TYPES": "a b, $c"}


def names_in(run):
    return [name for row in run.json["settings"] if not (name := row["name"]).startswith("AWS_")]


def test_only_what_differs_from_its_default_is_shown(worker):
    run = worker("settings", "--changed", "--json", **CHANGED)

    assert sorted(names_in(run)) == sorted(CHANGED)


def test_only_settings_of_a_name_are_shown(worker):
    run = worker("settings", "sqs_", "--changed", "--json", **CHANGED)

    assert names_in(run) == ["SQS_QUEUE_URL", "SQS_CONCURRENCY"]


def test_a_part_that_no_setting_has_is_a_wrong_argument(worker):
    run = worker("settings", "no-such", **GOOD)

    assert run.code == 2
    assert "no setting has no-such in its name" in run.err


def test_the_env_format_sets_again_what_was_set(worker, tmp_path, monkeypatch):
    monkeypatch.delenv("AWS_REGION", raising=False)
    before = worker("settings", "--changed", "--json", **CHANGED).json["settings"]
    path = tmp_path / "worker.env"

    path.write_text(worker("settings", "--format", "env", **CHANGED).out)

    kept = {name: value for name, value in CHANGED.items() if name != "GENESYS_CLIENT_SECRET"}
    secret = {"GENESYS_CLIENT_SECRET": "another"}
    assert variables_in(path).keys() == kept.keys()
    again = worker("settings", "--changed", "--json", **variables_in(path), **secret)
    assert again.json["settings"] == before


@pytest.mark.parametrize("form", ["text", "env", "json", "markdown"])
def test_no_format_shows_a_secret_or_the_text_of_a_bad_value(worker, form):
    run = worker("settings", "--format", form, **GOOD, CRM_API_TOKEN="bad canary-token")

    assert "canary" not in run.out + run.err
    assert "GENESYS_CLIENT_SECRET" in run.out


def test_markdown_is_a_table(worker):
    run = worker("settings", "sqs_concurrency", "--format", "markdown", **CHANGED)

    assert run.out.splitlines()[2].startswith("| `SQS_CONCURRENCY` | `8` | `64` | ")

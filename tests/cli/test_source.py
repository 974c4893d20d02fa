"""`worker source`: the integration is made once, and nothing happens by accident."""

import copy

import pytest

from tests.cli.in_thread import in_thread
from tests.support.factories import an_id
from worker.app.jobs import topics_of
from worker.emulators.genesys import GenesysServer

TOPICS = topics_of(())
CREATE = ("source", "create", "prod-events", "--account", "111122223333", "--region", "eu-west-1")
PARTNER = "aws.partner/genesys.com/cloud/0a900000-0000-4000-8000-000000000001/prod-events"


@pytest.fixture
def cloud():
    with in_thread(GenesysServer) as (cloud,):
        yield cloud


@pytest.fixture
def source(worker, cloud):
    """Run a command against the emulator."""

    def run(*arguments, **environ):
        reach = {
            "GENESYS_API_URL": cloud.url,
            "GENESYS_LOGIN_URL": cloud.url,
            "GENESYS_CLIENT_ID": cloud.client_id,
            "GENESYS_CLIENT_SECRET": cloud.client_secret,
        }
        return worker(*arguments, **{**reach, **environ})

    return run


def test_nothing_is_made_without_apply(source, cloud):
    done = source(*CREATE)

    assert done.code == 0
    assert "to do: create, configure" in done.out
    assert [line[2:] for line in done.out.splitlines() if line.startswith("+ ")] == list(TOPICS)
    assert cloud.integrations == {}


def test_the_integration_is_made_and_configured(source, cloud):
    done = source(*CREATE, "--apply", "--json")

    assert done.code == 0
    assert done.json["partnerSource"] == PARTNER
    (made,) = cloud.integrations.values()
    assert made["intendedState"] == "DISABLED"
    assert made["config"]["properties"] == {
        "awsAccountId": "111122223333",
        "awsAccountRegion": "eu-west-1",
        "eventSourceSuffix": "prod-events",
        "eventFilter": list(TOPICS),
    }


@pytest.mark.parametrize("apply", [(), ("--apply",)])
def test_the_next_steps_are_reported_and_enable_is_the_last_of_them(source, apply):
    done = source(*CREATE, *apply)

    assert done.out.splitlines()[-2:] == [
        f"next 1: aws events create-event-bus --name {PARTNER} --event-source-name {PARTNER}",
        "next 2: worker source enable prod-events --apply",
    ]


def test_no_step_is_left_when_it_is_enabled(source):
    source(*CREATE, "--apply")
    enabled = source("source", "enable", "prod-events", "--apply")

    assert "next" not in enabled.out + source(*CREATE).out


def test_a_second_run_changes_nothing(source, cloud):
    source(*CREATE, "--apply")
    (config,) = [dict(one["config"]) for one in cloud.integrations.values()]

    done = source(*CREATE, "--apply", "--json")

    assert (done.json["steps"], done.json["applied"]) == ([], False)
    assert [one["config"] for one in cloud.integrations.values()] == [config]


@pytest.fixture
def unconfigured(source, cloud):
    """One that is not configured, of an earlier run or of another team."""
    source(*CREATE, "--apply")
    (made,) = cloud.integrations.values()
    made["config"]["properties"] = {}
    return made


def test_one_that_is_not_configured_is_left_alone_and_named(source, cloud, unconfigured):
    before = copy.deepcopy(unconfigured)

    done = source(*CREATE, "--apply")

    assert cloud.integrations[before["id"]] == before
    assert len(cloud.integrations) == 2
    assert f"--take {before['id']} makes it this source" in done.out


def test_one_that_is_not_configured_is_taken_when_it_is_named(source, cloud, unconfigured):
    done = source(*CREATE, "--take", unconfigured["id"], "--apply", "--json")

    assert done.json["steps"] == ["configure"]
    assert len(cloud.integrations) == 1
    assert unconfigured["config"]["properties"]["eventSourceSuffix"] == "prod-events"


def test_one_that_is_configured_is_not_taken(source, cloud):
    source(*CREATE, "--apply")
    (made,) = cloud.integrations.values()
    before = copy.deepcopy(made)

    other = source(*CREATE[:2], "other", *CREATE[3:], "--take", made["id"], "--apply")
    unknown = source(*CREATE[:2], "other", *CREATE[3:], "--take", an_id(), "--apply")

    assert (other.code, "is configured: as prod-events" in other.err) == (1, True)
    assert (unknown.code, "is no EventBridge integration" in unknown.err) == (1, True)
    assert list(cloud.integrations.values()) == [before]


def test_none_is_taken_when_one_has_the_suffix(source):
    source(*CREATE, "--apply")

    done = source(*CREATE, "--take", an_id(), "--apply")

    assert (done.code, "none is to be taken" in done.err) == (1, True)


ANOTHER_TEAMS = "v2.users.{id}.presence"


@pytest.fixture
def another_teams(source, cloud):
    """An integration of another team, with notes, settings and a topic of its own."""
    source(*CREATE, "--topic", ANOTHER_TEAMS, "--topic", TOPICS[0], "--apply")
    (made,) = cloud.integrations.values()
    made["config"] |= {
        "name": "Presence",
        "notes": "ask the wallboard team",
        "advanced": {"retries": 3},
        "credentials": {"basicAuth": {"id": an_id()}},
    }
    return made


def test_an_integration_of_another_team_keeps_all_it_has_and_gets_our_topics(source, another_teams):
    before = copy.deepcopy(another_teams["config"])

    source(*CREATE, "--apply")

    now = another_teams["config"]
    topics = now["properties"]["eventFilter"]
    assert topics == [ANOTHER_TEAMS, TOPICS[0], *TOPICS[1:]]
    assert now == before | {
        "properties": before["properties"] | {"eventFilter": topics},
        "version": before["version"] + 1,
    }


def test_the_dry_run_prints_exactly_what_is_applied(source, another_teams):
    before = copy.deepcopy(another_teams)

    dry, dry_json = source(*CREATE), source(*CREATE, "--json")
    unchanged = copy.deepcopy(another_teams) == before
    done = source(*CREATE, "--apply")

    def changes(text):
        return [line for line in text.splitlines() if line[:2] in {"+ ", "- "}]

    assert unchanged
    assert changes(dry.out) == changes(done.out) == [f"+ {topic}" for topic in TOPICS[1:]]
    assert (dry_json.json["added"], dry_json.json["removed"]) == (list(TOPICS[1:]), [])
    assert f"integration: {another_teams['id']}" in dry.out


def test_replace_removes_what_is_not_wanted_and_shows_it_first(source, another_teams):
    asked = (*CREATE, "--topic", TOPICS[1], "--replace")

    dry = source(*asked)
    source(*asked, "--apply")

    assert [line for line in dry.out.splitlines() if line[:2] in {"+ ", "- "}] == [
        f"+ {TOPICS[1]}",
        f"- {ANOTHER_TEAMS}",
        f"- {TOPICS[0]}",
    ]
    assert another_teams["config"]["properties"]["eventFilter"] == [TOPICS[1]]
    assert another_teams["config"]["notes"] == "ask the wallboard team"


def test_topics_that_are_there_already_are_no_change(source, another_teams):
    done = source(*CREATE, "--topic", TOPICS[0], "--apply", "--json")

    assert (done.json["steps"], done.json["added"], done.json["removed"]) == ([], [], [])
    assert another_teams["config"]["version"] == 2


def test_a_suffix_that_feeds_another_account_is_left_alone(source, cloud):
    source(*CREATE, "--apply")

    done = source(*CREATE[:4], "999999999999", *CREATE[5:], "--apply")

    assert done.code == 1
    assert "another account" in done.err
    (made,) = cloud.integrations.values()
    assert made["config"]["properties"]["awsAccountId"] == "111122223333"


def test_what_is_odd_or_gone_of_another_teams_hides_none_of_ours(source, cloud):
    source(*CREATE, "--apply")
    (ours,) = cloud.integrations.values()
    kind = {"integrationType": ours["integrationType"], "intendedState": "ENABLED"}
    odd, gone = an_id(), an_id()
    config = {"name": None, "properties": {"eventFilter": None}}
    cloud.integrations |= {odd: {"id": odd, **kind, "config": config}}
    cloud.integrations |= {"listed as another": {"id": gone, **kind}}

    done = source(*CREATE, "--json")

    assert (done.json["steps"], done.json["integrationId"]) == ([], ours["id"])


@pytest.fixture
def two_accounts(source, cloud):
    """Have the same suffix in another team's account, which is listed first, and in ours."""
    source(*CREATE, "--apply")
    (ours,) = cloud.integrations.values()
    theirs = copy.deepcopy(ours) | {"id": an_id()}
    theirs["config"]["properties"]["awsAccountId"] = "999999999999"
    cloud.integrations.clear()
    cloud.integrations |= {theirs["id"]: theirs, ours["id"]: ours}
    return theirs, ours


def test_our_source_is_found_beside_another_accounts_of_the_same_suffix(source, two_accounts):
    done = source(*CREATE, "--json")

    assert (done.json["steps"], done.json["integrationId"]) == ([], two_accounts[1]["id"])


def test_of_two_sources_of_a_suffix_none_is_enabled_unnamed(source, two_accounts):
    theirs, ours = two_accounts

    refused = source("source", "enable", "prod-events", "--apply")
    done = source("source", "enable", "prod-events", "--account", "111122223333", "--apply")

    assert refused.code == 1
    assert "999999999999 eu-west-1, 111122223333 eu-west-1" in refused.err
    assert "--account" in refused.err
    assert done.code == 0
    assert (theirs["intendedState"], ours["intendedState"]) == ("DISABLED", "ENABLED")


def test_a_source_is_found_beyond_the_first_page(source, cloud):
    for number in range(120):
        other = {"id": str(number), "integrationType": {"id": "other"}, "intendedState": "ENABLED"}
        cloud.integrations[str(number)] = other
    source(*CREATE, "--apply")

    assert source(*CREATE, "--json").json["steps"] == []


def test_enable_switches_it_on_once(source, cloud):
    source(*CREATE, "--apply")
    asked = source("source", "enable", "prod-events", "--json")
    assert (asked.json["steps"], asked.json["applied"]) == (["enable"], False)

    done = source("source", "enable", "prod-events", "--apply", "--json")
    again = source("source", "enable", "prod-events", "--apply", "--json")

    assert done.json["applied"]
    assert again.json["steps"] == []
    (made,) = cloud.integrations.values()
    assert made["intendedState"] == "ENABLED"


def test_enable_of_what_is_not_there_fails(source):
    done = source("source", "enable", "prod-events", "--apply")

    assert done.code == 1
    assert "create it first" in done.err


def test_show_says_when_nothing_is_there(source):
    shown = source("source", "show")

    assert (shown.code, shown.out) == (0, "none: `worker source create` makes one\n")
    assert source("source", "show", "--json").json == []


def test_show_lists_what_is_there(source):
    source(*CREATE, "--apply")

    shown = source("source", "show")
    (row,) = source("source", "show", "--json").json

    assert f"{PARTNER}  disabled" in shown.out
    assert "111122223333 eu-west-1" in shown.out
    assert TOPICS[0] in shown.out
    assert (row["partnerSource"], row["enabled"]) == (PARTNER, False)


@pytest.mark.parametrize(
    "arguments",
    [
        ("source", "create", "a/b", *CREATE[3:]),
        ("source", "create", "x" * 65, *CREATE[3:]),
        (*CREATE[:4], "12", *CREATE[5:]),
        (*CREATE[:6], "Frankfurt"),
    ],
)
def test_what_aws_would_not_take_is_a_usage_error(source, cloud, arguments):
    assert source(*arguments, "--apply").code == 2
    assert cloud.counts.total() == 0


def test_a_failure_of_genesys_is_one_line_and_exit_code_1(source, cloud):
    cloud.fail_with("integration", 403)

    done = source("source", "show")

    assert done.code == 1
    assert done.out == ""
    assert "genesys: 403" in done.err


def test_missing_credentials_and_the_reference_dialect_are_bad_settings(source):
    assert source("source", "show", GENESYS_CLIENT_ID="").code == 2
    assert source("source", "show", GENESYS_DIALECT="reference").code == 2

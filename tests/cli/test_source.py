"""`worker source`: the integration is made once, and nothing happens by accident."""

import pytest

from tests.cli.in_thread import in_thread
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


def test_the_next_step_at_aws_is_reported(source):
    done = source(*CREATE, "--apply")

    assert f"create-event-bus --name {PARTNER} --event-source-name {PARTNER}" in done.out


def test_a_second_run_changes_nothing(source, cloud):
    source(*CREATE, "--apply")
    (config,) = [dict(one["config"]) for one in cloud.integrations.values()]

    done = source(*CREATE, "--apply", "--json")

    assert (done.json["steps"], done.json["applied"]) == ([], False)
    assert [one["config"] for one in cloud.integrations.values()] == [config]


def test_a_run_that_was_cut_short_is_taken_up(source, cloud):
    source(*CREATE, "--apply")
    (made,) = cloud.integrations.values()
    made["config"]["properties"] = {}

    done = source(*CREATE, "--apply", "--json")

    assert done.json["steps"] == ["configure"]
    assert len(cloud.integrations) == 1


def test_other_topics_change_the_integration_that_is_there(source, cloud):
    source(*CREATE, "--apply")

    done = source(*CREATE, "--topic", TOPICS[0], "--apply", "--json")

    assert done.json["steps"] == ["configure"]
    (made,) = cloud.integrations.values()
    assert made["config"]["properties"]["eventFilter"] == [TOPICS[0]]


def test_a_suffix_that_feeds_another_account_is_left_alone(source, cloud):
    source(*CREATE, "--apply")

    done = source(*CREATE[:4], "999999999999", *CREATE[5:], "--apply")

    assert done.code == 1
    assert "another account" in done.err
    (made,) = cloud.integrations.values()
    assert made["config"]["properties"]["awsAccountId"] == "111122223333"


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

"""Commands that cannot make an AWS client say which setting is to blame; no one was asked yet."""

import pytest

SETTINGS = {
    "SQS_QUEUE_URL": "http://127.0.0.1:9/000000000000/events",
    "SQS_DEAD_LETTER_QUEUE_URL": "http://127.0.0.1:9/000000000000/dead",
    "HANDLERS": "voice",
    "GENESYS_CLIENT_ID": "id",
    "GENESYS_CLIENT_SECRET": "secret",
    "GENESYS_ACTION_ID": "action",
    "DYNAMODB_TABLE": "table",
    "REPORT_BUCKET": "bucket",
    "OPS_PORT": "0",
    "AWS_CONFIG_FILE": "/none",
    "AWS_SHARED_CREDENTIALS_FILE": "/none",
}
COMMANDS = [("run",), ("dlq", "list"), ("dlq", "redrive", "--native", "--apply")]
WRONG = {
    "AWS_REGION: is not set, and no profile names one; e.g. eu-west-1": {},
    "AWS_REGION: is not the name of a region; e.g. eu-west-1 (set to 'not a region')": {
        "AWS_REGION": "not a region"
    },
    "AWS_PROFILE: the profile 'none' does not exist": {
        "AWS_REGION": "eu-west-1",
        "AWS_PROFILE": "none",
    },
    "AWS_ENDPOINT_URL, or that of one service: must be a URL; e.g. https://vpce.example": {
        "AWS_REGION": "eu-west-1",
        "AWS_ENDPOINT_URL_SQS": "nonsense",
    },
}


@pytest.fixture(autouse=True)
def _environment(monkeypatch):
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("problem", WRONG)
def test_the_setting_without_which_no_client_can_be_made_is_named(worker, command, problem):
    done = worker(*command, **SETTINGS, **WRONG[problem])

    assert (done.code, done.err.splitlines()[-1]) == (2, problem)


@pytest.mark.parametrize(
    "command",
    [
        ("check", "--json"),
        ("report", "--from", "2026-03-01", "--to", "2026-03-02"),
        ("report", "url", "daily", "2026-03-01"),
    ],
    ids=" ".join,
)
def test_a_missing_profile_is_named_by_all_others_too(worker, command):
    """S3 can do without a region, and `check` has a row for it."""
    done = worker(*command, **SETTINGS, AWS_REGION="eu-west-1", AWS_PROFILE="none")

    assert done.code == 2
    assert "AWS_PROFILE" in done.out + done.err
    assert "Traceback" not in done.out + done.err

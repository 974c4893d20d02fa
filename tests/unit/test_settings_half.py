"""Jobs of which only a part is set, and variables that are nearly the name of a setting."""

import pytest

from tests.unit.test_settings import GOOD
from tests.unit.test_settings_queues import ALL
from worker.app.jobs import declarations, load_settings, unknown_settings
from worker.errors import ConfigurationError
from worker.settings import Sqs, load_group, own_requirements


def without(*names, **environ):
    return load_settings({**ALL, **dict.fromkeys(names, ""), **environ})


def failed(environ):
    with pytest.raises(ConfigurationError) as caught:
        load_settings(environ)
    return caught.value.problems


def test_what_a_job_shares_with_others_is_not_its_own():
    assert own_requirements(declarations()) == {
        "voice": ("GENESYS_ACTION_ID", "DYNAMODB_TABLE"),
        "attributes": ("GENESYS_FLOW_ID", "CRM_API_ENDPOINT"),
        "workflow": ("STEP_FUNCTIONS_ARN",),
        "sentiment": ("CRM_WEBHOOK_URL",),
        "reports": ("REPORT_BUCKET",),
        "forward": ("FORWARD_TYPES", "FORWARD_TO"),
    }


def test_a_job_one_of_whose_own_settings_is_there_is_half_configured():
    settings = without("GENESYS_ACTION_ID")

    assert settings.half_configured() == {"voice": "job voice is off: GENESYS_ACTION_ID is not set"}
    assert settings.unused_jobs() == ("forward",)


def test_a_job_none_of_whose_own_settings_is_there_is_not_used():
    settings = without("GENESYS_ACTION_ID", "DYNAMODB_TABLE")

    assert settings.half_configured() == {}
    assert settings.unused_jobs() == ("voice", "forward")


def test_a_misspelt_setting_is_named_in_the_reason():
    settings = without("GENESYS_ACTION_ID", GENESYS_ACTIONID="custom")

    assert settings.half_configured() == {
        "voice": "job voice is off: GENESYS_ACTION_ID is not set; did you mean GENESYS_ACTIONID?"
    }


def test_a_misspelt_setting_alone_makes_its_job_half_configured():
    settings = without("REPORT_BUCKET", REPORTS_BUCKET="figures")

    assert settings.half_configured() == {
        "reports": "job reports is off: REPORT_BUCKET is not set; did you mean REPORTS_BUCKET?"
    }


def test_all_that_is_missing_is_in_the_reason():
    settings = without(
        "GENESYS_FLOW_ID", "CRM_API_ENDPOINT", GENESYS_FLOWID="f", CRM_API_ENPOINT="https://x"
    )

    assert settings.half_configured()["attributes"] == (
        "job attributes is off: GENESYS_FLOW_ID is not set; did you mean GENESYS_FLOWID? "
        "CRM_API_ENDPOINT is not set; did you mean CRM_API_ENPOINT?"
    )


def test_jobs_that_handlers_leaves_out_are_off_on_purpose():
    settings = without("GENESYS_ACTION_ID", HANDLERS="workflow", GENESYS_ACTIONID="custom")

    assert settings.half_configured() == {}
    assert settings.unused_jobs() == ("voice", "attributes", "sentiment", "reports", "forward")


@pytest.mark.parametrize("name", ["STEP_FUNCTIONS_PORT", "STEP_FUNCTIONS_SERVICE_HOST"])
def test_a_kubernetes_service_of_a_near_name_makes_no_job_half_configured(name):
    assert without("STEP_FUNCTIONS_ARN", **{name: "tcp://10.0.0.1:80"}).half_configured() == {}


@pytest.mark.parametrize(
    ("environ", "hint"),
    [
        (
            {"SQS_QUEUE_URL": "", "QUEUE_URL": "https://x"},
            "QUEUE_URL: unknown; did you mean SQS_QUEUE_URL?",
        ),
        (
            {"DYNAMODB_TABLE": "", "DYNAMO_DB_TABLE": "t"},
            "DYNAMO_DB_TABLE: unknown; did you mean DYNAMODB_TABLE?",
        ),
        (
            {"GENESYS_CLIENT_ID": "", "GENESYS_CLIENTID": "c"},
            "GENESYS_CLIENTID: unknown; did you mean GENESYS_CLIENT_ID?",
        ),
        (
            {"GENESYS_ENVIRONMENT": "", "GENESYS_REGION": "x", "SQS_CONCURRENCY": "none"},
            "GENESYS_REGION: unknown; did you mean GENESYS_ENVIRONMENT?",
        ),
        (
            {"SQS_DLQ_URL": "https://x", "SQS_CONCURRENCY": "none"},
            "SQS_DLQ_URL: unknown; did you mean SQS_DEAD_LETTER_QUEUE_URL?",
        ),
    ],
)
def test_near_names_are_reported_when_the_start_fails(environ, hint):
    assert failed({**GOOD, **environ})[-1] == hint


def test_a_near_name_is_reported_when_one_group_alone_is_read():
    with pytest.raises(ConfigurationError) as caught:
        load_group(Sqs, {"QUEUE_URL": "https://x", "GENESYS_ACTIONID": "x"})

    assert [line.split(":")[0] for line in caught.value.problems] == ["SQS_QUEUE_URL", "QUEUE_URL"]


def test_a_common_wrong_name_beside_the_right_one_belongs_to_another():
    assert unknown_settings({**GOOD, "QUEUE_URL": "https://x"}) == []

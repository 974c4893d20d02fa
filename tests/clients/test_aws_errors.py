"""The table of AWS error codes: who must act, and what is to be done."""

import pytest
from botocore.exceptions import NoCredentialsError, ParamValidationError

from worker.clients.aws.errors import failure_called, fault_called, kind_of
from worker.errors import Misconfigured, RateLimited, Rejected, Unauthorized, Unavailable

DENIAL = (
    "User: arn:aws:sts::1:assumed-role/x/+15550100001 is not authorized to perform: "
    "dynamodb:PutItem on resource: arn:aws:dynamodb:eu-west-1:1:table/secret"
)


@pytest.mark.parametrize(
    ("service", "code", "setting"),
    [
        ("dynamodb", "ResourceNotFoundException", "DYNAMODB_TABLE"),
        (
            "idempotency",
            "com.amazonaws.dynamodb.v20120810.ResourceNotFoundException",
            "LEDGER_TABLE",
        ),
        ("stepfunctions", "StateMachineDoesNotExist", "STEP_FUNCTIONS_ARN"),
        ("stepfunctions", "StateMachineTypeNotSupported", "STEP_FUNCTIONS_ARN"),
        ("stepfunctions", "InvalidArn", "STEP_FUNCTIONS_ARN"),
        ("events", "ResourceNotFoundException", "EVENT_BUS_NAME"),
        ("s3", "NoSuchBucket", "REPORT_BUCKET"),
        ("s3", "PermanentRedirect", "REPORT_BUCKET"),
    ],
)
def test_what_is_missing_is_named_by_its_setting(service, code, setting):
    error = failure_called(service, code, setting=setting)

    assert (type(error), error.setting) == (Misconfigured, setting)
    assert setting in error.remedy


def test_a_denial_names_the_action_and_nothing_else_of_its_text():
    error = failure_called(
        "dynamodb", "AccessDeniedException", message=DENIAL, setting="DYNAMODB_TABLE"
    )

    assert isinstance(error, Unauthorized)
    assert error.setting == "DYNAMODB_TABLE"
    assert error.remedy == "allow the role dynamodb:PutItem on what DYNAMODB_TABLE names"
    assert "555" not in error.reason


@pytest.mark.parametrize("code", ["ExpiredTokenException", "SignatureDoesNotMatch"])
def test_refused_credentials_are_no_fault_of_the_resource(code):
    assert failure_called("events", code).setting == "AWS_ACCESS_KEY_ID"


@pytest.mark.parametrize(
    ("error", "kind"), [(NoCredentialsError, "credentials"), (ParamValidationError, "missing")]
)
def test_errors_that_the_sdk_raises_without_asking_aws_have_their_kinds(error, kind):
    assert kind_of(error.__name__) == kind


def test_a_clock_that_is_wrong_is_reported_as_such():
    assert "clock" in failure_called("s3", "RequestTimeTooSkewed").remedy


@pytest.mark.parametrize("service", ["dynamodb", "events", "idempotency", "stepfunctions", "s3"])
def test_what_a_service_finds_invalid_is_the_fault_of_the_message(service):
    assert type(failure_called(service, "ValidationException")) is Rejected


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, Rejected), (404, Rejected), (403, Unauthorized), (429, RateLimited), (503, Unavailable)],
)
def test_a_code_that_is_not_known_is_reported_by_its_status(status, kind):
    assert type(failure_called("s3", "Whatever", status=status)) is kind


@pytest.mark.parametrize(
    ("code", "setting"), [("ProxyConnectionError", "HTTPS_PROXY"), ("SSLError", "SSL_CERT_FILE")]
)
def test_what_stands_between_us_and_aws_is_named_by_its_setting(code, setting):
    assert setting in fault_called(code).remedy

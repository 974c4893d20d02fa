"""Failures of AWS calls, told in the words of `worker.errors`: by who must act.

The text holds the service and AWS's code only: its messages quote keys and values.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

import aiohttp
from botocore import exceptions as botocore
from botocore.parsers import ResponseParserError

from worker.errors import (
    ConfigurationError,
    Misconfigured,
    Permanent,
    RateLimited,
    Rejected,
    Unauthorized,
    Unavailable,
    WorkerError,
)

SETTINGS: Mapping[str, str] = {
    "dynamodb": "DYNAMODB_TABLE",
    "ledger": "LEDGER_TABLE",
    "stepfunctions": "STEP_FUNCTIONS_ARN",
    "events": "EVENT_BUS_NAME",
    "s3": "REPORT_BUCKET",
}
"""What names the resource that is called, by service."""

CREDENTIALS = "AWS_ACCESS_KEY_ID"

Kind = Literal["throttled", "credentials", "denied", "missing", "busy"]

# Codes come with and without a service's prefix and the suffix `Exception`; both are cut off.
TABLE: tuple[tuple[re.Pattern[str], Kind, str], ...] = (
    (
        re.compile(
            r"BandwidthLimitExceeded|ExecutionLimitExceeded|KmsThrottled|KmsThrottling"
            r"|LimitExceeded|OverLimit|PriorRequestNotComplete|ProvisionedThroughputExceeded"
            r"|RequestLimitExceeded|RequestThrottled|SlowDown|Throttled|ThrottledRequest"
            r"|Throttling|TooManyRequests"
        ),
        "throttled",
        "",
    ),
    (re.compile(r"RequestTimeTooSkewed|RequestExpired"), "credentials", "set this machine's clock"),
    (
        re.compile(
            r"AuthFailure|AuthorizationHeaderMalformed|ExpiredToken|IncompleteSignature"
            r"|InvalidAccessKeyId|InvalidClientTokenId|InvalidSecurity|InvalidSignature"
            r"|InvalidToken|MissingAuthenticationToken|OptInRequired|SignatureDoesNotMatch"
            r"|TokenRefreshRequired|UnrecognizedClient"
        ),
        "credentials",
        "renew the AWS credentials: those of the role, or AWS_ACCESS_KEY_ID and its secret",
    ),
    (
        re.compile(r"KmsAccessDenied|KmsInvalidState"),
        "denied",
        "check the KMS key of {setting}, and what its policy allows the role",
    ),
    (
        re.compile(r"AccessDenied|NotAuthorized|NotAuthorizedForSource|NotAuthorizedForDetailType"),
        "denied",
        "allow the role {action} on what {setting} names",
    ),
    (
        re.compile(
            r"NoSuchBucket|NonExistentQueue|QueueDoesNotExist|ResourceNotFound|PermanentRedirect"
            r"|StateMachineDoesNotExist|StateMachineDeleting|StateMachineTypeNotSupported"
            r"|InvalidArn|TableNotFound"
        ),
        "missing",
        "check {setting}, the account and the region",
    ),
    (
        re.compile(
            r"InternalError|InternalFailure|InternalServer|InternalServerError|RequestTimeout"
            r"|ReplicatedWriteConflict|ResourceInUse|ServiceUnavailable"
            r"|TransactionConflict|TransactionInProgress"
        ),
        "busy",
        "",
    ),
)
"""Code → what it means, and what to do about it."""

_ACTION = re.compile(r"perform: ([a-z0-9-]{2,30}:[A-Za-z]{3,60})\b")
"""The action in AWS's text of a denial; nothing else of it is read."""

_NO_CREDENTIALS = (
    botocore.NoCredentialsError,
    botocore.PartialCredentialsError,
    botocore.CredentialRetrievalError,
    botocore.TokenRetrievalError,
    botocore.SSOError,
    botocore.ProfileNotFound,
)
_OUR_MISTAKE = (botocore.ParamValidationError, botocore.ValidationError)
_NO_REPLY = (botocore.BotoCoreError, ResponseParserError, aiohttp.ClientError, OSError)
"""OSError holds TimeoutError."""


@contextmanager
def aws_errors(service: str, setting: str | None = None) -> Iterator[None]:
    """Turn every failure of the block's AWS calls into a `WorkerError`.

    Throttled is RateLimited; failures of theirs or of the network are Unavailable. What a person
    has to change is Misconfigured (refused credentials, permissions or keys: Unauthorized) and
    names `setting`, which names the resource. Every other refusal is Rejected, with AWS's `status`
    and `code`.
    """
    # From None: a traceback would else print the original's message.
    try:
        yield
    except botocore.ClientError as error:
        raise _of_reply(service, error.response, setting) from None
    except _NO_CREDENTIALS as error:
        raise Unauthorized(
            f"{service}: {type(error).__name__}",
            setting=CREDENTIALS,
            remedy="give the task a role, or set AWS_ACCESS_KEY_ID and its secret",
        ) from None
    except _OUR_MISTAKE as error:
        raise Permanent(f"{service}: {type(error).__name__}") from None
    except _NO_REPLY as error:
        raise Unavailable(f"{service}: {type(error).__name__}") from None


@contextmanager
def setting_errors() -> Iterator[None]:
    """Name the setting without which no client can be made. Raises ConfigurationError."""
    try:
        yield
    except botocore.NoRegionError:
        problem = "AWS_REGION: is missing, and no profile names one"
    except botocore.InvalidRegionError:
        problem = "AWS_REGION: is not the name of a region"
    except botocore.ProfileNotFound:
        problem = "AWS_PROFILE: there is no such profile"
    else:
        return
    raise ConfigurationError([problem])


def failure_called(
    service: str, code: str, *, status: int = 400, message: str = "", setting: str | None = None
) -> WorkerError:
    """Return what AWS's error code means, wherever it was met."""
    name = code.rpartition(".")[2].removesuffix("Exception")
    reason = f"{service}: {code}"
    known = ((kind, told) for codes, kind, told in TABLE if codes.fullmatch(name))
    kind, remedy = next(known, (_kind_of(status), "check {setting} and the role"))
    setting = setting or SETTINGS.get(service, CREDENTIALS)
    action = found.group(1) if (found := _ACTION.search(message)) else "this call"
    remedy = remedy.format(setting=setting, action=action)
    match kind:
        case "throttled":
            return RateLimited(reason)
        case "credentials":
            return Unauthorized(reason, setting=CREDENTIALS, remedy=remedy)
        case "denied":
            return Unauthorized(reason, setting=setting, remedy=remedy)
        case "missing":
            return Misconfigured(reason, setting=setting, remedy=remedy)
        case "busy":
            return Unavailable(reason)
    return Rejected(reason, status=status, code=code)


def _kind_of(status: int) -> Kind | None:
    """Return what a code that is not in the table means, by its status."""
    if status == 429:
        return "throttled"
    if status in {401, 403}:
        return "denied"
    return "busy" if status >= 500 else None


def _of_reply(service: str, response: Mapping[str, Any], setting: str | None) -> WorkerError:
    return failure_called(
        service,
        _code(response),
        status=response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400),
        message=str(response.get("Error", {}).get("Message", "")),
        setting=setting,
    )


def _code(response: Mapping[str, Any]) -> str:
    """Return AWS's error code, bounded: the far side of an endpoint setting may be anything."""
    code = str(response.get("Error", {}).get("Code", ""))
    return code if re.fullmatch(r"[A-Za-z0-9._-]{1,64}", code) else "unreadable code"

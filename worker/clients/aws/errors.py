"""Failures of AWS calls, told in the words of `worker.errors`: by who must act.

The text holds the service and AWS's code only: its messages quote keys and values.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import aiohttp
from botocore import exceptions as botocore
from botocore.parsers import ResponseParserError

from worker.errors import (
    ConfigurationError,
    Permanent,
    RateLimited,
    Rejected,
    Unauthorized,
    Unavailable,
    WorkerError,
)

# Codes come with and without a service's prefix and the suffix `Exception`; both are cut off.
_THROTTLED = re.compile(
    r"BandwidthLimitExceeded|ExecutionLimitExceeded|KmsThrottled|KmsThrottling"
    r"|LimitExceeded|OverLimit|PriorRequestNotComplete|ProvisionedThroughputExceeded"
    r"|RequestLimitExceeded|RequestThrottled|SlowDown|Throttled|ThrottledRequest"
    r"|Throttling|TooManyRequests"
)
_REFUSED = re.compile(
    r"AccessDenied|AuthFailure|AuthorizationHeaderMalformed|ExpiredToken"
    r"|IncompleteSignature|InvalidAccessKeyId|InvalidClientTokenId|InvalidSecurity"
    r"|InvalidSignature|InvalidToken|KmsAccessDenied|KmsInvalidState"
    r"|MissingAuthenticationToken"
    r"|NotAuthorized|OptInRequired|RequestExpired|RequestTimeTooSkewed"
    r"|SignatureDoesNotMatch|TokenRefreshRequired|UnrecognizedClient"
)
_BUSY = re.compile(
    r"InternalError|InternalFailure|InternalServer|InternalServerError|RequestTimeout"
    r"|ReplicatedWriteConflict|ResourceInUse|ServiceUnavailable"
    r"|TransactionConflict|TransactionInProgress"
)
_MISSING = re.compile(
    r"NoSuchBucket|NonExistentQueue|QueueDoesNotExist|ResourceNotFound"
    r"|StateMachineDoesNotExist|TableNotFound"
)
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
def aws_errors(service: str) -> Iterator[None]:
    """Turn every failure of the block's AWS calls into a `WorkerError`.

    Throttled is RateLimited; refused credentials, rights or keys are Unauthorized; failures of
    theirs or of the network are Unavailable, and so is a missing table or queue: a wrong setting
    must not park healthy messages. Every other refusal is Rejected, with AWS's `status` and `code`.
    """
    # From None: a traceback would else print the original's message.
    try:
        yield
    except botocore.ClientError as error:
        raise _of_reply(service, error.response) from None
    except _NO_CREDENTIALS as error:
        raise Unauthorized(f"{service}: {type(error).__name__}") from None
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


def _of_reply(service: str, response: Mapping[str, Any]) -> WorkerError:
    code = _code(response)
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode", 400)
    name = code.rpartition(".")[2].removesuffix("Exception")
    reason = f"{service}: {code}"
    if _THROTTLED.fullmatch(name) or status == 429:
        return RateLimited(reason)
    if _REFUSED.fullmatch(name) or status in {401, 403}:
        return Unauthorized(reason)
    if _MISSING.fullmatch(name):
        return Unavailable(f"{reason} (is the setting right?)")
    if _BUSY.fullmatch(name) or status >= 500:
        return Unavailable(reason)
    return Rejected(reason, status=status, code=code)


def _code(response: Mapping[str, Any]) -> str:
    """Return AWS's error code, bounded: the far side of an endpoint setting may be anything."""
    code = str(response.get("Error", {}).get("Code", ""))
    return code if re.fullmatch(r"[A-Za-z0-9._-]{1,64}", code) else "unreadable code"

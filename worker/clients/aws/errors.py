"""Failures of AWS calls: one table of codes, and the classes of `worker.errors` for who must act.

The text holds the service and AWS's code only: its messages quote keys and values. SQS has two
classes of its own, since the intake asks what failed before it asks whose fault it is.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.Errors.html
"""

import re
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

from botocore import exceptions as botocore
from botocore.parsers import ResponseParserError
from msgspec import Struct
from msgspec.structs import replace

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

CREDENTIALS = "AWS_ACCESS_KEY_ID"
UNREADABLE = "UnreadableReply"
"""Code of a success of another shape."""

Kind = Literal["throttled", "credentials", "denied", "missing", "busy", "receipt", "refused"]


def _codes(names: str) -> frozenset[str]:
    return frozenset(names.split("|"))


# Codes come with and without a service's prefix and the suffix `Exception`; both are cut off.
TABLE: tuple[tuple[frozenset[str], Kind, str], ...] = (
    (
        _codes(
            "BandwidthLimitExceeded|ExecutionLimitExceeded|KmsThrottled|KmsThrottling"
            "|LimitExceeded|OverLimit|PriorRequestNotComplete|ProvisionedThroughputExceeded"
            "|RequestLimitExceeded|RequestThrottled|SlowDown|Throttled|ThrottledRequest"
            "|Throttling|TooManyRequests"
        ),
        "throttled",
        "",
    ),
    (_codes("RequestTimeTooSkewed|RequestExpired"), "credentials", "set this machine's clock"),
    (
        _codes(
            "AuthFailure|AuthorizationHeaderMalformed|ExpiredToken|IncompleteSignature"
            "|InvalidAccessKeyId|InvalidClientTokenId|InvalidSecurity|InvalidSignature"
            "|InvalidToken|MissingAuthenticationToken|OptInRequired|SignatureDoesNotMatch"
            "|TokenRefreshRequired|UnrecognizedClient|NoCredentialsError"
        ),
        "credentials",
        "renew the AWS credentials: those of the role, or AWS_ACCESS_KEY_ID and its secret",
    ),
    (
        _codes("KmsAccessDenied|KmsInvalidState"),
        "denied",
        "check the KMS key of {setting}, and what its policy allows the role",
    ),
    (
        _codes(
            "AccessDenied|AuthorizationError|NotAuthorized|NotAuthorizedForSource"
            "|NotAuthorizedForDetailType"
        ),
        "denied",
        "allow the role {action} on what {setting} names",
    ),
    (
        _codes(
            "InvalidAddress|NoSuchBucket|NonExistentQueue|QueueDoesNotExist|ResourceNotFound|PermanentRedirect"
            "|StateMachineDoesNotExist|StateMachineDeleting|StateMachineTypeNotSupported"
            "|InvalidArn|TableNotFound|ParamValidationError"  # no resource can have such a name
        ),
        "missing",
        "check {setting}, the account and the region",
    ),
    (
        _codes(
            "InternalError|InternalFailure|InternalServer|InternalServerError|RequestTimeout"
            "|ReplicatedWriteConflict|ResourceInUse|ServiceUnavailable"
            "|TransactionConflict|TransactionInProgress"
        ),
        "busy",
        "",
    ),
    (_codes("InvalidParameterValue|MessageNotInflight|ReceiptHandleIsInvalid"), "receipt", ""),
    (_codes("MissingParameter|ReadCountOutOfRange"), "refused", ""),
)
"""Code → what it means, and what to do about it.

`receipt`: SQS says that a receipt no longer holds its message. `refused`: allowed, and impossible.
"""

_ACTION = re.compile(r"perform: ([a-z0-9-]{2,30}:[A-Za-z]{3,60})\b")
"""The action in AWS's text of a denial; nothing else of it is read."""

_SQS_ACTION = re.compile(r"not authorized to perform: ([a-z0-9-]{2,32}:[A-Za-z]{2,64})\b")

_NO_CREDENTIALS = (
    botocore.NoCredentialsError,
    botocore.PartialCredentialsError,
    botocore.CredentialRetrievalError,
    botocore.TokenRetrievalError,
    botocore.SSOError,
    botocore.ProfileNotFound,
)
_ODD_REPLY = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What the SDK's parsers raise over a reply of another shape than its model's."""

_CODE = re.compile(r"[A-Za-z0-9._-]{1,64}")
_NEEDS_A_PERSON = {"credentials", "denied", "missing"}


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
    except (botocore.ParamValidationError, botocore.ValidationError) as error:
        raise Permanent(f"{service}: {type(error).__name__}") from None
    except _no_reply() as error:
        raise Unavailable(f"{service}: {type(error).__name__}") from None


def _no_reply() -> tuple[type[Exception], ...]:
    """Return aiohttp's errors, too, once an SDK's client has imported it: in streams they come."""
    of_aiohttp = getattr(sys.modules.get("aiohttp"), "ClientError", OSError)
    return botocore.BotoCoreError, ResponseParserError, of_aiohttp, OSError  # and TimeoutError


@contextmanager
def setting_errors() -> Iterator[None]:
    """Name the setting without which no client can be made. Raises ConfigurationError."""
    try:
        yield
    except botocore.NoRegionError:
        problem = "AWS_REGION: is not set, and no profile names one; e.g. eu-west-1"
    except botocore.InvalidRegionError as error:
        set_to = error.kwargs["region_name"]
        problem = f"AWS_REGION: is not the name of a region; e.g. eu-west-1 (set to {set_to!r})"
    except botocore.ProfileNotFound as error:
        problem = f"AWS_PROFILE: the profile {error.kwargs['profile']!r} does not exist"
    except ValueError:  # of the SDK, which quotes the URL
        problem = (
            "AWS_ENDPOINT_URL, or that of one service: must be a URL; e.g. https://vpce.example"
        )
    except botocore.UnknownServiceError as error:
        service = error.kwargs["service_name"]
        problem = f"AWS service {service}: no model is installed; images keep those of aws_services"
    else:
        return
    raise ConfigurationError([problem])


def kind_of(code: str) -> Kind | None:
    """Return what a code means by itself; None for one that is not in the table."""
    return _row(code)[0]


def failure_called(
    service: str, code: str, *, status: int = 400, message: str = "", setting: str | None = None
) -> WorkerError:
    """Return what AWS's error code means, wherever it was met."""
    reason = f"{service}: {code}"
    kind, remedy = _row(code)
    if kind is None:
        kind, remedy = _kind_by_status(status), "check {setting} and the role"
    setting = setting or CREDENTIALS
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


def _row(code: str) -> tuple[Kind | None, str]:
    name = code.rpartition(".")[2].removesuffix("Exception")
    known = ((kind, remedy) for codes, kind, remedy in TABLE if name in codes)
    return next(known, (None, ""))


def _kind_by_status(status: int) -> Kind | None:
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
    return code if _CODE.fullmatch(code) else "unreadable code"


class QueueError(Exception):
    """A whole call failed."""

    def __init__(self, operation: str, code: str, *, action: str = "") -> None:
        """Take the name of the call, AWS's code, and the `action` if AWS named a denied one."""
        self.operation = operation
        self.code = code if _CODE.fullmatch(code) else "unreadable code"
        self.action = action or action_of(operation)
        """Of IAM, e.g. `sqs:DeleteMessage`; of a batch call too, or `kms:Decrypt`."""

        kind = kind_of(self.code)
        self.denied = kind == "denied"
        """The credentials are good, and may not do this."""

        self.missing = kind == "missing"
        """The queue does not exist: the setting is wrong in itself."""

        self.broken = kind in _NEEDS_A_PERSON
        """Only a person can fix it: permissions, credentials, name of the queue."""

        what = f" ({self.action})" if self.denied else ""
        super().__init__(f"{operation} failed: {self.code}{what}")


class EntryFailed(Exception):
    """One entry of a batch failed while the call answered 200, or with its whole call."""

    def __init__(self, code: str, *, sender_fault: bool, action: str = "") -> None:
        self.code = code if _CODE.fullmatch(code) else "unreadable code"
        self.sender_fault = sender_fault
        self.action = action
        self.denied = kind_of(self.code) == "denied"
        super().__init__(self.code)

    @classmethod
    def with_its_call(cls, error: QueueError) -> "EntryFailed":
        """Return the failure of each entry of a call that failed as a whole."""
        return cls(error.code, sender_fault=False, action=error.action)

    @property
    def lease_lost(self) -> bool:
        """Whether SQS says that this receipt no longer holds the message."""
        return kind_of(self.code) == "receipt"


async def ask(operation: Callable[..., Awaitable[Any]], **parameters: Any) -> Mapping[str, Any]:
    """Call an operation of a client of either transport. Raises QueueError, and nothing else."""
    name = operation.__name__
    try:
        answer = await operation(**parameters)
    except botocore.ClientError as error:
        failure = _refusal(name, error.response)
    except _no_reply() as error:
        failure = QueueError(name, type(error).__name__)
    except _ODD_REPLY:
        failure = QueueError(name, UNREADABLE)
    else:
        if isinstance(answer, dict):
            return answer
        failure = QueueError(name, UNREADABLE)
    # Outside: AWS's own text quotes ARNs and addresses, and would ride along on `__context__`.
    raise failure


def action_of(operation: str) -> str:
    """Return the action of IAM for an operation's name: batches are allowed with their singles."""
    words = operation.removesuffix("_batch").split("_")
    return "sqs:" + "".join(word.capitalize() for word in words)


def _refusal(operation: str, response: Mapping[str, Any]) -> QueueError:
    error = response.get("Error")
    error = error if isinstance(error, dict) else {}
    named = _SQS_ACTION.search(str(error.get("Message") or "")[:2000])
    # AWS writes `sqs:deletemessage` there.
    own = action_of(operation)
    action = own if named is None or named[1].lower() == own.lower() else named[1]
    return QueueError(operation, str(error.get("Code") or ""), action=action)


CALL_ERRORS = (botocore.ClientError, botocore.BotoCoreError, ResponseParserError)
"""All that an AWS call may end with in place of its answer."""

_BY_KIND: Mapping[str | None, str] = {
    "denied": "add the permission to the role, and check the resource's own policy",
    "credentials": "the credentials are refused: renew them, and set this machine's clock",
    "missing": "check its name, the account and the region",
}

_REMEDIES = {
    "NoCredentialsError": "give the task a role, or set AWS_ACCESS_KEY_ID and its secret",
    "PartialCredentialsError": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY together",
    "NoRegionError": "set AWS_REGION",
    "EndpointConnectionError": "check AWS_ENDPOINT_URL, the network and the VPC endpoints",
    "ProxyConnectionError": "check HTTPS_PROXY, its user and its password, and NO_PROXY",
    "SSLError": "if its certificate is of a private authority, set AWS_CA_BUNDLE or SSL_CERT_FILE",
    "ConnectTimeoutError": "check the network, security groups and VPC endpoints",
    "ReadTimeoutError": "check the network; the service did not answer",
    "RequestTimeTooSkewed": "set this machine's clock",
}


class Fault(Struct, frozen=True):
    """An error as code and remedy, without its text: that holds ids and URLs."""

    code: str
    remedy: str
    denial: str = ""
    """AWS's own text of a denial: whose role, which action, which resource, and which policy lacks
    it. For the operator's terminal alone; empty for any other error."""

    @property
    def action(self) -> str:
        """The action that was denied, as AWS names it; empty where it does not."""
        return found[1] if (found := _ACTION.search(self.denial)) else ""

    @property
    def is_denied(self) -> bool:
        """Whether a permission is missing."""
        return kind_of(self.code) == "denied"

    @property
    def is_about_credentials(self) -> bool:
        """Whether the credentials themselves are refused, or there are none."""
        return kind_of(self.code) == "credentials"

    @property
    def is_missing(self) -> bool:
        """Whether the resource does not exist, or not here."""
        return kind_of(self.code) == "missing"

    @property
    def text(self) -> str:
        """Both in one line."""
        return f"{self.code} — {self.remedy}"


def fault_of(error: botocore.ClientError | botocore.BotoCoreError | ResponseParserError) -> Fault:
    """Return what `error` means."""
    code = type(error).__name__
    if not isinstance(error, botocore.ClientError):
        return fault_called(code)
    said = error.response.get("Error", {})
    fault = fault_called(str(said.get("Code", code)))
    return replace(fault, denial=str(said.get("Message") or "")[:500]) if fault.is_denied else fault


def is_unreachable(code: str) -> bool:
    """Whether the code is the name of an exception of the network: AWS gave no answer."""
    return re.fullmatch(r"\w*(Connect|DNS|Timeout)\w*Error|gaierror|OSError", code) is not None


def fault_called(code: str) -> Fault:
    """Return what an error of this code means."""
    return Fault(code, _remedy(code))


def _remedy(code: str) -> str:
    return _REMEDIES.get(code) or _BY_KIND.get(
        kind_of(code), "see the AWS documentation of this code"
    )

"""The errors SQS answers with, in its JSON protocol and in the older query codes.

Shapes and query codes: botocore's `sqs/2012-11-05` model and
https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-json-api-responses.html
"""

_MODEL = "com.amazonaws.sqs#"
_COMMON = "com.amazon.coral.service#"
_LEGACY = "AWS.SimpleQueueService."

# Shape in `__type` → code in the header `x-amzn-query-error`; a shape not listed is its own code.
_QUERY_CODES = {
    "QueueDoesNotExist": _LEGACY + "NonExistentQueue",
    "QueueNameExists": "QueueAlreadyExists",
    "InvalidParameterValueException": "InvalidParameterValue",
    "MissingRequiredParameterException": "MissingParameter",
    "AccessDeniedException": "AccessDenied",
    "InternalFailure": "InternalError",
} | {
    shape: _LEGACY + shape
    for shape in (
        "BatchEntryIdsNotDistinct",
        "BatchRequestTooLong",
        "EmptyBatchRequest",
        "InvalidBatchEntryId",
        "MessageNotInflight",
        "PurgeQueueInProgress",
        "TooManyEntriesInBatchRequest",
        "UnsupportedOperation",
    )
}


class SqsError(Exception):
    """An answer of SQS that is an error; `shape` is its name in the service model."""

    def __init__(self, shape: str, message: str, *, status: int = 400) -> None:
        super().__init__(f"{shape}: {message}")
        self.shape = shape
        self.message = message
        self.status = status

    @property
    def code(self) -> str:
        """Return the query-protocol code: what botocore shows as `Error.Code`."""
        return _QUERY_CODES.get(self.shape, self.shape)

    @property
    def type(self) -> str:
        """Return the value of `__type` in the body."""
        common = self.shape.endswith("Exception") and self.shape != "ResourceNotFoundException"
        return (_COMMON if common else _MODEL) + self.shape

    @property
    def sender_fault(self) -> bool:
        """Return True when the caller is to blame."""
        return self.status < 500


def access_denied(action: str, queue: str) -> SqsError:
    """Return what a policy without the action of IAM makes of a call."""
    principal = "arn:aws:sts::000000000000:assumed-role/worker/i-0123456789abcdef0"
    resource = f"arn:aws:sqs:us-east-1:000000000000:{queue}"
    return SqsError(
        "AccessDeniedException",
        f"User: {principal} is not authorized to perform: {action} on resource: {resource} "
        f"because no identity-based policy allows the {action} action",
        status=403,
    )


def queue_does_not_exist() -> SqsError:
    """Return the error for an unknown queue name or URL."""
    return SqsError("QueueDoesNotExist", "The specified queue does not exist.")


def invalid_value(value: object, parameter: str, reason: str) -> SqsError:
    """Return the error for a parameter that is out of bounds or does not fit the queue."""
    return SqsError(
        "InvalidParameterValueException",
        f"Value {value} for parameter {parameter} is invalid. Reason: {reason}",
    )


def missing(parameter: str) -> SqsError:
    """Return the error for a parameter that must be there."""
    return SqsError(
        "MissingRequiredParameterException", f"The request must contain the parameter {parameter}."
    )


def receipt_handle_is_invalid() -> SqsError:
    """Return the error for a receipt handle that this queue never gave out."""
    return SqsError("ReceiptHandleIsInvalid", "The input receipt handle is invalid.")


def receipt_handle_expired(handle: str) -> SqsError:
    """Return what a FIFO queue answers to a handle whose lease is over."""
    return invalid_value(handle, "ReceiptHandle", "The receipt handle has expired.")

"""When a call is made again: the SDK's standard mode, rule by rule.

https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html
"""

from collections.abc import Callable
from typing import Any

from botocore.exceptions import (
    BotoCoreError,
    ChecksumError,
    ClientError,
    ConnectionError,  # noqa: A004  botocore's own, not the built-in one
    ConnectTimeoutError,
    HTTPClientError,
    ReadTimeoutError,
)
from botocore.retries.quota import RetryQuota
from botocore.retries.standard import (
    RetryQuotaChecker,
    ThrottledRetryableChecker,
    TransientRetryableChecker,
)

# The SDK's own tables, by whatever release is installed; it has no public names for them.
THROTTLED_CODES = frozenset(ThrottledRetryableChecker._THROTTLED_ERROR_CODES)  # noqa: SLF001
TRANSIENT_CODES = frozenset(
    {
        *TransientRetryableChecker._TRANSIENT_ERROR_CODES,  # noqa: SLF001
        "ReplicatedWriteConflictException",  # DynamoDB's model calls it so
    }
)
TRANSIENT_STATUSES = frozenset(TransientRetryableChecker._TRANSIENT_STATUS_CODES)  # noqa: SLF001

COST = RetryQuotaChecker._RETRY_COST  # noqa: SLF001
TIMEOUT_COST = RetryQuotaChecker._TIMEOUT_RETRY_REQUEST  # noqa: SLF001
REWARD = RetryQuotaChecker._NO_RETRY_INCREMENT  # noqa: SLF001
"""What a call that went well at once gives back."""

MOST_BACKOFF_SECONDS = 20.0

_NO_REPLY = (ConnectionError, HTTPClientError, ChecksumError)
_TIMEOUTS = (ConnectTimeoutError, ReadTimeoutError)


class Attempts:
    """The attempts of one call."""

    def __init__(self, most: int, quota: RetryQuota, random: Callable[[], float]) -> None:
        """`quota`: of the client, so that a service that is down is not called thrice as often.

        `random`: from 0 to 1; spreads repetitions.
        """
        self.number = 1
        self.most = most
        self._quota = quota
        self._random = random
        self._cost = 0

    def metadata(self) -> dict[str, Any]:
        """Return what `ResponseMetadata` tells of them."""
        told: dict[str, Any] = {"RetryAttempts": self.number - 1}
        return told | {"MaxAttemptsReached": True} if self.number >= self.most else told

    def pause_after(self, error: ClientError | BotoCoreError) -> float | None:
        """Return the seconds until the next attempt; None when there shall be none."""
        if self.number >= self.most or not _is_transient(error):
            return None
        cost = TIMEOUT_COST if isinstance(error, _TIMEOUTS) else COST
        if not self._quota.acquire(cost):
            return None
        self._cost = cost
        longest = min(2.0 ** (self.number - 1), MOST_BACKOFF_SECONDS)
        self.number += 1
        return self._random() * longest

    def succeeded(self) -> None:
        """Give back what the last repetition cost."""
        self._quota.release(self._cost or REWARD)


def _is_transient(error: ClientError | BotoCoreError) -> bool:
    if not isinstance(error, ClientError):
        return isinstance(error, _NO_REPLY)
    code = error.response["Error"]["Code"]
    status = error.response["ResponseMetadata"]["HTTPStatusCode"]
    return code in THROTTLED_CODES or code in TRANSIENT_CODES or status in TRANSIENT_STATUSES

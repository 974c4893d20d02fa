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

THROTTLED_CODES = frozenset(
    {
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "LimitExceededException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
    }
)
TRANSIENT_CODES = frozenset(
    {
        "PriorRequestNotComplete",
        "ReplicatedWriteConflictException",  # DynamoDB's model calls it so
        "RequestTimeout",
        "RequestTimeoutException",
    }
)
TRANSIENT_STATUSES = frozenset({500, 502, 503, 504})

CAPACITY = 500
COST = 5
TIMEOUT_COST = 10
REWARD = 1
"""What a call that went well at once gives back."""

MOST_BACKOFF_SECONDS = 20.0

_NO_REPLY = (ConnectionError, HTTPClientError, ChecksumError)
_TIMEOUTS = (ConnectTimeoutError, ReadTimeoutError)


class RetryQuota:
    """Tokens that repetitions cost: a service that is down is not called thrice as often."""

    def __init__(self) -> None:
        self.tokens = CAPACITY

    def take(self, cost: int) -> bool:
        """Take tokens; False, and none taken, when there are not as many."""
        if cost > self.tokens:
            return False
        self.tokens -= cost
        return True

    def give_back(self, tokens: int) -> None:
        """Put tokens back, up to the capacity."""
        self.tokens = min(CAPACITY, self.tokens + tokens)


class Attempts:
    """The attempts of one call."""

    def __init__(self, most: int, quota: RetryQuota, random: Callable[[], float]) -> None:
        """`random`: from 0 to 1; spreads repetitions."""
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
        if not self._quota.take(cost):
            return None
        self._cost = cost
        longest = min(2.0 ** (self.number - 1), MOST_BACKOFF_SECONDS)
        self.number += 1
        return self._random() * longest

    def succeeded(self) -> None:
        """Give back what the last repetition cost."""
        self._quota.give_back(self._cost or REWARD)


def _is_transient(error: ClientError | BotoCoreError) -> bool:
    if not isinstance(error, ClientError):
        return isinstance(error, _NO_REPLY)
    code = error.response["Error"]["Code"]
    status = error.response["ResponseMetadata"]["HTTPStatusCode"]
    return code in THROTTLED_CODES or code in TRANSIENT_CODES or status in TRANSIENT_STATUSES

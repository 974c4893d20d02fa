"""Every failure of the worker, sorted by who must act.

    WorkerError
    ├── Transient            come back later; `retry_after` seconds when a time was named
    │   ├── NotYet           nothing is broken, the data is not there yet
    │   ├── RateLimited      a budget, theirs or ours, is exhausted
    │   ├── Unavailable      the other side failed (5xx, time-out, reset): breakers count these
    │   │   ├── RequestTooLarge  halved, the request may succeed: not counted
    │   │   └── Unreadable   one reply cannot be read, a fault of that request: not counted
    │   ├── BreakerOpen      refused on our side, no call was made
    │   ├── LeaseLost        the message is another consumer's by now: nothing more is done for it
    │   └── Misconfigured    a person must change a setting or a permission: the job waits
    │       └── Unauthorized our credentials are refused
    ├── Permanent            coming back cannot help: the message is dead-lettered with `reason`
    │   └── Rejected         an upstream understood and said no (400, 403, 404 ...)
    └── ConfigurationError   a person must change a setting: exit code 2

Clients raise `Transient` or `Permanent`; no layer above them classifies. The text of an error is
logged and travels to the dead-letter queue, so it never carries a phone number, an attribute
value, a URL with a query or a secret: ids, field names, codes and statuses only.
"""

from typing import Self


class WorkerError(Exception):
    """A failure with a known owner."""

    upstream: str | None = None
    """Whose guard let it through: the innermost one where guards are nested (`login`)."""


class Transient(WorkerError):
    """Something that may succeed later, unchanged."""

    def __init__(self, reason: str, *, retry_after: float | None = None) -> None:
        """`retry_after`: seconds to wait at least; None leaves the wait to the backoff."""
        super().__init__(reason)
        self.reason = reason
        self.retry_after = retry_after

    def after(self, seconds: float | None) -> Self:
        """Return the failure anew, with that wait: raised by many, one would gather tracebacks."""
        return type(self)(self.reason, retry_after=seconds)


class NotYet(Transient):
    """The data asked for does not exist yet and is expected to."""


class RateLimited(Transient):
    """A request budget is exhausted: a 429, or our own limiter's wait is longer than allowed."""


class Unavailable(Transient):
    """The other side failed: 5xx, time-out, refused or reset connection, unreadable reply."""


class BreakerOpen(Transient):
    """The circuit breaker refused the call; `retry_after` is when it will let a probe through."""


class RequestTooLarge(Unavailable):
    """A request that asked for too much (500, 504 of a slice that can be halved)."""


class Unreadable(Unavailable):
    """A reply that cannot be read. It is retried; it says nothing about other requests."""


class LeaseLost(Transient):
    """The message may be in work elsewhere: no further effect is made for it."""


class Misconfigured(Transient):
    """A person must change a setting or a permission; no message is at fault, and none is lost."""

    def __init__(
        self, reason: str, *, setting: str, remedy: str, retry_after: float | None = None
    ) -> None:
        """Take the variable, `setting`, and what to do about it in one sentence, `remedy`."""
        super().__init__(reason, retry_after=retry_after)
        self.setting = setting
        self.remedy = remedy

    def after(self, seconds: float | None) -> Self:
        """Return the problem anew, with that wait."""
        return type(self)(
            self.reason, setting=self.setting, remedy=self.remedy, retry_after=seconds
        )


class Unauthorized(Misconfigured):
    """Our credentials are refused."""

    def __init__(
        self,
        reason: str,
        *,
        setting: str = "GENESYS_CLIENT_SECRET",
        remedy: str = "check GENESYS_CLIENT_ID, GENESYS_CLIENT_SECRET and GENESYS_ENVIRONMENT",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(reason, setting=setting, remedy=remedy, retry_after=retry_after)


class Permanent(WorkerError):
    """A failure that no retry can fix; the message is dead-lettered with this reason."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Rejected(Permanent):
    """An upstream understood the request and refused it."""

    def __init__(self, reason: str, *, status: int, code: str | None = None) -> None:
        """`code`: the vendor's error code, e.g. `resource.not.found`."""
        super().__init__(reason)
        self.status = status
        self.code = code


class ConfigurationError(WorkerError):
    """One or more settings are wrong; `problems` names each, without any value."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems

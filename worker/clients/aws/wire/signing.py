"""Signature Version 4 of the one kind of request there is here: a POST of JSON, without a query.

What is signed is made by botocore's signer, but for two things: the canonical request, which has
one form here (botocore copies the headers through `email.message` for it, thrice), and the key,
which is kept for its day. Together they were nine tenths of what a signature cost. The time is the
machine's, adjusted to the server's clock: AWS refuses those five minutes off.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import hmac
import time
from collections.abc import Callable, Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from functools import lru_cache, reduce
from hashlib import sha256
from types import SimpleNamespace

from botocore.auth import SigV4Auth
from botocore.credentials import ReadOnlyCredentials
from botocore.exceptions import ClientError

from worker.clients.aws.wire.connection import Endpoint
from worker.clients.aws.wire.protocol import Dialect

TOLERATED_SECONDS = 240.0
"""Less than AWS's own five minutes; a difference that small is not why a signature was refused."""

REFUSED_CODES = frozenset(
    {
        "AuthFailure",
        "InvalidSignatureException",
        "RequestExpired",
        "RequestInTheFuture",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
    }
)
"""Codes that a wrong clock may be behind."""


class Clock:
    """The machine's clock, and how far the server's is before it."""

    def __init__(self, wall_clock: Callable[[], float] = time.time) -> None:
        self._wall_clock = wall_clock
        self._ahead_seconds = 0.0

    def seconds(self) -> float:
        """Return the time by the server's clock, as far as it is known; since the epoch."""
        return self._wall_clock() + self._ahead_seconds

    def adjust_skew(self, error: ClientError) -> bool:
        """Take over the server's time if ours may be why it refused; True when it was."""
        if error.response["Error"]["Code"] not in REFUSED_CODES:
            return False
        theirs = seconds_of(error.response["ResponseMetadata"]["HTTPHeaders"].get("date", ""))
        if theirs is None or abs(theirs - self.seconds()) <= TOLERATED_SECONDS:
            return False
        self._ahead_seconds = theirs - self._wall_clock()
        return True


@lru_cache(maxsize=4)
def seconds_of(date: str) -> float | None:
    """Return the moment of a `Date` header, since the epoch; None when it says none.

    Remembered: all replies within a second say the same.
    """
    try:
        moment = parsedate_to_datetime(date)
        # "-0000" is UTC too, and not the machine's own zone.
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ArithmeticError, LookupError, TypeError, ValueError):
        return None


class Signer:
    """Makes the headers of requests to one service."""

    def __init__(self, dialect: Dialect, endpoint: Endpoint) -> None:
        self._path = endpoint.path
        self._target_prefix = dialect.target_prefix
        self._fixed = {
            "content-type": dialect.content_type,
            "host": endpoint.host,
            **dialect.headers,
        }
        self._signer = SigV4Auth(None, dialect.signing_name, endpoint.region)
        self._key_of = ("", "")
        """Secret and scope that `_key` was made of."""

        self._key = b""

    def headers(
        self, operation: str, body: bytes, credentials: ReadOnlyCredentials, seconds: float
    ) -> dict[str, str]:
        """Return all headers that are signed, and the signature. `seconds`: since the epoch."""
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(seconds))
        headers = {
            **self._fixed,
            "x-amz-date": moment,
            "x-amz-target": f"{self._target_prefix}.{operation}",
        }
        if credentials.token:
            headers["x-amz-security-token"] = credentials.token
        headers["authorization"] = self._authorization(headers, body, credentials)
        return headers

    def _authorization(
        self, headers: Mapping[str, str], body: bytes, credentials: ReadOnlyCredentials
    ) -> str:
        names = sorted(headers)
        signed = ";".join(names)
        lines = [f"{name}:{headers[name]}" for name in names]
        canonical = "\n".join(
            ("POST", self._path, "", *lines, "", signed, sha256(body).hexdigest())
        )
        # All that the signer reads of a request from here on.
        request = SimpleNamespace(context={"timestamp": headers["x-amz-date"]})
        scope = self._signer.credential_scope(request)
        text = self._signer.string_to_sign(request, canonical)
        key = self._signing_key(credentials.secret_key, scope)
        return (
            f"AWS4-HMAC-SHA256 Credential={credentials.access_key}/{scope}, "
            f"SignedHeaders={signed}, Signature={hmac.digest(key, text.encode(), 'sha256').hex()}"
        )

    def _signing_key(self, secret: str, scope: str) -> bytes:
        if self._key_of != (secret, scope):
            self._key = reduce(self._signer._sign, scope.split("/"), f"AWS4{secret}".encode())  # noqa: SLF001  the signer's own step
            self._key_of = (secret, scope)
        return self._key

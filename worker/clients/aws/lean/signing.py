"""Signature Version 4 of the one kind of request there is here: a POST of JSON, without a query.

What is signed is made by botocore's signer, but for two things: the canonical request, which has
one form here (botocore copies the headers through `email.message` for it, thrice), and the key,
which is kept for its day. Together they were nine tenths of what a signature cost.
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import hmac
import time
from collections.abc import Mapping
from functools import reduce
from hashlib import sha256
from types import SimpleNamespace

from botocore.auth import SigV4Auth
from botocore.credentials import ReadOnlyCredentials

from worker.clients.aws.lean.dialects import Dialect
from worker.clients.aws.lean.place import Place


class Signer:
    """Makes the headers of requests to one service."""

    def __init__(self, dialect: Dialect, place: Place) -> None:
        self._path = place.path
        self._target_prefix = dialect.target_prefix
        self._fixed = {
            "content-type": dialect.content_type,
            "host": place.host,
            **dialect.headers,
        }
        self._signer = SigV4Auth(None, dialect.signing_name, place.region)
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
        # All that the signer looks at in a request from here on.
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

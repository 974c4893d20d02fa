"""Signatures of webhooks, as Standard Webhooks has them.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import hmac
from base64 import b64decode, b64encode
from binascii import Error as NotBase64

from worker.errors import ConfigurationError

ENCODED = "whsec_"
"""Before a secret that is base64 of the key; any other secret is the key itself."""


class Signer:
    """Signs with each of the secrets, so that a receiver may know the old one or the new."""

    def __init__(self, secret: str) -> None:
        """`secret`: one or more, parted by blanks. Raises ConfigurationError for bad base64."""
        self._keys = [_key(one) for one in secret.split()]
        if not self._keys:
            raise ConfigurationError(["WEBHOOK_SECRET: is blank"])

    def sign(self, delivery_id: str, timestamp: int, body: bytes) -> str:
        """Return the value of `webhook-signature`. `timestamp`: seconds since 1970."""
        content = b"%s.%d.%s" % (delivery_id.encode(), timestamp, body)
        digests = (hmac.digest(key, content, "sha256") for key in self._keys)
        return " ".join(f"v1,{b64encode(digest).decode()}" for digest in digests)


def _key(secret: str) -> bytes:
    if not secret.startswith(ENCODED):
        return secret.encode()
    try:
        key = b64decode(secret.removeprefix(ENCODED), validate=True)
    except NotBase64:
        key = b""
    if not key:
        raise ConfigurationError(["WEBHOOK_SECRET: no base64 after whsec_"])
    return key

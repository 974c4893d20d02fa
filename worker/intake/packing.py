"""Bodies too long to be sent on together with a note: packed, and unpacked when they go back."""

import gzip
import zlib
from base64 import b64decode, b64encode

ENCODING = "gzip+base64"
"""Value of `bodyEncoding` in the note of a message whose body is packed."""


def packed(body: str) -> str:
    """Return the body compressed, as text; the same text for the same body."""
    return b64encode(gzip.compress(body.encode(), mtime=0)).decode()


def unpacked(text: str) -> str:
    """Return the body again. Raises ValueError for a text that was not packed."""
    try:
        return gzip.decompress(b64decode(text, validate=True)).decode()
    except (ValueError, OSError, EOFError, zlib.error) as error:
        raise ValueError("not a packed body") from error

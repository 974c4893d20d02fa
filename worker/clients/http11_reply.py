"""One reply of HTTP/1.1, as it comes.

llhttp, the parser of Node, says what a reply is, in its strict mode. What is refused here besides:
other versions, upgrades, transfer codings that no one asked for, and sizes.
"""

from collections.abc import Mapping
from typing import Final

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser
from msgspec import Struct

from worker.clients.http_network import MAX_HEADER_BYTES

VERSIONS: Final = {"1.0", "1.1"}


class ReplyCut(OSError):
    """The connection ended before the reply was whole, or the reply is beyond the limit."""


class ReplyTooLarge(ReplyCut):
    """The body is beyond the limit."""

    def __init__(self, status: int) -> None:
        super().__init__("too large")
        self.status = status


class MalformedReply(ValueError):
    """What came is no reply of HTTP/1.1, or none to what was asked."""


class Reply(Struct, frozen=True):
    """What came back."""

    status: int
    headers: Mapping[str, str]
    """Asked for by names in lower case."""

    body: bytes
    until_close: bool = False
    """It gave no length, and ended with its connection: one that was cut looks as whole."""


class Reading:
    """One reply, as far as it has come."""

    __slots__ = (
        *("_chunks", "_headed", "_headers", "_most", "_parser", "_received", "_size"),
        *("_until_close", "keep_alive", "reply", "surplus"),
    )

    def __init__(self, most_bytes: int) -> None:
        """`most_bytes`: of a body."""
        self._most = most_bytes
        self._parser = HttpResponseParser(self)
        self._headers: dict[str, str] = {}
        self._chunks: list[bytes] = []
        self._received = self._size = 0
        self._headed = False
        self._until_close = False
        self.reply: Reply | None = None
        self.keep_alive = False
        self.surplus = False
        """Bytes came after the end of the reply."""

    def feed(self, data: bytes) -> bool:
        """Return True once the reply is whole. Raises ReplyTooLarge, ReplyCut, MalformedReply."""
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            if self.reply is None:
                raise MalformedReply(str(error)) from error
            self.surplus = True
        self._check_size()
        if self.reply is None:
            return False
        # It and the parser hold each other: the two would wait for the garbage collector.
        del self._parser
        return True

    def _check_size(self) -> None:
        if self._size > self._most:
            raise ReplyTooLarge(self._parser.get_status_code())
        if not self._headed and self._received > MAX_HEADER_BYTES:
            raise MalformedReply("headers too large")
        # The framing of small chunks, and trailers, may outgrow the body.
        if self._received - self._size > max(self._most, MAX_HEADER_BYTES):
            raise ReplyCut("too large")

    def end(self) -> Reply | None:
        """Return the reply if the end of the connection is its end, too."""
        if self._until_close and self.reply is None:
            self._finish(keep_alive=False)
        return self.reply

    def on_message_begin(self) -> None:
        """Note, for the parser, that a reply begins; a second one was not asked for."""
        self.surplus = self.reply is not None

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header from the parser. Trailers are dropped: they are no part of an answer."""
        if not self._headed:
            key, text = name.decode("latin-1").lower(), value.decode("latin-1")
            known = self._headers.get(key)
            self._headers[key] = text if known is None else f"{known}, {text}"

    def on_headers_complete(self) -> None:
        """Check a head, for the parser. What is raised here, `feed` raises as MalformedReply."""
        if self.reply is not None:
            return
        status, headers = self._parser.get_status_code(), self._headers
        if self._parser.get_http_version() not in VERSIONS or status < 100 or status == 101:
            raise MalformedReply("status line")
        if self._received > MAX_HEADER_BYTES < sum(map(len, (*headers, *headers.values()))):
            raise MalformedReply("headers too large")
        coding = headers.get("transfer-encoding")
        if coding is not None and coding.lower() != "chunked":
            raise MalformedReply("transfer coding")
        self._headed = True
        self._until_close = (
            coding is None and "content-length" not in headers and status not in {204, 304}
        )

    def on_body(self, chunk: bytes) -> None:
        """Take a piece of the body from the parser."""
        self._size += len(chunk)
        self._chunks.append(chunk)

    def on_message_complete(self) -> None:
        """Finish, for the parser, unless it was an interim reply, which is no answer."""
        if self.reply is not None:
            return
        if self._parser.get_status_code() < 200:
            self._headers, self._headed, self._until_close = {}, False, False
            return
        self._finish(keep_alive=self._parser.should_keep_alive())

    def _finish(self, *, keep_alive: bool) -> None:
        chunks = self._chunks
        body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        status = self._parser.get_status_code()
        self.reply = Reply(status, self._headers, body, self._until_close)
        self.keep_alive = keep_alive

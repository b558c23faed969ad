"""One HTTP/1.1 answer, byte for byte: `httptools` parses, this module refuses whatever is not exact.

Here live the framing rules: where an answer ends, how large it may be, and whether its connection may be used again.
An answer that comes in one piece with just the head that AWS sends is read by one regular expression, which accepts
nothing else. It must not know sockets, time or DynamoDB.
"""

from __future__ import annotations

import re
from math import inf
from typing import Any, Final

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from dynamorm.effects import MAX_BODY, TransportError

MAX_HEAD: Final = 64 * 1024
"""Bytes of status line and headers that are accepted, interim answers included."""

MAX_INTERIM: Final = 8
"""1xx answers that are skipped before the final one."""

_VERSIONS: Final = (b"HTTP/1.1", b"HTTP/1.0")
_BODILESS: Final = frozenset({204, 304})
_LAST_CHUNK: Final = b"0\r\n\r\n"

# As they stand in a lower-cased head: the parser has made sure that each line of it is "name: value" and ends in CRLF.
_LENGTH: Final = b"\r\ncontent-length:"
_CODING: Final = b"\r\ntransfer-encoding:"
_CRC: Final = b"\r\nx-amz-crc32:"
_REQUEST_ID: Final = b"\r\nx-amzn-requestid:"
_DATE: Final = b"\r\ndate:"
_RETRY_AFTER: Final = b"\r\nx-amz-retry-after:"

# The head of AWS's answers, name by name: no header twice, none that changes where the answer ends. A status of 204 or
# 304 has no body, and 1xx is not the answer yet: those are for the parser.
_usual: Final = re.compile(
    rb"HTTP/1\.1 (200|4\d\d|5\d\d) [ -~]{0,64}+\r\nServer: [!-~]{0,64}+\r\nDate: ([!-~][ -~]{27}[!-~])\r\n"
    rb"Content-Type: application/x-amz-json-1\.0\r\nContent-Length: (\d{1,8}+)\r\nConnection: keep-alive\r\n"
    rb"x-amzn-RequestId: ([0-9A-Za-z-]{1,128}+)\r\nx-amz-crc32: (\d{1,10}+)\r\n\r\n"
).match


class Exchange:
    """The answer to one request: `feed` bytes until it returns True, then read the attributes of a `Reply`.

    ``reusable`` is True when the connection may carry another request: HTTP/1.1, kept alive, nothing irregular and
    not one byte after the end. Headers are looked up when they are asked for: no Python code runs for each of them.
    A body of more than ``largest`` bytes is refused.

    Example::

        answer = Exchange()
        while not answer.feed(receive()):
            pass
        answer.status, answer.body
    """

    __slots__ = (
        "_chunked",
        "_chunks",
        "_complete",
        "_end",
        "_found",
        "_head",
        "_head_done",
        "_interim",
        "_keep_alive",
        "_largest",
        "_low",
        "_parser",
        "_problem",
        "_raw",
        "_received",
        "_size",
        "_start",
        "_tail",
        "body",
        "origin",
        "reusable",
        "status",
    )

    _chunked: bool
    _chunks: bytearray | None
    _complete: bool
    _end: int
    _head: bytes
    _head_done: bool
    _interim: int
    _keep_alive: bool
    _low: bytes
    _parser: HttpResponseParser
    _problem: str | None
    _raw: bytes
    _size: int
    _start: int
    _tail: bytes
    body: bytes
    reusable: bool
    status: int

    def __init__(self, largest: int = MAX_BODY) -> None:
        self._largest = largest
        self._received = 0  # bytes fed
        self.origin: Any = None  # the connection it came over, once it is whole
        self._found: re.Match[bytes] | None = None

    def _begin(self) -> None:
        """Make ready to parse."""
        self._parser = HttpResponseParser(self)
        self._raw = b""  # what has come until the head is complete
        self._size = 0  # bytes of body among what was fed
        self._start = self._end = 0  # where the head lies, interim answers before it
        self._interim = 0
        self._complete = self._head_done = self._chunked = self.reusable = False
        self._chunks = None
        self._problem = None
        self._tail = self.body = b""

    @property
    def started(self) -> bool:
        """Whether any byte of an answer has come."""
        return self._received > 0

    @property
    def crc(self) -> bytes | None:
        """The checksum of the body, as text."""
        found = self._found
        return self._field(_CRC) if found is None else found[5]

    @property
    def date(self) -> bytes | None:
        """The server's clock."""
        found = self._found
        return self._field(_DATE) if found is None else found[2]

    @property
    def retry_after(self) -> bytes | None:
        """How many milliseconds to wait before the next attempt."""
        return self._field(_RETRY_AFTER) if self._found is None else None

    @property
    def request_id(self) -> str | None:
        """The service's name for this request."""
        found = self._found
        value = self._field(_REQUEST_ID) if found is None else found[4]
        return None if value is None else value.decode("latin-1")

    def feed(self, data: bytes) -> bool:
        """Take bytes as received; True when the answer is complete.

        Raises: `TransportError` with stage ``protocol`` when the bytes are not one well-framed answer.
        """
        if self._received == 0:
            found = _usual(data)
            if found is not None and len(data) == found.end() + int(found[3]):
                self._received = len(data)
                self._found = found
                self.status = int(found[1])
                self.body = data[found.end() :]
                self.reusable = True
                return True
            self._begin()
        if not self._head_done:
            self._raw += data
        self._received += len(data)
        regular = True
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            if not self._complete:
                raise self._refusal(self._problem or str(error) or type(error).__name__) from None
            regular = False  # the answer is whole; what follows it is not for us
        if not self._complete:
            self._check_size(data)
            return False
        if self._chunked:
            ended = (self._tail + data[-5:]).endswith(_LAST_CHUNK)
        else:
            ended = self._received == self._end + self._size
        self.reusable = regular and ended and self._keep_alive and self._head.startswith(b"HTTP/1.1")
        del self._parser  # it refers to us: the cycle would keep the body alive
        self._raw = b""
        return True

    def distrust(self) -> None:
        """See `dynamorm.effects.Reply`: a connection that was never young is not taken from the pool again."""
        if self.origin is not None:
            self.origin.born = -inf

    def eof(self) -> None:
        """Tell that the connection ended. An answer's end is never told by that, so this always raises."""
        if self._received == 0:
            raise TransportError("receive", "the connection was closed before an answer", sent=True)
        raise self._refusal("the connection was closed in the middle of the answer")

    def _check_size(self, data: bytes) -> None:
        """Refuse an unfinished answer with too much around its body: endless headers, chunk extensions, trailers."""
        if self._chunked:
            self._tail = (self._tail + data[-5:])[-5:]
            around = self._received - self._end - 2 * self._size  # small chunks may double what is sent
        else:
            around = 0 if self._head_done else self._received
        if around > MAX_HEAD:
            raise self._refusal(f"more than {MAX_HEAD} bytes around the body")

    def _field(self, name: bytes) -> bytes | None:
        """Return a header's value, or None; the values of a repeated one joined by commas."""
        low = self._low
        start = low.find(name)
        if start < 0:
            return None
        start += len(name)
        end = low.find(b"\r\n", start)
        value = self._head[start:end].strip()
        while (start := low.find(name, end)) >= 0:
            start += len(name)
            end = low.find(b"\r\n", start)
            value += b"," + self._head[start:end].strip()
        return value

    def _refusal(self, detail: str) -> TransportError:
        if hasattr(self, "_parser"):
            del self._parser
        return TransportError("protocol", detail, sent=True)

    def _stop(self, problem: str) -> ValueError:
        """Remember why, since the parser hides the exception that stops it."""
        self._problem = problem
        return ValueError(problem)

    # What follows is called by the parser, in the order of the bytes.

    def on_headers_complete(self) -> None:
        """Decide whether the answer has an end that can be told and afforded."""
        if self._complete:
            raise self._stop("a second answer")
        end = self._raw.find(b"\r\n\r\n", self._start)
        self._head = head = self._raw[self._start : end + 2]
        self._low = low = head.lower()
        self._end = end + 4
        self._head_done = True
        self.status = status = self._parser.get_status_code()
        if end < 0 or head[:8] not in _VERSIONS or not 100 <= status <= 599:
            raise self._stop("not an HTTP/1.x answer")
        if end > MAX_HEAD - 4:
            raise self._stop(f"more than {MAX_HEAD} bytes of headers")
        start = low.find(_LENGTH)
        if low.find(_CODING) >= 0:
            if start >= 0 or self._field(_CODING).lower() != b"chunked":  # type: ignore[union-attr]  # it was found
                raise self._stop("a transfer coding other than chunked")
            self._chunked = True
        elif start >= 0:
            start += 17
            end = low.find(b"\r\n", start)
            if low.find(_LENGTH, end) >= 0 or int(low[start:end]) > self._largest:
                raise self._stop(f"more than one length, or a body of more than {self._largest} bytes")
        elif status >= 200 and status not in _BODILESS:
            raise self._stop("neither Content-Length nor chunked")

    def on_body(self, data: bytes) -> None:
        """Collect the body; the usual answer comes in one piece and is not copied again."""
        if self._size == 0:
            self._size, self.body = len(data), data
            return
        if self._chunks is None:
            self._chunks = bytearray(self.body)
        self._chunks += data
        self._size += len(data)
        if self._size > self._largest:
            raise self._stop(f"a body of more than {self._largest} bytes")

    def on_message_complete(self) -> None:
        """The answer is whole, unless it was an interim one."""
        if self.status < 200:
            self._interim += 1
            if self._interim > MAX_INTERIM:
                raise self._stop(f"more than {MAX_INTERIM} interim answers")
            self._start = self._end
            self._head_done = self._chunked = False
            return
        self._complete = True
        self._keep_alive = self._parser.should_keep_alive()
        if self._chunks is not None:
            self.body, self._chunks = bytes(self._chunks), None

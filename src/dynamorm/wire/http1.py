"""One HTTP/1.1 answer, byte for byte: `httptools` parses, this module refuses whatever is not exact.

Here live the framing rules: where an answer ends, how large it may be, and whether its connection may be used again.
An answer that comes in one piece with just the head that AWS sends is read by one regular expression, which accepts
nothing else. It must not know sockets, time or DynamoDB.
"""

from __future__ import annotations

import re
from enum import Enum
from functools import partial
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
_CONNECTION: Final = b"\r\nconnection:"
_CRC: Final = b"\r\nx-amz-crc32:"
_REQUEST_ID: Final = b"\r\nx-amzn-requestid:"
_DATE: Final = b"\r\ndate:"
_RETRY_AFTER: Final = b"\r\nx-amz-retry-after:"

_LONGEST_ID: Final = 200
"""Bytes that are kept of the id of a request: those of AWS have 52, a proxy may send others."""
_ON_ONE_LINE: Final = dict.fromkeys((*range(0x20), 0x7F), "?")

# The head of AWS's answers, name by name: no header twice, none that changes where the answer ends. A status of 204 or
# 304 has no body, and 1xx is not the answer yet: those are for the parser.
_usual: Final = re.compile(
    rb"HTTP/1\.1 (200|4\d\d|5\d\d) [ -~]{0,64}+\r\nServer: [!-~]{0,64}+\r\nDate: ([!-~][ -~]{27}[!-~])\r\n"
    rb"Content-Type: application/x-amz-json-1\.0\r\nContent-Length: (\d{1,8}+)\r\nConnection: keep-alive\r\n"
    rb"x-amzn-RequestId: ([0-9A-Za-z-]{1,128}+)\r\nx-amz-crc32: (\d{1,10}+)\r\n\r\n"
).match


def repeated() -> TransportError:
    """What an answer is that has the request id of the one before it on the same connection."""
    return TransportError("protocol", "the answer has the request id of the one before: it came twice", sent=True)


def _always(_: float) -> bool:
    """Used instead of a connection's ``ready``."""
    return True


class _Mark(Enum):
    HEAD = "the end of a head"
    END = "the end of a message"


class _Marks:
    """What the parser tells, in its order: the end of a head, pieces of a body, the end of a message.

    The parser hides whatever its callbacks raise, and a signal's handler may raise anything in any Python code: so its
    callbacks are built-in functions, which no handler interrupts, and the rest is done afterwards.
    """

    __slots__ = ("on_body", "on_headers_complete", "on_message_complete", "seen")

    def __init__(self) -> None:
        self.seen: list[_Mark | bytes] = []
        self.on_headers_complete = partial(self.seen.append, _Mark.HEAD)
        self.on_body = self.seen.append
        self.on_message_complete = partial(self.seen.append, _Mark.END)


class Exchange:
    """The answer to one request: `feed` bytes until it returns True, then read the attributes of a `Reply`.

    ``reusable`` is True when the connection may carry another request: HTTP/1.1, kept alive, nothing irregular and
    not one byte after the end. ``raw_id`` is the request id as it came, None without one: two answers with the same are
    one answer. ``crc`` is the checksum of the body, as text. Other headers are looked up when they are asked for: no Python code runs for each of them.
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
        "_marks",
        "_parser",
        "_raw",
        "_received",
        "_size",
        "_start",
        "_tail",
        "body",
        "crc",
        "origin",
        "raw_id",
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
    _marks: list[_Mark | bytes]
    _parser: HttpResponseParser
    _raw: bytes
    _size: int
    _start: int
    _tail: bytes
    body: bytes
    crc: bytes | None
    raw_id: bytes | None
    reusable: bool
    status: int

    def __init__(self, largest: int = MAX_BODY) -> None:
        self._largest = largest
        self._received = 0  # bytes fed
        self.origin: Any = None  # the connection it came over, once it is whole
        self._found: re.Match[bytes] | None = None

    def _begin(self) -> None:
        """Make ready to parse."""
        marks = _Marks()
        self._marks = marks.seen
        self._parser = HttpResponseParser(marks)
        self._raw = b""  # what has come until the head is complete
        self._size = 0  # bytes of body among what was fed
        self._start = self._end = 0  # where the head lies, interim answers before it
        self._interim = 0
        self._complete = self._head_done = self._chunked = self.reusable = False
        self._chunks = None
        self._tail = self.body = b""

    @property
    def started(self) -> bool:
        """Whether any byte of an answer has come."""
        return self._received > 0

    @property
    def date(self) -> bytes | None:
        """The server's clock."""
        match = self._found
        return self._field(_DATE) if match is None else match[2]

    @property
    def retry_after(self) -> bytes | None:
        """How many milliseconds to wait before the next attempt."""
        return self._field(_RETRY_AFTER) if self._found is None else None

    @property
    def request_id(self) -> str | None:
        """The service's name for this request, as letters on one line: it stands in errors, and so in logs."""
        value = self.raw_id
        if value is None:
            return None
        return value[:_LONGEST_ID].decode("ascii", "replace").translate(_ON_ONE_LINE)

    def feed(self, data: bytes) -> bool:
        """Take bytes as received; True when the answer is complete.

        Raises: `TransportError` with stage ``protocol`` when the bytes are not one well-framed answer. What a signal's
        handler raises meanwhile is raised as it is.
        """
        if self._received == 0:
            match = _usual(data)
            if match is not None and len(data) == match.end() + int(match[3]):
                self._received = len(data)
                self._found = match
                self.status = int(match[1])
                self.body = data[match.end() :]
                self.raw_id, self.crc = match.group(4, 5)
                self.reusable = True
                return True
            self._begin()
        if not self._head_done:
            self._raw += data
        self._received += len(data)
        regular, problem = True, ""
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            regular, problem = False, str(error) or type(error).__name__
        regular &= self._heed()
        if problem and not self._complete:
            raise self._refusal(problem)
        if not self._complete:
            self._check_size(data)
            return False
        if self._chunked:
            ended = (self._tail + data[-5:]).endswith(_LAST_CHUNK)
        else:
            ended = self._received == self._end + self._size
        self.reusable = regular and ended and self._keep_alive and self._head.startswith(b"HTTP/1.1")
        self.raw_id, self.crc = self._field(_REQUEST_ID), self._field(_CRC)
        del self._parser, self._marks
        self._raw = b""
        return True

    def distrust(self) -> None:
        """See `dynamorm.effects.Reply`: to the pool the connection looks as if it held an unexpected answer."""
        if self.origin is not None:
            self.origin.ready = _always

    def _heed(self) -> bool:
        """Go through what the parser told; False when there was more than one answer."""
        marks = self._marks
        for at, mark in enumerate(marks):
            if self._complete:
                del marks[at:]
                return False  # the answer is whole; what follows it is not part of it
            if mark is _Mark.HEAD:
                self.on_headers_complete()
            elif mark is _Mark.END:
                self.on_message_complete()
            else:
                self.on_body(mark)
        marks.clear()
        return True

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
        return TransportError("protocol", detail, sent=True)

    # What follows is done in the order of the bytes.

    def on_headers_complete(self) -> None:
        """Decide whether the answer has an end that can be found, and a size that is allowed."""
        end = self._raw.find(b"\r\n\r\n", self._start)
        self._head = head = self._raw[self._start : end + 2]
        self._low = low = head.lower()
        self._end = end + 4
        self._head_done = True
        self.status = status = int(head[9:12]) if head[:8] in _VERSIONS else 0  # the parser saw three digits
        if end < 0 or not 100 <= status <= 599:
            raise self._refusal("not an HTTP/1.x answer")
        if end > MAX_HEAD - 4:
            raise self._refusal(f"more than {MAX_HEAD} bytes of headers")
        start = low.find(_LENGTH)
        if low.find(_CODING) >= 0:
            if start >= 0 or self._field(_CODING).lower() != b"chunked":  # type: ignore[union-attr]  # it was found
                raise self._refusal("a transfer coding other than chunked")
            self._chunked = True
        elif start >= 0:
            start += 17
            end = low.find(b"\r\n", start)
            if low.find(_LENGTH, end) >= 0 or int(low[start:end]) > self._largest:
                raise self._refusal(f"more than one length, or a body of more than {self._largest} bytes")
        elif status >= 200 and status not in _BODILESS:
            raise self._refusal("neither Content-Length nor chunked")

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
            raise self._refusal(f"a body of more than {self._largest} bytes")

    def on_message_complete(self) -> None:
        """The answer is whole, unless it was an interim one."""
        if self.status < 200:
            self._interim += 1
            if self._interim > MAX_INTERIM:
                raise self._refusal(f"more than {MAX_INTERIM} interim answers")
            self._start = self._end
            self._head_done = self._chunked = False
            return
        self._complete = True
        self._keep_alive = b"close" not in (self._field(_CONNECTION) or b"").lower()
        if self._chunks is not None:
            self.body, self._chunks = bytes(self._chunks), None

"""One HTTP/1.1 answer, byte for byte: `httptools` parses, this module refuses whatever is not exact.

Here live the framing rules: where an answer ends, how large it may be, and whether its connection may be used again.
It must not know sockets, time or DynamoDB.
"""

from __future__ import annotations

from typing import Final

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from dynamorm.effects import TransportError

MAX_HEAD: Final = 64 * 1024
"""Bytes of status line and headers that are accepted, interim answers included."""

MAX_BODY: Final = 17 * 1024 * 1024
"""Bytes of body that are accepted: DynamoDB's largest answer is 16 MB (BatchGetItem), and some slack.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html
"""

MAX_INTERIM: Final = 8
"""1xx answers that are skipped before the final one."""

_WANTED: Final = {
    b"content-length": "_length",
    b"transfer-encoding": "_coding",
    b"x-amz-crc32": "crc",
    b"x-amzn-requestid": "_request_id",
    b"date": "date",
    b"x-amz-retry-after": "retry_after",
}
_LENGTHS: Final = frozenset(map(len, _WANTED))  # most names are dismissed by their length alone
_VERSIONS: Final = (b"HTTP/1.1", b"HTTP/1.0")
_BODILESS: Final = frozenset({204, 304})
_LAST_CHUNK: Final = b"0\r\n\r\n"


class Exchange:
    """The answer to one request: `feed` bytes until it returns True, then read the attributes of a `Reply`.

    ``reusable`` is True when the connection may carry another request: HTTP/1.1, kept alive, nothing irregular and
    not one byte after the end. ``started`` is True once any byte has come.

    Example::

        answer = Exchange()
        while not answer.feed(receive()):
            pass
        answer.status, answer.body
    """

    __slots__ = (
        "_chunks",
        "_coding",
        "_complete",
        "_end",
        "_head",
        "_head_done",
        "_interim",
        "_keep_alive",
        "_length",
        "_parser",
        "_problem",
        "_received",
        "_request_id",
        "_size",
        "_start",
        "_tail",
        "body",
        "crc",
        "date",
        "request_id",
        "retry_after",
        "reusable",
        "status",
    )

    def __init__(self) -> None:
        self._parser: HttpResponseParser | None = HttpResponseParser(self)
        self._received = 0  # bytes fed
        self._size = 0  # bytes of body among them
        self._interim = 0
        self._complete = self._head_done = self.reusable = False
        self._chunks: bytearray | None = None
        self._head: bytearray | None = None
        self._problem: str | None = None
        self._length: bytes | None = None
        self._coding: bytes | None = None
        self._request_id: bytes | None = None
        self.request_id: str | None = None
        self.crc: bytes | None = None
        self.date: bytes | None = None
        self.retry_after: bytes | None = None
        self.body = b""

    @property
    def started(self) -> bool:
        """Whether any byte of an answer has come."""
        return self._received > 0

    def feed(self, data: bytes) -> bool:
        """Take bytes as received; True when the answer is complete.

        Raises: `TransportError` with stage ``protocol`` when the bytes are not one well-framed answer.
        """
        regular = True
        try:
            self._parser.feed_data(data)  # type: ignore[union-attr]
        except (HttpParserError, HttpParserUpgrade) as error:
            if not self._complete:
                raise self._refusal(self._problem or str(error) or type(error).__name__) from None
            regular = False  # the answer is whole; what follows it is not for us
        if self._complete and self._received == self._interim == 0 and len(data) <= MAX_HEAD:
            self._received = len(data)
            version = data[:8]
            if self._coding is None:
                ended = data.find(b"\r\n\r\n") + 4 + self._size == self._received
            else:
                ended = data.endswith(_LAST_CHUNK)
        else:
            self._measure(data)
            if not self._complete:
                return False
            version, ended = self._limits()
        if version not in _VERSIONS:
            raise self._refusal("not an HTTP/1.x answer")
        if self._request_id is not None:
            self.request_id = self._request_id.decode("latin-1")
        self.reusable = regular and ended and self._keep_alive and version == b"HTTP/1.1"
        self._parser = self._head = None  # the parser refers to us: a cycle would keep the body alive
        return True

    def eof(self) -> None:
        """Tell that the connection ended. An answer's end is never told by that, so this always raises."""
        if self._received == 0:
            raise TransportError("receive", "the connection was closed before an answer", sent=True)
        raise self._refusal("the connection was closed in the middle of the answer")

    def _refusal(self, detail: str) -> TransportError:
        self._parser = None
        return TransportError("protocol", detail, sent=True)

    def _measure(self, data: bytes) -> None:
        """Keep count of an answer that comes in pieces, and refuse one with too much around its body."""
        if self._received == 0:
            self._head, self._tail, self._end = bytearray(), b"", 0
        self._received += len(data)
        self._tail = (self._tail + data[-5:])[-5:]
        if self._end == 0:
            self._head += data  # type: ignore[operator]
            if self._head_done and self.status >= 200:
                self._find_head()
        head = self._end or self._received
        around = head if self._complete else self._received - self._size
        if head > MAX_HEAD or around > MAX_HEAD + (0 if self._coding is None else self._size):
            raise self._refusal(f"more than {MAX_HEAD} bytes of headers")

    def _find_head(self) -> None:
        end = 0
        for _ in range(self._interim + 1):
            self._start, end = end, self._head.find(b"\r\n\r\n", end) + 4  # type: ignore[union-attr]
        self._end = end

    def _limits(self) -> tuple[bytes, bool]:
        version = bytes(self._head[self._start : self._start + 8])  # type: ignore[index]
        if self._coding is None:
            return version, self._received == self._end + self._size
        return version, self._tail == _LAST_CHUNK

    def _stop(self, problem: str) -> ValueError:
        """Remember why, since the parser hides the exception that stops it."""
        self._problem = problem
        return ValueError(problem)

    # What follows is called by the parser, in the order of the bytes.

    def on_message_begin(self) -> None:
        """An answer starts: the first, the one after an interim one, or one nobody asked for."""
        if self._complete:
            raise self._stop("a second answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep the few headers that matter."""
        if len(name) not in _LENGTHS or self._head_done:  # after the head come trailers, which are not believed
            return
        slot = _WANTED.get(name.lower())
        if slot is not None:
            earlier = getattr(self, slot)
            setattr(self, slot, value.strip() if earlier is None else earlier + b"," + value.strip())

    def on_headers_complete(self) -> None:
        """Decide whether the answer has an end that can be told and afforded."""
        self._head_done = True
        self.status = status = self._parser.get_status_code()  # type: ignore[union-attr]
        if not 100 <= status <= 599:
            raise self._stop("a status that does not exist")
        if self._length is not None:
            if len(self._length) > 8 or int(self._length) > MAX_BODY:
                raise self._stop(f"a body of more than {MAX_BODY} bytes")
        elif self._coding is None:
            if status >= 200 and status not in _BODILESS:
                raise self._stop("neither Content-Length nor chunked")
        elif self._coding.lower() != b"chunked":
            raise self._stop("a transfer coding other than chunked")

    def on_body(self, data: bytes) -> None:
        """Collect the body; the usual answer comes in one piece and is not copied again."""
        if self._size == 0:
            self._size, self.body = len(data), data
            return
        if self._chunks is None:
            self._chunks = bytearray(self.body)
        self._chunks += data
        self._size += len(data)
        if self._size > MAX_BODY:
            raise self._stop(f"a body of more than {MAX_BODY} bytes")

    def on_message_complete(self) -> None:
        """The answer is whole, unless it was an interim one."""
        if self.status < 200:
            self._interim += 1
            if self._interim > MAX_INTERIM:
                raise self._stop(f"more than {MAX_INTERIM} interim answers")
            self._head_done = False
            self._length = self._coding = self._request_id = self.crc = self.date = self.retry_after = None
            return
        self._complete = True
        self._keep_alive = self._parser.should_keep_alive()  # type: ignore[union-attr]
        if self._chunks is not None:
            self.body, self._chunks = bytes(self._chunks), None

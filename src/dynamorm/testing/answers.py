"""What a `FaultServer` may answer: plain data, and how it becomes bytes. It must not know sockets, time or threads.

An `Answer` is an honest or a dishonest HTTP answer together with the way it reaches the client. Start from one of the
constructors and refine it::

    answers.json({"Item": item})  # a proper answer, CRC-32 included
    answers.honest().cut("mid-body").then("reset")  # the backend applies the write, half the reply arrives
    answers.error("InternalServerError", 500).applied()  # the write is applied, the reply says 500
    answers.json({}, crc="bad").delayed(0.5)
"""

from __future__ import annotations

import json as _json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any, Literal, TypeAlias

Crc: TypeAlias = bool | Literal["bad"] | Sequence[str] | None
"""True: the right ``x-amz-crc32``; False: none; ``"bad"``: a wrong one; texts: these headers; None: leave it."""

Cut: TypeAlias = Literal["mid-headers", "after-headers", "mid-body"] | int | None
"""Where the bytes end: at a named place, after so many bytes of the whole answer, or nowhere (None)."""

Ending: TypeAlias = Literal["keep", "close", "reset", "stall"]
"""What follows the last byte: the connection stays usable, is closed, is reset, or stays open and silent."""

_JSON = ("Content-Type", "application/x-amz-json-1.0")
_CRC = "x-amz-crc32"
_ERROR_PREFIX = "com.amazonaws.dynamodb.v20120810#"


@dataclass(frozen=True, slots=True)
class Message:
    """A whole HTTP answer: ``status``, ``headers`` (name and value pairs, without the framing ones) and ``body``.

    Example: ``Message(200, (("x-amzn-requestid", "R1"),), b"{}")``
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """One scripted answer. Every method returns a changed copy; see the module for examples.

    ``message`` is what is answered; None stands for what the backend answers (which applies the request).
    """

    message: Message | None = None
    apply: bool = False
    delay: float = 0.0
    rate: float | None = None
    crc: Crc = None
    flipped: int | None = None
    shortened: int = 0
    lengths: tuple[str, ...] | None = None
    chunk: int | None = None
    whole: bytes | None = None
    before: bytes = b""
    version: str = "HTTP/1.1"
    end: Cut = None
    ending: Ending = "keep"

    def applied(self, apply: bool = True) -> Answer:  # noqa: FBT001, FBT002 - reads as a sentence
        """Let the backend apply the request first; what it answers is dropped unless this is `honest`."""
        return replace(self, apply=apply)

    def delayed(self, seconds: float) -> Answer:
        """Wait ``seconds`` (after applying, if it applies) before the first byte."""
        return replace(self, delay=seconds)

    def drip(self, bytes_per_second: float) -> Answer:
        """Send the whole answer, status line included, at this rate."""
        return replace(self, rate=bytes_per_second)

    def checksum(self, crc: Crc) -> Answer:
        """Replace the ``x-amz-crc32`` header: see `Crc`."""
        return replace(self, crc=crc)

    def flip(self, bit: int) -> Answer:
        """Invert one bit of the body (taken modulo its length in bits); the checksum stays that of the whole body."""
        return replace(self, flipped=bit)

    def shorten(self, count: int = 1) -> Answer:
        """Leave out the last ``count`` bytes of the body. Content-Length agrees; the checksum is of the full body."""
        return replace(self, shortened=count)

    def content_length(self, *values: int | str) -> Answer:
        """Send these Content-Length headers: none, several, negative, too long, too short, or not a number."""
        return replace(self, lengths=tuple(str(value) for value in values))

    def chunked(self, size: int = 64) -> Answer:
        """Send the body in chunks of ``size`` bytes; ``cut("mid-body")`` then ends inside a chunk."""
        return replace(self, chunk=size)

    def cut(self, where: Cut) -> Answer:
        """End after a part of the answer (see `Cut`); closes the connection unless `then` says otherwise."""
        return replace(self, end=where, ending="close" if self.ending == "keep" else self.ending)

    def then(self, ending: Ending) -> Answer:
        """Say what follows the last byte: see `Ending`."""
        return replace(self, ending=ending)

    def preceded_by(self, status: int = 100, times: int = 1) -> Answer:
        """Send ``times`` informational answers (100 Continue, 103 Early Hints, ...) first."""
        return replace(self, before=f"HTTP/1.1 {status} {_phrase(status)}\r\n\r\n".encode() * times)

    def http10(self) -> Answer:
        """Answer as an HTTP/1.0 server without keep-alive."""
        return replace(self, version="HTTP/1.0", ending="close")

    def with_header(self, name: str, value: str) -> Answer:
        """Add a header. Only for an answer that has its own message."""
        if self.message is None:
            raise ValueError("an honest answer takes its headers from the backend")
        return replace(self, message=replace(self.message, headers=(*self.message.headers, (name, value))))


def json(
    body: object,
    status: int = 200,
    *,
    crc: Crc = True,
    headers: Mapping[str, str] | None = None,
    request_id: str = "TEST",
) -> Answer:
    """Answer with a JSON document: anything the json module can write, or bytes to be sent as they are.

    The headers are AWS's; to the request id ``TEST`` the server adds the number of the request. Put a clock into the answer with ``headers={"Date": ...}``; there is none otherwise.
    Example: ``answers.json({"Item": {"id": {"S": "1"}}})``
    """
    data = body if isinstance(body, bytes) else _json.dumps(body, separators=(",", ":")).encode()
    given = tuple((headers or {}).items())
    return Answer(Message(status, (_JSON, ("x-amzn-requestid", request_id), *given), data), crc=crc)


def error(
    code: str, status: int = 400, message: str = "", *, headers: Mapping[str, str] | None = None, **fields: Any
) -> Answer:
    """Answer with a DynamoDB error; ``fields`` are the error's own, by their names on the wire.

    Example::

        answers.error("ConditionalCheckFailedException", message="The conditional request failed", Item=item)
        answers.error("TransactionCanceledException", CancellationReasons=[{"Code": "TransactionConflict"}])
        answers.error("ThrottlingException", throttlingReasons=[...], headers={"x-amz-retry-after": "3000"})
    """
    return json({"__type": _ERROR_PREFIX + code, "message": message, **fields}, status, headers=headers)


def honest() -> Answer:
    """Answer what the backend answers, which applies the request; refine it to lose or spoil the reply."""
    return Answer(apply=True)


def html(status: int = 200, text: str = "<html><body>Please log in</body></html>") -> Answer:
    """Answer with a web page, as a captive portal or a load balancer does."""
    return Answer(Message(status, (("Content-Type", "text/html"),), text.encode()))


def empty(status: int = 200) -> Answer:
    """Answer with no body at all (a proper empty result is ``{}``)."""
    return Answer(Message(status, (_JSON,), b""))


def redirect(location: str, status: int = 307) -> Answer:
    """Answer with a redirection to ``location``."""
    return Answer(Message(status, (("Location", location),), b""))


def raw(data: bytes) -> Answer:
    """Send exactly these bytes, then close the connection unless `Answer.then` says otherwise."""
    return Answer(Message(200, (), b""), whole=data, ending="close")


def silence(ending: Ending = "close") -> Answer:
    """Answer nothing: close, reset, or stall. Add ``.applied()`` to have the request applied first."""
    return raw(b"").then(ending)


def reset() -> Answer:
    """Reset the connection instead of answering, once the whole request was read."""
    return silence("reset")


def render(answer: Answer, message: Message) -> bytes:
    """The bytes that ``answer`` puts on the wire when the backend answered ``message``."""
    if answer.whole is not None:
        return answer.whole
    body = message.body
    checksum = zlib.crc32(body)
    if answer.flipped is not None and body:
        body = _flip(body, answer.flipped % (len(body) * 8))
    if answer.shortened:
        body = body[: -answer.shortened]
    lines = [f"{answer.version} {message.status} {_phrase(message.status)}"]
    lines += [
        f"{name}: {value}"
        for name, value in (*_checked(answer.crc, message.headers, checksum), *_framing(answer, body))
    ]
    head = answer.before + "\r\n".join([*lines, "", ""]).encode("latin-1")
    payload = body if answer.chunk is None else _in_chunks(body, answer.chunk)
    return (head + payload)[: _end(answer.end, len(head), len(payload))]


def _end(cut: Cut, head: int, payload: int) -> int:
    places = {"mid-headers": head // 2, "after-headers": head, "mid-body": head + payload // 2}
    if cut is None:
        return head + payload
    return cut if isinstance(cut, int) else places[cut]


def _checked(crc: Crc, headers: tuple[tuple[str, str], ...], checksum: int) -> list[tuple[str, str]]:
    if crc is None:
        return list(headers)
    others = [(name, value) for name, value in headers if name.lower() != _CRC]
    if isinstance(crc, bool):
        return [*others, (_CRC, str(checksum))] if crc else others
    values = [str(checksum ^ 1)] if crc == "bad" else crc
    return [*others, *((_CRC, value) for value in values)]


def _framing(answer: Answer, body: bytes) -> list[tuple[str, str]]:
    if answer.chunk is not None:
        return [("Transfer-Encoding", "chunked")]
    values = (str(len(body)),) if answer.lengths is None else answer.lengths
    return [("Content-Length", value) for value in values]


def _in_chunks(body: bytes, size: int) -> bytes:
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in [*parts, b""])


def _flip(body: bytes, bit: int) -> bytes:
    changed = bytearray(body)
    changed[bit // 8] ^= 1 << (bit % 8)
    return bytes(changed)


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"

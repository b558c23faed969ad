"""What a request over HTTP is answered with: bytes for bytes. It must not know connections or time that passes.

As AWS does: a body that is no JSON is told before an unknown operation, and that before a signature that is missing. Errors have
checksums too.
"""

from __future__ import annotations

import logging
import secrets
import time
import zlib
from email.utils import formatdate
from itertools import count
from traceback import extract_tb
from typing import Any, Final, Protocol

from msgspec import DecodeError, json

from dynamorm.engine.faults import UNTOUCHED, Verdict
from dynamorm.engine.http.signature import Headers, Signatures, parts_of, value_of
from dynamorm.engine.kms import TARGET
from dynamorm.engine.refusal import Refusal, unreadable
from dynamorm.engine.shapes.requests import MAX_BODY

CONTENT_TYPE: Final = "application/x-amz-json-1.0"
FORM: Final = "application/x-www-form-urlencoded"
_REASONS: Final = {
    200: b"OK",
    400: b"Bad Request",
    404: b"Not Found",
    500: b"Internal Server Error",
    503: b"Service Unavailable",
}
_HEALTHY: Final = "text/plain; charset=utf-8"
_FAILED: Final = "The request processing has failed because of an unknown error, exception or failure."
_LETTERS: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


_log = logging.getLogger("dynamorm")


class Asked:
    """One request as it came. ``body`` is None where it was larger than any may be."""

    __slots__ = ("body", "headers", "is_last", "method", "url")

    def __init__(self, method: str, url: str, headers: Headers, body: bytes | None, *, is_last: bool) -> None:
        self.method: str = method
        self.url: str = url
        self.headers: Headers = headers
        self.body: bytes | None = body
        self.is_last: bool = is_last


class Answer:
    """What a request is answered with: ``data`` are the bytes, None where nothing is. It is sent ``delay`` seconds late."""

    __slots__ = ("data", "delay")

    def __init__(self, data: bytes | None, delay: float = 0.0) -> None:
        self.data: bytes | None = data
        self.delay: float = delay


class Answering(Protocol):
    """What is needed of an engine."""

    region: str
    trouble: Any

    def handle(
        self, target: str, body: bytes, *, strict: bool = False, access_key: str | None = None
    ) -> tuple[int, bytes]:
        """Answer one request."""
        ...

    def denial(self, target: str, body: bytes, access_key: str) -> tuple[int, bytes] | None:
        """The answer to a request that a policy does not allow."""
        ...


class Desk:
    """Answers requests for an engine; with ``signatures`` only those that are signed with a known key."""

    def __init__(self, engine: Answering, signatures: Signatures | None) -> None:
        self._engine = engine
        self._signatures = signatures
        self._begin = "".join(secrets.choice(_LETTERS) for _ in range(40))
        self._numbers = count(1)
        self._dated: tuple[int, bytes] = (0, b"")

    def answer(self, asked: Asked) -> Answer:
        """Answer a request: it raises nothing, however that is made. Where the engine fails, it is logged, and answered with 500."""
        if asked.method != "POST":
            if asked.method in ("GET", "HEAD"):
                text = f"healthy: dynamodb.{self._engine.region}.amazonaws.com "
                return Answer(self.message(asked, 200, text.encode(), _HEALTHY))
            return Answer(self.message(asked, 404, b"<UnknownOperationException/>\n", "text/xml"))
        target = value_of(asked.headers, "x-amz-target") or ""
        is_form = not target and (value_of(asked.headers, "content-type") or "").startswith(FORM)
        content_type = _content_type(target, is_form=is_form)
        try:
            body = _body(asked)
            access_key = self._admit(asked, target, body)
            _check_target(target, is_form=is_form)
            denied = None if self._signatures is None else self._engine.denial(target, body, access_key)
            delay, answered = (0.0, denied) if denied else self._carried_out(target, body, access_key)
        except Exception as error:  # noqa: BLE001 - or the parser that calls would take it for its own
            refusal = error if isinstance(error, Refusal) else _failed(target, error)
            body = _xml(refusal) if is_form else refusal.body()
            return Answer(self.message(asked, refusal.status, body, content_type))
        if answered is None:
            return Answer(None, delay)
        status, data = answered
        return Answer(self.message(asked, status, data, content_type), delay)

    def malformed(self, text: str) -> bytes:
        """The answer to what is no HTTP."""
        return self.message(Asked("POST", "/", (), b"", is_last=True), 400, unreadable(text).body(), CONTENT_TYPE)

    def _carried_out(self, target: str, body: bytes, access_key: str) -> tuple[float, tuple[int, bytes] | None]:
        engine = self._engine
        trouble = engine.trouble
        verdict: Verdict = UNTOUCHED if trouble is None else trouble.verdict(target, body)
        if trouble is None or verdict is UNTOUCHED:
            return 0.0, engine.handle(target, body, strict=True, access_key=access_key)
        return verdict.delay, trouble.carry_out(verdict, target, body, strict=True, access_key=access_key)

    def _admit(self, asked: Asked, target: str, body: bytes) -> str:
        """The access key id of a request. Raises: Refusal for one without a signature, or where they are checked with a wrong one."""
        _refuse_page(asked)
        try:
            if self._signatures is not None:
                path, _, query = asked.url.partition("?")
                self._signatures.check(
                    _signed_for(target), asked.headers, asked.body or b"", path=path or "/", query=query
                )
            return parts_of(asked.headers)["Credential"].partition("/")[0]
        except Refusal:
            if target and not _is_object(body):
                raise unreadable("the request is no JSON object that can be read") from None
            raise

    def message(self, asked: Asked, status: int, body: bytes, content_type: str) -> bytes:
        """A whole answer."""
        head = (
            b"HTTP/1.1 %d %b\r\nServer: Server\r\nDate: %b\r\nContent-Type: %b\r\nContent-Length: %d\r\n"
            b"x-amzn-RequestId: %b%012d\r\nx-amz-crc32: %d\r\nConnection: %b\r\n\r\n"
        ) % (
            status,
            _REASONS.get(status, b"Error"),
            self._date(),
            content_type.encode(),
            len(body),
            self._begin.encode(),
            next(self._numbers),
            zlib.crc32(body),
            b"close" if asked.is_last else b"keep-alive",
        )
        return head if asked.method == "HEAD" else head + body

    def _date(self) -> bytes:
        second = int(time.time())
        if second != self._dated[0]:
            self._dated = second, formatdate(second, usegmt=True).encode()
        return self._dated[1]


_NEAR: Final = (".localhost", ".local", ".internal", ".amazonaws.com", ".amazonaws.com.cn", ".api.aws")
"""How names end that no page of the web can have lead to this machine."""


def _refuse_page(asked: Asked) -> None:
    """Refuse what a page of the web sends under a name of its own that leads here (DNS rebinding). Raises: Refusal.

    Pages alone send where they are from; who has no data for strangers here, and pages of this machine, are answered as ever.
    """
    if value_of(asked.headers, "origin") is None:
        return
    host = (value_of(asked.headers, "host") or "").lower().rstrip(".")
    name = host if host.startswith("[") else host.partition(":")[0].rstrip(".")
    if "." in name and not name.endswith(_NEAR) and not name.replace(".", "").isdigit():
        raise Refusal("AccessDeniedException", "no page of the web is answered under a name of its own", status=403)


def _failed(target: str, error: Exception) -> Refusal:
    """What a failure of the engine is answered with. It is logged without its text, which may hold values of items."""
    place = extract_tb(error.__traceback__)[-1]
    where = f"{place.filename}:{place.lineno}"
    _log.error("the engine failed to answer %.100r: %s at %s", target, type(error).__name__, where)
    return Refusal("InternalServerError", _FAILED, status=500)


def _xml(refusal: Refusal) -> bytes:
    """An error as forms are answered."""
    text = refusal.text.replace("&", "&amp;").replace("<", "&lt;")
    error = f"<Type>Sender</Type><Code>{refusal.name}</Code><Message>{text}</Message>"
    return f"<ErrorResponse><Error>{error}</Error></ErrorResponse>".encode()


def _check_target(target: str, *, is_form: bool) -> None:
    """Raise Refusal for a request that says nowhere what it asks for."""
    if not target and not is_form:
        raise Refusal("UnknownOperationException", "")


def _content_type(target: str, *, is_form: bool) -> str:
    """What the answers of a service are."""
    if is_form:
        return "text/xml"
    return "application/x-amz-json-1.1" if target.startswith(TARGET) else CONTENT_TYPE


def _signed_for(target: str) -> str:
    """The service that the signature of a request names."""
    if not target:
        return "sts"
    return "kms" if target.startswith(TARGET) else "dynamodb"


def _body(asked: Asked) -> bytes:
    """The body, unpacked. Raises: Refusal for one that is too large, or packed in a way that cannot be read."""
    if asked.body is None:
        raise unreadable(f"a request has {MAX_BODY} bytes at most")
    packed = (value_of(asked.headers, "content-encoding") or "identity").strip().lower()
    if packed in ("identity", ""):
        return asked.body
    if packed != "gzip":
        raise unreadable("Content-Encoding is gzip, or is left out")
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        body = unpacker.decompress(asked.body, MAX_BODY + 1)
    except zlib.error:
        raise unreadable("the body is said to be gzip, and is not") from None
    if len(body) > MAX_BODY:
        raise unreadable(f"a request has {MAX_BODY} bytes at most, unpacked")
    if not unpacker.eof or unpacker.unused_data:
        raise unreadable("the body is said to be gzip, and ends half way or goes on behind its end")
    return body


def _is_object(body: bytes) -> bool:
    """Whether a body is an object in JSON."""
    try:
        return isinstance(json.decode(body), dict)
    except (DecodeError, RecursionError, UnicodeError):
        return False

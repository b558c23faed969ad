"""The drivers to an engine in this process: the same flows, requests and checks, without a socket. They must not know DynamoDB.

The engine is whatever answers ``handle(target, body)`` with a status and a body; it may serve any number of drivers and threads.
What an answer has only for connections is made when it is looked at: docs/decisions/0016-a-request-without-a-connection.md.
"""

from __future__ import annotations

import re
from itertools import count
from time import gmtime, sleep, time
from types import coroutine
from typing import TYPE_CHECKING, Any, Final
from zlib import crc32

from dynamorm.effects import Reply, Send, TransportError
from dynamorm.errors import ConfigError
from dynamorm.io.blocking import Blocking
from dynamorm.models.schema.overriding import override

if TYPE_CHECKING:
    from collections.abc import Generator

_target: Final = re.compile(rb"\r\nX-Amz-Target: ([!-~]+)\r\n").search
_numbers: Final = count(1)


_DAYS: Final = (b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun")
_MONTHS: Final = (
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
)  # fmt: skip
_dated: tuple[int, bytes] = (-1, b"")


def http_date() -> bytes:
    """Now, as a Date header says it; written once in a second."""
    global _dated  # noqa: PLW0603 - it is the same for all
    second, known = _dated
    now = int(time())
    if now != second:
        at = gmtime(now)
        known = b"%b, %02d %b %04d %02d:%02d:%02d GMT" % (
            _DAYS[at.tm_wday], at.tm_mday, _MONTHS[at.tm_mon - 1], at.tm_year, at.tm_hour, at.tm_min, at.tm_sec
        )  # fmt: skip
        _dated = now, known
    return known


class Answer:
    """What an engine has answered, as a `Reply`. It has no checksum, for its bytes are the engine's own."""

    __slots__ = ("_request_id", "body", "origin", "status")

    body: bytes
    status: int

    retry_after: None = None
    reusable: bool = True

    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        self.body = body
        self.origin: Any = None
        self._request_id: str | None = None

    @property
    def crc(self) -> bytes | None:
        """None."""
        return None

    @property
    def date(self) -> bytes | None:
        """Now, as a Date header."""
        return http_date()

    @property
    def request_id(self) -> str | None:
        """The number of the answer."""
        if self._request_id is None:
            self._request_id = f"IN-PROCESS-{next(_numbers)}"
        return self._request_id

    def distrust(self) -> None:
        """Do nothing: there is no connection."""


class ProvenAnswer(Answer):
    """An `Answer` with a checksum, for ``crc="require"``."""

    __slots__ = ()

    @property
    @override
    def crc(self) -> bytes | None:
        """The checksum of the body."""
        return b"%d" % crc32(self.body)


def asked(send: Send) -> tuple[str, bytes]:
    """The target of a request, and its body."""
    data = send.data
    end = data.index(b"\r\n\r\n")
    match = _target(data, 0, end + 2)
    return "" if match is None else match[1].decode(), data[end + 4 :]


def reply(send: Send, status: int, body: bytes, *, kind: type[Answer] = Answer) -> Reply:
    """What the engine has answered. Raises: `TransportError` where that is larger than was allowed."""
    if len(body) > send.largest:
        raise TransportError("protocol", f"an answer of {len(body)} bytes", sent=True)
    return kind(status, body)


class Troubled:
    """A request that may meet faults of the engine: ``seconds`` is how long its answer is waited for, then `answer` is that."""

    __slots__ = ("_answered", "_kind", "_send", "_verdict", "seconds")

    def __init__(self, trouble: Any, send: Send, kind: type[Answer]) -> None:
        target, body = asked(send)
        self._send, self._kind = send, kind
        self._verdict = trouble.verdict(target, body)
        self._answered = trouble.carry_out(self._verdict, target, body)
        self.seconds: float = min(self._verdict.delay, send.timeout)

    def answer(self) -> Reply:
        """The answer. Raises: `TransportError` for one that is lost, or late."""
        if self._verdict.delay > self._send.timeout:
            raise TransportError("timeout", f"no complete answer within {self._send.timeout:.3f} s", sent=True)
        if self._answered is None:
            raise TransportError("receive", "the connection was reset", sent=True)
        return reply(self._send, *self._answered, kind=self._kind)


class InProcess(Blocking):
    """A `Blocking` whose exchanges are calls of an engine."""

    answers: type[Answer] = Answer
    engine: Any = None
    over_the_wire: Any = Blocking
    """The driver to what is not in this process."""

    @override
    def exchange(self, send: Send) -> Reply:
        """Have the engine answer. Raises: `TransportError`, `ConfigError` once it or the driver is closed."""
        if self._pool.closed:
            raise ConfigError("this database was closed")
        trouble = getattr(self.engine, "trouble", None)
        if trouble is None:
            return reply(send, *self.engine.handle(*asked(send)), kind=self.answers)
        met = Troubled(trouble, send, self.answers)
        if met.seconds:
            sleep(met.seconds)
        return met.answer()


@coroutine
def turn() -> Generator[None, None, None]:
    """Let the event loop go round once: who waits for a timer, or for another task, must get his turn."""
    yield

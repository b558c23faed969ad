"""The drivers to an engine in this process: the same flows, requests and checks, without a socket. They must not know DynamoDB.

The engine is whatever answers ``handle(target, body)`` with a status and a body; it may serve any number of drivers and threads.
"""

from __future__ import annotations

import re
from itertools import count
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


class Answer:
    """What an engine has answered, as a `Reply`."""

    __slots__ = ("body", "crc", "origin", "request_id", "status")

    body: bytes
    status: int

    date: None = None
    retry_after: None = None
    reusable: bool = True

    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        self.body = body
        self.crc: bytes | None = b"%d" % crc32(body)
        self.request_id: str | None = f"IN-PROCESS-{next(_numbers)}"
        self.origin: Any = None

    def distrust(self) -> None:
        """Do nothing: there is no connection."""


def exchanged(engine: Any, send: Send) -> Reply:
    """Have the engine answer a request. Raises: `TransportError` where the answer is larger than was allowed."""
    data = send.data
    end = data.index(b"\r\n\r\n")
    match = _target(data, 0, end + 2)
    target = "" if match is None else match[1].decode()
    if target.startswith("DynamoDB"):
        target = target.rpartition(".")[2]
    status, body = engine.handle(target, data[end + 4 :])
    if len(body) > send.largest:
        raise TransportError("protocol", f"an answer of {len(body)} bytes", sent=True)
    return Answer(status, body)


class InProcess(Blocking):
    """A `Blocking` whose exchanges are calls of an engine."""

    engine: Any = None
    over_the_wire: Any = Blocking
    """The driver to what is not in this process."""

    @override
    def exchange(self, send: Send) -> Reply:
        """Have the engine answer. Raises: `TransportError`, `ConfigError` once it or the driver is closed."""
        if self._pool.closed:
            raise ConfigError("this database was closed")
        return exchanged(self.engine, send)


@coroutine
def turn() -> Generator[None, None, None]:
    """Let the event loop go round once: who waits for a timer, or for another task, must get his turn."""
    yield

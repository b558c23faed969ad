"""What really applies requests behind a `FaultServer`: a function, or an engine. It must not know of faults."""

from __future__ import annotations

import asyncio
import json
import time
import zlib
from collections.abc import Callable
from email.utils import formatdate
from typing import Any, Protocol, TypeAlias
from urllib.parse import urlsplit

from dynamorm.engine import engine_at
from dynamorm.testing.answers import Message
from dynamorm.testing.request import HTTPError, Request, read_head, read_length

Backend: TypeAlias = Callable[[str, dict[str, Any]], tuple[int, dict[str, Any]]]
"""A function of the operation's name and the request's body that returns the HTTP status and the answer's body.

It runs in the server's one thread: quick, and never two at once. Example::

    def backend(operation, body):
        stored[body["Item"]["id"]["S"]] = body["Item"]
        return 200, {}
"""

_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length"}
_IDLE_LIMIT = 5.0  # seconds; engines close idle connections after 30 and more, so none is met half closed


class Upstream(Protocol):
    """A backend that takes its time: what `FaultServer` awaits. `EngineBackend` is one."""

    async def forward(self, request: Request) -> Message:
        """Apply the request and return the whole answer."""
        raise NotImplementedError

    async def close(self) -> None:
        """Give back what is held."""


class FunctionBackend:
    """Makes an `Upstream` of a plain function (see `Backend`); answers get AWS's headers and a right CRC-32."""

    def __init__(self, function: Backend) -> None:
        self._function = function

    async def forward(self, request: Request) -> Message:
        """Call the function."""
        status, body = self._function(request.operation, request.json)
        data = json.dumps(body, separators=(",", ":")).encode()
        return Message(status, _headers(request, data), data)

    async def close(self) -> None:
        """Nothing is held."""


def _headers(request: Request, body: bytes) -> tuple[tuple[str, str], ...]:
    """The headers that AWS sends with a body."""
    return (
        ("Date", formatdate(usegmt=True)),
        ("Content-Type", "application/x-amz-json-1.0"),
        ("x-amzn-requestid", f"R{request.index}"),
        ("x-amz-crc32", str(zlib.crc32(body))),
    )


class EngineBackend:
    """Forwards each request, byte for byte, to a real engine over kept-alive connections.

    ``endpoint`` is the engine's URL; only ``http`` and loopback are accepted. The address of a `dynamorm.engine.Engine` is one
    too, and its answers come without a connection. ``timeout`` (seconds) bounds one exchange.

    Raises ValueError for another endpoint; `forward` raises OSError or `HTTPError` when the engine does not answer.

    Example: ``FaultServer(script, backend=EngineBackend(engine.endpoint))``
    """

    def __init__(self, endpoint: str, *, timeout: float = 30.0) -> None:
        url = urlsplit(endpoint)
        self._engine = engine_at(endpoint)
        known = self._engine is not None or url.hostname in {"127.0.0.1", "localhost", "::1"}
        if url.scheme != "http" or not known or url.hostname is None or url.port is None:
            raise ValueError(f"only http://127.0.0.1:PORT can stand behind a test server, not {endpoint!r}")
        self._host = url.hostname
        self._port = url.port
        self._timeout = timeout
        self._idle: list[tuple[float, asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def forward(self, request: Request) -> Message:
        """Send the request as it came and return the engine's answer."""
        if (message := self._in_process(request)) is not None:
            return message
        async with asyncio.timeout(self._timeout):
            kept = self._take()
            if kept is not None:
                try:
                    return await self._exchange(request, *kept)
                except _ClosedUnansweredError:
                    pass  # no byte of an answer came on a reused connection: the engine never saw the request
            try:
                return await self._exchange(request, *await asyncio.open_connection(self._host, self._port))
            except _ClosedUnansweredError as problem:
                raise HTTPError("the engine closed the connection without an answer") from problem

    async def close(self) -> None:
        """Close the idle connections."""
        while self._idle:
            self._idle.pop()[2].close()

    def _in_process(self, request: Request) -> Message | None:
        """The answer of an engine in this process; None where the engine is reached over a connection."""
        if self._engine is None:
            return None
        status, body = self._engine.handle(request.headers.get("x-amz-target", ""), request.body)
        return Message(status, _headers(request, body), body)

    def _take(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        while self._idle:
            since, reader, writer = self._idle.pop()
            if time.monotonic() - since < _IDLE_LIMIT and not reader.at_eof():
                return reader, writer
            writer.close()
        return None

    async def _exchange(self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Message:
        reusable = False
        try:
            writer.write(request.head + request.body)
            message, reusable = await _read_message(reader)
            return message
        finally:
            if reusable:
                self._idle.append((time.monotonic(), reader, writer))
            else:
                writer.close()


class _ClosedUnansweredError(Exception):
    """The connection ended before the first byte of an answer."""


async def _read_message(reader: asyncio.StreamReader) -> tuple[Message, bool]:
    try:
        head = await read_head(reader)
    except ConnectionError as error:
        raise _ClosedUnansweredError from error
    if head is None:
        raise _ClosedUnansweredError
    status = int(head.start.split()[1])
    if "chunked" in head.get("transfer-encoding", ""):
        body = await _read_chunks(reader)
    else:
        body = await reader.readexactly(read_length(head))
    headers = tuple((name, value) for name, value in head.headers if name.lower() not in _HOP_BY_HOP)
    return Message(status, headers, body), head.get("connection", "").lower() != "close"


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        body += (await reader.readexactly(size + 2))[:size]
    await reader.readuntil(b"\r\n")
    return bytes(body)

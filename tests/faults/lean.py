"""A server for tests that make very many calls: no script, no records, little Python for each request."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self, TypeAlias

Respond: TypeAlias = Callable[[int, bytes], "tuple[bytes, float, str]"]
"""From a request's number and body to the bytes of the answer, the delay before them, and ``keep``, ``close`` or ``reset``."""


class _Connection(asyncio.Protocol):
    def __init__(self, server: LeanServer) -> None:
        self._server = server
        self._data = b""
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._server.open.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.open.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        self._data += data
        head, gap, body = self._data.partition(b"\r\n\r\n")
        if not gap or len(body) < int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0]):
            return
        self._data = b""
        self._server.seen += 1
        answer, delay, ending = self._server.respond(self._server.seen, body)
        if delay:
            asyncio.get_running_loop().call_later(delay, self._answer, answer, ending)
        else:
            self._answer(answer, ending)

    def _answer(self, answer: bytes, ending: str) -> None:
        if self._transport.is_closing():
            return
        if answer:
            self._transport.write(answer)
        if ending == "close":
            self._transport.close()
        elif ending == "reset":
            linger = struct.pack("ii", 1, 0)
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self._transport.abort()


class LeanServer:
    """Serves on loopback from construction to the end of the ``with`` block."""

    def __init__(self, respond: Respond) -> None:
        self.respond = respond
        self.seen = 0
        self.open: set[Any] = set()
        self._loop = asyncio.new_event_loop()
        making = self._loop.create_server(lambda: _Connection(self), "127.0.0.1", 0, backlog=512)
        self._server = self._loop.run_until_complete(making)
        self.endpoint = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(5)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)
        self._loop.close()

    async def _end(self) -> None:
        self._server.close()
        while self.open:
            for transport in list(self.open):
                transport.abort()
            await asyncio.sleep(0.01)

"""One client's connection: requests in, answers out in the same order. It must not know what is asked.

What is no HTTP/1.1 is answered with 400, and ends the connection.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

import httptools

from dynamorm.engine.http.desk import Answer, Asked, Desk
from dynamorm.engine.shapes.requests import MAX_BODY

MAX_HEAD: Final = 64 * 1024


class Connection(asyncio.Protocol):
    """The protocol of asyncio. ``open_ones`` are all connections of the server."""

    def __init__(self, desk: Desk, open_ones: set[Connection]) -> None:
        self._desk = desk
        self._open = open_ones
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._waiting: deque[Asked] = deque()
        self._is_busy = False
        self._is_ending = False
        self.on_message_begin()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        assert isinstance(transport, asyncio.Transport)  # TCP has no other
        self._transport = transport
        self._open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """End: what was asked and is not answered yet is carried out no more."""
        del exc
        self._transport = None
        self._waiting.clear()
        self._open.discard(self)

    def data_received(self, data: bytes) -> None:
        """Read on."""
        if self._is_ending:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:  # to another protocol, which there is not; the request was answered
            self.end()
        except (httptools.HttpParserError, ValueError):
            self._refuse("the request is no HTTP/1.1")

    def pause_writing(self) -> None:
        """Read nothing more while the client does not read."""
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Read on."""
        if self._transport is not None:
            self._transport.resume_reading()

    # What the parser calls.

    def on_message_begin(self) -> None:
        """Begin a request."""
        self._url = b""
        self._headers: list[tuple[str, str]] = []
        self._head_size = 0
        self._is_in_head = True
        self._body = bytearray()
        self._size = 0

    def on_url(self, url: bytes) -> None:
        """Take a part of the URL."""
        self._url += url
        self._grow(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header. What comes behind the body in its place is none: it could say what was not checked."""
        if self._is_in_head:
            self._headers.append((name.decode("latin-1").lower(), value.decode("latin-1")))
        self._grow(len(name) + len(value))

    def _grow(self, count: int) -> None:
        self._head_size += count
        if self._head_size > MAX_HEAD:
            raise ValueError("a head that is too large")

    def on_headers_complete(self) -> None:
        """Ask for the body, where the client waits to be asked."""
        self._is_in_head = False
        if self._transport is not None and ("expect", "100-continue") in (
            (name, value.strip().lower()) for name, value in self._headers
        ):
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, data: bytes) -> None:
        """Take a part of the body; of one that is too large nothing is kept."""
        self._size += len(data)
        if self._size <= MAX_BODY:
            self._body += data

    def on_message_complete(self) -> None:
        """Answer, or wait for the answers before."""
        body = bytes(self._body) if self._size <= MAX_BODY else None
        method = self._parser.get_method().decode("latin-1")
        is_last = not self._parser.should_keep_alive()
        self._waiting.append(Asked(method, self._url.decode("latin-1"), self._headers, body, is_last=is_last))
        self._go_on()

    # Answers.

    def _go_on(self) -> None:
        while self._waiting and not (self._is_busy or self._is_ending):
            asked = self._waiting.popleft()
            answer = self._desk.answer(asked)
            if answer.delay:
                self._is_busy = True
                asyncio.get_running_loop().call_later(answer.delay, self._late, asked, answer)
            else:
                self._give(asked, answer)

    def _late(self, asked: Asked, answer: Answer) -> None:
        self._is_busy = False
        self._give(asked, answer)
        self._go_on()

    def _give(self, asked: Asked, answer: Answer) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if answer.data is None:
            self._is_ending = True
            self._transport.abort()
            return
        self._transport.write(answer.data)
        if asked.is_last:
            self.end()

    def _refuse(self, text: str) -> None:
        """Tell that something is no request, behind what was asked before it, and end."""
        self._is_ending = True
        if self._transport is not None:
            if not self._is_busy:
                self._transport.write(self._desk.malformed(text))
            self.end()

    def end(self) -> None:
        """Close the connection, once everything is sent."""
        self._is_ending = True
        if self._transport is not None:
            self._transport.close()

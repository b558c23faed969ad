"""Reading HTTP/1.1 heads and requests. It must not know of DynamoDB beyond X-Amz-Target, nor of faults."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

HEAD_LIMIT = 64 * 1024
BODY_LIMIT = 32 * 1024 * 1024  # twice DynamoDB's own largest request, so that a runaway client is stopped


class HTTPError(Exception):
    """The peer did not speak proper HTTP."""


@dataclass(frozen=True, slots=True)
class Head:
    """A start line and the headers in order, as received; ``data`` are the bytes."""

    start: str
    headers: tuple[tuple[str, str], ...]
    data: bytes

    def get(self, name: str, default: str = "") -> str:
        """The value of the last header of this name (any case), or ``default``."""
        for key, value in reversed(self.headers):
            if key.lower() == name:
                return value
        return default


@dataclass(slots=True)
class Request:
    """One request a `FaultServer` received.

    ``index`` counts all requests from 0, ``connection`` the connections; ``operation`` is from X-Amz-Target
    (``"PutItem"``); ``headers`` have lower-case names; ``time`` is time.monotonic() at the last byte. ``head`` and
    ``body`` are the exact bytes; ``body`` is empty when it was not read.
    """

    index: int
    connection: int
    operation: str
    headers: dict[str, str]
    head: bytes
    body: bytes = b""
    time: float = 0.0
    start: str = ""
    _parsed: Any = field(default=None, repr=False)

    @property
    def json(self) -> dict[str, Any]:
        """The body as JSON, parsed once. Raises ValueError when it is not JSON."""
        if self._parsed is None:
            self._parsed = json.loads(self.body)
        parsed: dict[str, Any] = self._parsed  # DynamoDB's requests are objects
        return parsed


async def read_head(reader: asyncio.StreamReader) -> Head | None:
    """Read a head; None when the stream ends before its first byte. Raises `HTTPError` when it is not one."""
    try:
        data = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise HTTPError("the head ended half way") from error
        return None
    except asyncio.LimitOverrunError as error:
        raise HTTPError(f"a head of more than {HEAD_LIMIT} bytes") from error
    start, *lines = data[:-4].decode("latin-1").split("\r\n")
    if "HTTP/1." not in start:
        raise HTTPError(f"a start line of {start[:40]!r}")
    pairs = [line.partition(":") for line in lines]
    return Head(start, tuple((name, value.strip()) for name, _, value in pairs), data)


def read_length(head: Head) -> int:
    """The Content-Length, 0 without one. Raises `HTTPError` when it is not acceptable."""
    value = head.get("content-length", "0")
    if not value.isdecimal() or int(value) > BODY_LIMIT:
        raise HTTPError(f"Content-Length {value!r}")
    return int(value)


def request_of(head: Head, index: int, connection: int) -> Request:
    """The request that begins with ``head``, its body not yet read."""
    headers = {name.lower(): value for name, value in head.headers}
    operation = headers.get("x-amz-target", "").rpartition(".")[2]
    return Request(index, connection, operation, headers, head.data, start=head.start)

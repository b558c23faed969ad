"""The canned server for machines without a C compiler: asyncio (uvloop when installed) with httptools.

It answers as ``server.c`` does, several times slower; the report says which one ran.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import sys
import zlib
from email.utils import formatdate
from itertools import count
from pathlib import Path
from typing import cast

import httptools

_TABLE = re.compile(rb'"(?:TableName|RequestItems)"\s*:\s*\{?\s*"([^"]*)"')
_PAGE = re.compile(rb'"ExclusiveStartKey".*?"page-(\d+)', re.DOTALL)
_numbers = count(1)
_routes: dict[tuple[str, str], list[bytes]] = {}


def load(listing: Path) -> None:
    """Read the routes."""
    for line in listing.read_text().splitlines():
        operation, table, *paths = line.split("\t")
        _routes[operation, table] = [Path(path).read_bytes() for path in paths]


def _holds(one: str, table: str, body: bytes) -> bool:
    """Whether a table's name is that of the request's with a word that the body holds."""
    name, _, word = one.partition("/")
    return bool(word) and name == table and f'"{word}"'.encode() in body


def choose(operation: str, body: bytes) -> tuple[int, bytes]:
    """The answer to one request: status and body."""
    named = _TABLE.search(body)
    table = named[1].decode() if named else ""
    words = [one for of, one in _routes if of == operation and _holds(one, table, body)]
    for key in (*((operation, one) for one in words), (operation, table), (operation, "*"), ("*", table), ("*", "*")):
        pages = _routes.get(key)
        if pages is not None:
            found = _PAGE.search(body) if len(pages) > 1 else None
            return 200, pages[min(int(found[1]) if found else 0, len(pages) - 1)]
    return 400, json.dumps({"__type": "x#UnknownOperationException", "message": f"{operation} {table}"}).encode()


class Canned(asyncio.Protocol):
    """One connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is none by inheritance
        self._parser = httptools.HttpRequestParser(self)
        self.on_message_begin()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._transport.close()

    def on_message_begin(self) -> None:
        self._operation, self._body = "", bytearray()

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() == b"x-amz-target":
            self._operation = value.rpartition(b".")[2].decode()

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        status, body = choose(self._operation, bytes(self._body))
        self._transport.write(
            b"HTTP/1.1 %d X\r\nServer: Server\r\nDate: %b\r\nContent-Type: application/x-amz-json-1.0\r\n"
            b"Content-Length: %d\r\nConnection: keep-alive\r\nx-amzn-RequestId: %052d\r\nx-amz-crc32: %d\r\n\r\n%b"
            % (status, formatdate(usegmt=True).encode(), len(body), next(_numbers), zlib.crc32(body), body)
        )


async def main() -> None:
    """Serve until the standard input ends."""
    load(Path(sys.argv[1]))
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Canned, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    runner = asyncio.run
    with contextlib.suppress(ImportError):
        import uvloop

        runner = uvloop.run
    runner(main())

"""How an answer's bytes reach a client and how the connection ends. It must not know of scripts or DynamoDB."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from typing import Literal, TypeAlias, cast

from dynamorm.testing.answers import Answer, Message, render

Welcome: TypeAlias = Literal["accept", "reset", "reset-on-data", "close", "stall"]
"""What happens to a new connection: served, reset at once, reset at the first byte, closed, or never read from.

A connection that is never read from soon advertises a window of zero.
"""

_TICK = 0.05  # seconds between two pieces of a drip
_LINGER_NONE = struct.pack("ii", 1, 0)  # SO_LINGER 0: close() sends RST
_SMALL_WINDOW = 4_096
_CHUNK = 65_536


async def deliver(answer: Answer, message: Message, writer: asyncio.StreamWriter) -> None:
    """Write the answer, at its pace. What follows the last byte is left to `finish`."""
    data = render(answer, message)
    if answer.delay:
        await asyncio.sleep(answer.delay)
    if answer.rate is None:
        writer.write(data)
        await writer.drain()
        return
    size = max(1, int(answer.rate * _TICK))
    for start in range(0, len(data), size):
        writer.write(data[start : start + size])
        await writer.drain()
        await asyncio.sleep(size / answer.rate)


async def until_gone(reader: asyncio.StreamReader) -> None:
    """Wait until the client gives up; what it still sends is ignored."""
    while await reader.read(_CHUNK):
        pass


async def welcomed(how: Welcome, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Do what ``how`` says short of ending the connection, without reading more than one byte."""
    if how == "reset-on-data":
        await reader.read(1)
    if how == "stall":
        transport = cast("asyncio.Transport", writer.transport)  # a socket's transport goes both ways
        transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL_WINDOW)
        transport.pause_reading()
        await asyncio.get_running_loop().create_future()  # until the server stops


def finish(writer: asyncio.StreamWriter, ending: str) -> None:
    """End the connection: properly for ``"close"``, with a reset for anything else."""
    if ending == "close":
        writer.close()  # after what is still to be sent, with a TLS close_notify
        return
    with contextlib.suppress(OSError):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NONE)
    writer.transport.abort()

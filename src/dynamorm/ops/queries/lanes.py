"""Lanes: places of one table that are read side by side, the segments of a scan or the shards of a partition.

They have in common where each of them stands, how that is stored in a cursor, and how items are counted in all of them.
What is handed out, and in which order, is in `dynamorm.ops.queries.scan` and `dynamorm.ops.queries.shards`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from msgspec import DecodeError, Raw

from dynamorm.codec.strict import read_count, read_object
from dynamorm.effects import Flow, Gather
from dynamorm.errors import DynamORMError

from .page_reader import MOST
from .prepared_query import PreparedQuery

if TYPE_CHECKING:
    from dynamorm.ops.context import Context

MAX_AT_ONCE: Final = 8
"""Lanes read side by side, however many there are: the pages in memory. More pages a second than these bring, one
process cannot decode (measured: 50 ms for a page of 1 MB, against 100 to 200 ms until it is there)."""


def width(context: Context) -> int:
    """How many lanes are read side by side: no more than there are connections."""
    return min(MAX_AT_ONCE, context.config.performance.max_connections)


class Lanes:
    """Where each lane stands: by its number, the key it goes on after, None for its start. One that ended is not in it."""

    __slots__ = ("at",)

    def __init__(self, at: dict[int, bytes | None]) -> None:
        self.at: dict[int, bytes | None] = at

    @property
    def done(self) -> bool:
        """Whether every lane has ended."""
        return not self.at

    def live(self, most: int) -> list[int]:
        """The lanes to read next, at most so many."""
        return list(self.at)[:most]

    def move(self, lane: int, key: bytes | None) -> None:
        """Say that a page of a lane was read; ``key`` None means that it was the last."""
        if key is None:
            del self.at[lane]
        else:
            self.at[lane] = key


def stored(at: Mapping[int, bytes | None]) -> dict[str, Raw]:
    """The positions of lanes as they are in a cursor."""
    return {str(lane): Raw(b"null" if key is None else key) for lane, key in at.items()}


class Position(Protocol):
    """A position as a cursor holds it: ``at`` has the key of each lane that goes on, by its number as text."""

    at: dict[str, Raw]


P = TypeVar("P", bound=Position)


def read_position(decode: Callable[[bytes], P], text: bytes) -> tuple[P, dict[int, bytes | None]] | None:
    """A position from the JSON in a cursor, and the key of each of its lanes; None when the text is no position."""
    try:
        position = decode(text)
        return position, _keys_of(position.at)
    except (DecodeError, DynamORMError, ValueError):
        return None


def _keys_of(at: Mapping[str, Raw]) -> dict[int, bytes | None]:
    """The key of each lane. Raises: ValueError for a number, MalformedResponse for a key, that is none."""
    positions: dict[int, bytes | None] = {}
    for lane, raw in at.items():
        key = bytes(raw)
        if key != b"null":
            read_object(key)
        positions[int(lane)] = None if key == b"null" else key
    return positions


def counted(
    context: Context,
    lanes: Lanes,
    request_of: Callable[[int], tuple[PreparedQuery, bytes]],
    limit: int | None,
    look: int,
) -> Flow[int]:
    """How many items match in all lanes, up to the limit. ``request_of`` gives a lane's request and the rest of its body."""
    total = 0
    while not lanes.done and (limit is None or total < limit):
        reading = lanes.live(width(context))
        ops = []
        for lane in reading:
            prepared, more = request_of(lane)
            left = None if limit is None else limit - total
            most = left if left is None or not prepared.filtered else max(left, look)
            ops.append(prepared.op(lanes.at[lane], most, read_count, more + b',"Select":"COUNT"'))
        look = min(look * 2, MOST)
        pages: list[tuple[int, int, bytes | None]] = yield Gather([context.call(op) for op in ops], len(ops))
        for lane, (matching, _, key) in zip(reading, pages, strict=True):
            total += matching
            lanes.move(lane, key)
    return total if limit is None else min(total, limit)

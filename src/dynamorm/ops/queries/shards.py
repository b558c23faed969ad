"""Queries over a partition that is spread over shards: all of them are read side by side and merged by their sort key.

Of each shard no more than a page is in memory. What is handed out is in the order that one partition would have, and
the position is one for all shards: a page can be gone on from. It must not know how a request is planned.
"""

from __future__ import annotations

from collections import deque
from heapq import heapify, heappop, heapreplace
from typing import TYPE_CHECKING, Any, Final

from msgspec import Raw, Struct
from msgspec.json import Decoder
from msgspec.structs import replace

from dynamorm.codec.codec import Page
from dynamorm.codec.library_attributes import ordered, raw_items
from dynamorm.codec.strict import decoded, dumps, parts_of
from dynamorm.effects import Flow, Gather
from dynamorm.errors import ValidationError
from dynamorm.models.schema.schema import key_parts
from dynamorm.ops.reads.key_conditions import Spread

from .lanes import Lanes, counted, read_position, stored, width
from .page_reader import MOST, PageReader
from .prepared_query import PreparedQuery, whole

if TYPE_CHECKING:
    from dynamorm.ops.context import Context

IN_MEMORY: Final = 8192
"""Items of all shards together that are read ahead where the caller does not say how many are wanted."""
_FEWEST: Final = 8


class _Stored(Struct, forbid_unknown_fields=True):
    """A position as JSON: how many shards, and for each that goes on the key after which it does, null for the start."""

    shards: int
    at: dict[str, Raw]


_decode: Final = Decoder(_Stored).decode


class _Shard:
    """One shard: its request, what was read ahead, where reading goes on, and after which item the reader stands."""

    __slots__ = ("at", "buffer", "ended", "handed", "number", "prepared", "start")

    def __init__(self, number: int, prepared: PreparedQuery) -> None:
        self.number = number
        self.prepared = prepared
        self.buffer: deque[tuple[Any, Any, bytes]] = deque()
        self.start: bytes | None = None
        self.at: bytes | None = None
        self.handed: bytes | None = None
        self.ended = False

    @property
    def waits(self) -> bool:
        """Whether it must be read on before it is known what comes next."""
        return not self.buffer and not self.ended

    def position(self) -> bytes | None:
        """The key of the item that was handed out last, as JSON; None where none was."""
        if self.handed is not None:
            self.at, self.handed = self.prepared.key_of(self.handed), None
        return self.at


class Shards:
    """All shards of one query. ``take`` hands out what is in order already."""

    def __init__(self, prepared: PreparedQuery, start: bytes | None) -> None:
        spread = next(term for term in prepared.query_plan.terms if isinstance(term, Spread))
        self.shards: list[_Shard] = [
            _Shard(number, PreparedQuery(prepared.plan, prepared.request, _of_one(prepared, spread, number)))
            for number in range(len(spread.texts))
        ]
        key = prepared.plan.codec.schema.key if prepared.query_plan.index is None else prepared.query_plan.index
        assert key is not None  # a plan is made only for a model with a key
        self.sort: tuple[str, ...] = tuple(prepared.plan.codec.field(name).stored for name in key_parts(key)[1])
        self.down: bool = prepared.request.descending
        if start is not None:
            self._open(start)

    @property
    def done(self) -> bool:
        """Whether there is nothing left."""
        return all(shard.ended and not shard.buffer for shard in self.shards)

    def fill(self, context: Context, most: int) -> Flow[None]:
        """Read a page of each shard of which nothing is left in memory."""
        waiting = [shard for shard in self.shards if shard.waits]
        if waiting:
            yield Gather([self._page(context, shard, most) for shard in waiting], width(context))

    def _page(self, context: Context, shard: _Shard, most: int) -> Flow[None]:
        prepared = shard.prepared
        page, raws = yield from context.call(
            prepared.op(shard.start, most, lambda body: (prepared.read(body), raw_items(body)))
        )
        if page.places is not None:
            raws = [raws[at] for at in page.places]
        shard.buffer.extend((self._rank(raw), item, raw) for item, raw in zip(page.items, raws, strict=True))
        shard.start = page.last_key
        shard.ended = page.last_key is None

    def take(self, most: int | None) -> list[Any]:
        """What comes next, up to where a shard must be read on first."""
        if any(shard.waits for shard in self.shards):
            return []
        heads = [(shard.buffer[0][0], shard.number, shard) for shard in self.shards if shard.buffer]
        heapify(heads)
        items: list[Any] = []
        while heads and (most is None or len(items) < most):
            shard = heads[0][2]
            _, item, shard.handed = shard.buffer.popleft()
            items.append(item)
            if shard.buffer:
                heapreplace(heads, (shard.buffer[0][0], shard.number, shard))
            elif shard.ended:
                heappop(heads)
            else:
                break
        return items

    def _rank(self, raw: bytes) -> Any:
        parts = parts_of(raw)
        rank = tuple(ordered(decoded(parts[name])) for name in self.sort)
        return _Down(rank) if self.down else rank

    def encode(self) -> bytes:
        """The position as JSON, for a cursor."""
        return dumps(_Stored(len(self.shards), stored(self.lanes().at)))

    def lanes(self) -> Lanes:
        """Where each shard stands that goes on: after the item that was handed out last."""
        return Lanes({shard.number: shard.position() for shard in self.shards if shard.buffer or not shard.ended})

    def _open(self, text: bytes) -> None:
        count = len(self.shards)
        position = read_position(_decode, text)
        if position is None or position[0].shards != count or not all(0 <= number < count for number in position[1]):
            raise ValidationError(
                f"the cursor is not one of a query over {count} shards: start at the beginning", field="cursor"
            )
        keys = position[1]
        for shard in self.shards:
            shard.ended = shard.number not in keys
            shard.start = shard.at = keys.get(shard.number)


class _Down:
    """A rank in descending order."""

    __slots__ = ("rank",)

    def __init__(self, rank: Any) -> None:
        self.rank = rank

    def __lt__(self, other: _Down) -> bool:
        return bool(other.rank < self.rank)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Down) and bool(other.rank == self.rank)

    __hash__ = None  # type: ignore[assignment] # only ever compared


def _of_one(prepared: PreparedQuery, spread: Spread, number: int) -> Any:
    """The plan of the query for one shard."""
    query_plan = prepared.query_plan
    terms = tuple(spread.of(number) if term is spread else term for term in query_plan.terms)
    return replace(query_plan, terms=terms, partitions=())


def step(reader: PageReader, context: Context, prepared: PreparedQuery, size: int | None) -> Flow[list[Any]]:
    """One step of a reader of pages: read where nothing is left, and hand out what comes next."""
    shards: Shards | None = reader.shards
    if shards is None:
        shards = reader.shards = Shards(prepared, reader.start)
    count = len(shards.shards)
    ahead = IN_MEMORY if size is None else 2 * size  # a shard may have more than its share of what comes next
    most = max(ahead // count, _FEWEST)
    most = most if size is None else min(size, most)
    if prepared.filtered:
        most = max(most, reader.look)
        reader.look = min(reader.look * 2, MOST)
    yield from shards.fill(context, most)
    items = shards.take(size)
    if prepared.hydrates:
        items = (yield from whole(context, prepared, _page_of(items))).items
    items = reader.kept(items)
    if reader.left is not None:
        reader.left -= len(items)
    over = shards.done
    reader.start = None if over else shards.encode()
    reader.done = over or reader.left == 0
    return items


def _page_of(items: list[Any]) -> Flow[Page]:
    """A page that needs no request."""
    return Page(items, None, len(items), len(items))
    yield


def count(context: Context, reader: PageReader) -> Flow[int]:
    """How many items match in all shards, up to the limit."""
    shards = Shards(reader.begin(context), reader.start)
    counting = {shard.number: (shard.prepared.counting(), b"") for shard in shards.shards}
    return (yield from counted(context, shards.lanes(), counting.__getitem__, reader.left, reader.look))

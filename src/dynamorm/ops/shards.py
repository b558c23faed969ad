"""Queries over a partition that is spread over shards: all of them are read side by side and merged by their sort key.

Of each shard no more than a page is in memory. What is handed out is in the order that one partition would have, and
the position is one for all shards: a page can be gone on from. It must not know how a request is planned.
"""

from __future__ import annotations

from base64 import b64decode
from collections import deque
from decimal import Decimal
from heapq import heapify, heappop, heapreplace
from typing import TYPE_CHECKING, Any, Final

from msgspec import DecodeError, Raw, Struct
from msgspec.json import Decoder
from msgspec.structs import replace

from dynamorm.codec.generate import Page
from dynamorm.codec.replies import decoded, dumps, parts_of, read_count, read_object
from dynamorm.codec.system import raw_items
from dynamorm.effects import Flow, Gather
from dynamorm.errors import DynamORMError, ValidationError
from dynamorm.schema import key_parts

from .page_reader import MOST, Turn
from .parts import Spread
from .prepared import Ready
from .scan import width

if TYPE_CHECKING:
    from dynamorm.session import Session

IN_MEMORY: Final = 8192
"""Items of all shards together that are read ahead where nobody says how many are wanted."""
_FEWEST: Final = 8


class _Stored(Struct, forbid_unknown_fields=True):
    """A position as JSON: how many shards, and of those that go on the key to go on from behind, null for the start."""

    shards: int
    at: dict[str, Raw]


_decode: Final = Decoder(_Stored).decode


class _Shard:
    """One shard: its request, what was read ahead, where reading goes on, and behind which item the reader stands."""

    __slots__ = ("at", "buffer", "ended", "handed", "number", "ready", "start")

    def __init__(self, number: int, ready: Ready) -> None:
        self.number = number
        self.ready = ready
        self.buffer: deque[tuple[Any, Any, bytes]] = deque()
        self.start: bytes | None = None
        self.at: bytes | None = None
        self.handed: bytes | None = None
        self.ended = False

    @property
    def waits(self) -> bool:
        """Whether it must be read on before it is known what comes next."""
        return not self.buffer and not self.ended

    def position(self) -> bytes:
        """The key of the item that was handed out last, as JSON."""
        if self.handed is not None:
            self.at, self.handed = self.ready.key_of(self.handed), None
        return b"null" if self.at is None else self.at


class Shards:
    """All shards of one query. ``take`` hands out what is in order already."""

    def __init__(self, ready: Ready, start: bytes | None) -> None:
        spread = next(term for term in ready.chosen.terms if isinstance(term, Spread))
        self.shards: list[_Shard] = [
            _Shard(number, Ready(ready.plan, ready.request, _of_one(ready, spread, number)))
            for number in range(len(spread.texts))
        ]
        key = ready.plan.codec.schema.key if ready.chosen.index is None else ready.chosen.index
        assert key is not None  # a plan is made only for a model with a key
        self.sort: tuple[str, ...] = tuple(ready.plan.codec.field(name).stored for name in key_parts(key)[1])
        self.down: bool = ready.request.descending
        if start is not None:
            self._open(start)

    @property
    def done(self) -> bool:
        """Whether there is nothing left."""
        return all(one.ended and not one.buffer for one in self.shards)

    def fill(self, session: Session, most: int) -> Flow[None]:
        """Read a page of each shard of which nothing is left in memory."""
        waiting = [one for one in self.shards if one.waits]
        if waiting:
            yield Gather([self._page(session, one, most) for one in waiting], width(session))

    def _page(self, session: Session, one: _Shard, most: int) -> Flow[None]:
        ready = one.ready
        page, raws = yield from session.call(
            ready.op(one.start, most, lambda body: (ready.read(body), raw_items(body)))
        )
        one.buffer.extend((self._rank(raw), item, raw) for item, raw in zip(page.items, raws, strict=True))
        one.start = page.last_key
        one.ended = page.last_key is None

    def take(self, most: int | None) -> list[Any]:
        """What comes next, up to where a shard must be read on first."""
        if any(one.waits for one in self.shards):
            return []
        heads = [(one.buffer[0][0], one.number, one) for one in self.shards if one.buffer]
        heapify(heads)
        items: list[Any] = []
        while heads and (most is None or len(items) < most):
            one = heads[0][2]
            _, item, one.handed = one.buffer.popleft()
            items.append(item)
            if one.buffer:
                heapreplace(heads, (one.buffer[0][0], one.number, one))
            elif one.ended:
                heappop(heads)
            else:
                break
        return items

    def _rank(self, raw: bytes) -> Any:
        parts = parts_of(raw)
        rank = tuple(_ordered(decoded(parts[name])) for name in self.sort)
        return _Down(rank) if self.down else rank

    def encode(self) -> bytes:
        """The position as JSON, for a cursor."""
        live = {str(one.number): Raw(one.position()) for one in self.shards if one.buffer or not one.ended}
        return dumps(_Stored(len(self.shards), live))

    def _open(self, text: bytes) -> None:
        stored: _Stored | None = None
        known: dict[int, bytes | None] = {}
        try:
            stored = _decode(text)
            known = {int(number): _key(bytes(raw)) for number, raw in stored.at.items()}
        except (DecodeError, DynamORMError, ValueError):
            stored = None
        if stored is None or stored.shards != len(self.shards) or not all(0 <= one < stored.shards for one in known):
            raise ValidationError(
                f"the cursor is not one of a query over {len(self.shards)} shards: start at the beginning",
                field="cursor",
            )
        for one in self.shards:
            one.ended = one.number not in known
            one.start = one.at = known.get(one.number)


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


def _of_one(ready: Ready, spread: Spread, number: int) -> Any:
    """The plan of the query for one shard."""
    chosen = ready.chosen
    terms = tuple(spread.of(number) if one is spread else one for one in chosen.terms)
    return replace(chosen, terms=terms, partitions=())


def _key(raw: bytes) -> bytes | None:
    if raw == b"null":
        return None
    read_object(raw)
    return raw


def _ordered(wire: dict[str, Any]) -> Any:
    """What DynamoDB orders a key attribute by: a text by its bytes in UTF-8, a number by its value, bytes as they are."""
    ((tag, value),) = wire.items()
    if tag == "N":
        return Decimal(value)
    return value.encode() if tag == "S" else b64decode(value)


def step(turn: Turn, session: Session, ready: Ready, size: int | None) -> Flow[list[Any]]:
    """One step of a reader of pages: read where nothing is left, and hand out what comes next."""
    found: Shards | None = turn.shards
    if found is None:
        found = turn.shards = Shards(ready, turn.start)
    count = len(found.shards)
    ahead = IN_MEMORY if size is None else 2 * size  # a shard may have more than its share of what comes next
    most = max(ahead // count, _FEWEST)
    most = most if size is None else min(size, most)
    if ready.filtered:
        most = max(most, turn.look)
        turn.look = min(turn.look * 2, MOST)
    yield from found.fill(session, most)
    items = found.take(size)
    if ready.hydrates:
        from . import hydrate

        page: Page = yield from hydrate.page(session, ready.request, Page(items, None, len(items), len(items)))
        items = page.items
    items = turn.kept(items)
    if turn.left is not None:
        turn.left -= len(items)
    over = found.done
    turn.start = None if over else found.encode()
    turn.done = over or turn.left == 0
    return items


def count(session: Session, turn: Turn) -> Flow[int]:
    """How many items match in all shards, up to the limit."""
    ready = turn.begin(session)
    limit = turn.left
    live = {one.number: (one.ready.counting(), one.start) for one in Shards(ready, turn.start).shards if not one.ended}
    total, look = 0, turn.look
    while live and (limit is None or total < limit):
        numbers = list(live)[: width(session)]
        left = None if limit is None else limit - total
        most = left if left is None or not ready.filtered else max(left, look)
        ops = [live[one][0].op(live[one][1], most, read_count, b',"Select":"COUNT"') for one in numbers]
        look = min(look * 2, MOST)
        pages: list[tuple[int, int, bytes | None]] = yield Gather([session.call(op) for op in ops], len(ops))
        for number, (found, _, start) in zip(numbers, pages, strict=True):
            total += found
            if start is None:
                del live[number]
            else:
                live[number] = live[number][0], start
    return total if limit is None else min(total, limit)

"""SELECT: pages of what it finds, and single items in batches and transactions.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ql-reference.select.html
"""

from __future__ import annotations

from binascii import Error as NotBase64
from binascii import a2b_base64, b2a_base64
from hashlib import blake2b
from typing import Any, NamedTuple

from msgspec import DecodeError

from dynamorm.engine.answers import Members, encode, listed, read_item
from dynamorm.engine.catalog.table import Table
from dynamorm.engine.core import Core
from dynamorm.engine.expressions.grammar import Path
from dynamorm.engine.expressions.paths import Projection, finder, refuse_overlaps
from dynamorm.engine.items.capacity import Consumed, member, wanted
from dynamorm.engine.items.single import key_bytes
from dynamorm.engine.partiql.binding import Bound
from dynamorm.engine.partiql.places import looked, ordered, whole_key
from dynamorm.engine.queries.operations import END
from dynamorm.engine.queries.page import Page, Source, metered, projected, read_page
from dynamorm.engine.refusal import Refusal, invalid
from dynamorm.engine.sizes import PAGE, read_units
from dynamorm.engine.store.undo import Row
from dynamorm.engine.values.keys import HASH
from dynamorm.engine.values.measure import Item


def select(core: Core, bound: Bound) -> Members:
    """The members of a page's answer."""
    statement, request = bound.statement, bound.request
    source = Source(core, {"TableName": statement.table, "IndexName": statement.of_index, **_consistency(request)})
    names = source.table.names if source.index is None else source.index.names
    looking = looked(bound, names)
    looking, backwards = ordered(bound, names, looking)
    columns = None if statement.paths is None else Columns(bound, statement.paths)
    source.shows(looking.rest, columns, bound.places, None)
    if source.hidden() and source.index is not None and not source.index.is_global:
        _fetch(source)
    ranges = [(b"", END)] if looking.ranges is None else [(one.low, one.high) for one in looking.ranges]
    digest = blake2b(encode([request["Statement"], bound.values]), digest_size=8).hexdigest()
    at, after = _begin(request.get("NextToken"), digest, source)
    whole = Page()
    left = request.get("Limit")
    token = None
    for number in range(at, len(ranges)):
        low, high = ranges[number]
        if after is not None:
            low, high = (low, min(high, after)) if backwards else (max(low, after + b"\0"), high)
            after = None
        if low >= high:
            continue
        page = read_page(source, low, high, limit=left, backwards=backwards, room=PAGE - whole.size)
        _add(whole, page)
        left = None if left is None else left - page.scanned
        if page.last is not None:
            token = _token(digest, number, page.last, source)
            break
    if core.meter is not None:
        one = ranges[0][0][:HASH] if looking.ranges is not None and len(ranges) == 1 else None
        metered(core, source, whole, one)
    members: Members = [("Items", listed(whole.shown))]
    if token is not None:
        members.append(("NextToken", encode(token)))
    mode = wanted(request)
    if mode is not None:
        consumed = Consumed(source.table, whole.base_units)
        units = read_units(whole.size, consistent=source.consistent)
        consumed.add(None if source.index is None else source.index.name, units)
        members.append(("ConsumedCapacity", member(consumed, mode)))
    return members


class Columns:
    """What a SELECT shows of items: what stands at each path, by the last part of its name and the indexes behind it."""

    def __init__(self, bound: Bound, paths: tuple[Path, ...]) -> None:
        self.paths: tuple[Path, ...] = tuple(bound.path(one) for one in paths)
        refuse_overlaps(self.paths, "statement")
        self._columns = [(_column(path), finder(path)) for path in self.paths]

    def of(self, item: Item) -> Item:
        """What is shown of an item."""
        return {name: value for name, find in self._columns if (value := find(item)) is not None}


def _column(path: Path) -> str:
    """The name of what stands at a path: ``c[0]`` for ``a.b.c[0]``."""
    end = len(path)
    while isinstance(path[end - 1], int):
        end -= 1
    return str(path[end - 1]) + "".join(f"[{one}]" for one in path[end:])


class _Kept:
    """What an index shows of whole items."""

    def __init__(self, kept: frozenset[str]) -> None:
        self.paths: tuple[Path, ...] = ()
        self._kept = kept

    def of(self, item: Item) -> Item:
        """What is shown of an item."""
        return {name: value for name, value in item.items() if name in self._kept}


def _fetch(source: Source) -> None:
    """Look at whole items behind a local index, whose condition is of what it does not have."""
    source.fetches = True
    if source.projection is None and source.index is not None and source.index.kept is not None:
        source.projection = _Kept(source.index.kept)


def _consistency(request: dict[str, Any]) -> dict[str, bool]:
    return {"ConsistentRead": bool(request.get("ConsistentRead"))}


def _add(whole: Page, page: Page) -> None:
    whole.shown += page.shown
    whole.size += page.size
    whole.base_units += page.base_units


def _token(digest: str, number: int, last: bytes, source: Source) -> str:
    """What goes on behind an item of a range, or at the beginning of it."""
    item = read_item(last) if last else None
    key = None if item is None else {name: item[name] for name in source.names()}
    return b2a_base64(encode([digest, number, key]), newline=False).decode()


def _begin(token: str | None, digest: str, source: Source) -> tuple[int, bytes | None]:
    """The range, and the key in it, behind which a page begins. Raises: Refusal for a token of another statement, or of none."""
    if token is None:
        return 0, None
    try:
        read: Any = read_item(a2b_base64(token, strict_mode=True))
        said, number, key = read
        if said != digest or number.__class__ is not int or number < 0:
            raise _no_token()
        return number, None if key is None else source.start(key)
    except (NotBase64, DecodeError, RecursionError, UnicodeError, ValueError, TypeError, AttributeError, Refusal):
        raise _no_token() from None


def _no_token() -> Refusal:
    return invalid(
        "The provided NextToken is not valid: it is of another statement, of other parameters, or of no page"
    )


class Single(NamedTuple):
    """One SELECT of one item: its table, the key as bytes, what is stored there, and how it is shown."""

    table: Table
    key: bytes
    row: Row | None
    projection: Projection | None

    def shown(self) -> bytes | None:
        """What the SELECT shows, None where there is no item."""
        if self.row is None or self.projection is None:
            return None if self.row is None else self.row[1]
        return encode(self.projection.of(read_item(self.row[1])))


def single(core: Core, bound: Bound, *, consistent: bool) -> Single:
    """A SELECT in a batch or a transaction: of one item, by its whole key; shown as GetItem shows it. Raises: Refusal."""
    statement = bound.statement
    table = core.usable(statement.table)
    found = None if statement.of_index is not None else whole_key(bound, table)
    if found is None or found.rest is not None:
        raise invalid(
            "Select statements within a batch or a transaction must specify the primary key in the where clause."
        )
    key = key_bytes(table, found.key)
    projection = None if statement.paths is None else projected(bound.places, statement.paths)
    return Single(table, key, core.read(table, consistent=consistent).get(key), projection)

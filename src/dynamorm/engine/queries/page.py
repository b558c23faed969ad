"""One page of a Query or a Scan: read until the limit, the end, or 1 MB; filtered and projected afterwards.

1 MB and what a page costs are counted before the filter. Sources:
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Query.Pagination.html; that a fetch from the table for a local index
is charged by each item's own size was observed on AWS (dynoxide).
"""

from __future__ import annotations

from typing import Any, Protocol

from dynamorm.engine.answers import Members, answer, answer_of_list, encode, read_item
from dynamorm.engine.catalog.index import Index
from dynamorm.engine.catalog.table import Table
from dynamorm.engine.core import Core
from dynamorm.engine.expressions import conditions, grammar
from dynamorm.engine.expressions.paths import Projection
from dynamorm.engine.expressions.places import NOTHING, Places
from dynamorm.engine.items.capacity import Consumed, member, wanted
from dynamorm.engine.items.writes import needless
from dynamorm.engine.refusal import invalid, wrong_parameter
from dynamorm.engine.sizes import PAGE, read_units
from dynamorm.engine.store.memory import MemoryMap
from dynamorm.engine.store.past import Earlier
from dynamorm.engine.store.store import Map
from dynamorm.engine.values.measure import Item, measure_item

_FILTER = "FilterExpression"
_ENDLESS = 2**62


class Shape(Protocol):
    """What is shown of items: ``paths`` are those that are looked at."""

    paths: tuple[grammar.Path, ...]

    def of(self, item: Item) -> Item:
        """What is shown of an item."""
        raise NotImplementedError


class Source:
    """What is read: a table, or one of its indexes, with how each item is shown."""

    consistent: bool
    counts: Any
    fetches: bool

    def __init__(self, core: Core, request: dict[str, Any]) -> None:
        self.table: Table = core.usable(request.get("TableName"))
        name = request.get("IndexName")
        self.index: Index | None = None if name is None else self.table.index(name)
        self.consistent = bool(request.get("ConsistentRead"))
        index = self.index
        self.items: Map | Earlier = self.table.items
        self.entries: Map | Earlier = self.items if index is None else index.entries
        if index is not None and index.is_global:
            if self.consistent:
                raise invalid("Consistent reads are not supported on global secondary indexes")
            if index.ready > core.now():
                raise invalid(f"Cannot read from backfilling global secondary index: {index.name}")
        if core.past is not None and not self.consistent:
            if index is None:
                self.entries = core.past.of_items(self.table.items)
            else:
                found = core.past.of_index(index.entries, self.table.items, is_global=index.is_global)
                self.entries, self.items = found
        self.filter: conditions.Holds | None = None
        self.filtered: list[grammar.Path] = []
        self.projection: Shape | None = None
        self.counts = False
        self.fetches = False

    def shows(
        self, condition: grammar.Condition | None, projection: Shape | None, places: Places, select: str | None
    ) -> None:
        """Show only what meets a condition, and of that only a projection. Raises: Refusal."""
        if condition is not None:
            self.filter = conditions.bound(condition, places, _FILTER)
            self.filtered = conditions.paths_of(condition, places, _FILTER)
        self.projection = projection
        self.counts = select == "COUNT"
        self.fetches = self._fetches(select)

    def hidden(self) -> list[str]:
        """The attributes that the condition looks at, and the index does not have."""
        kept = None if self.index is None else self.index.kept
        return [] if kept is None else [str(path[0]) for path in self.filtered if path[0] not in kept]

    def _fetches(self, select: str | None) -> bool:
        """Whether whole items are read from the table behind a local index. Raises: Refusal where a global one would have to."""
        index = self.index
        if index is None or index.kept is None:
            return False
        if select == "ALL_ATTRIBUTES":
            if index.is_global:
                raise wrong_parameter(
                    f"Select type ALL_ATTRIBUTES is not supported for global secondary index {index.name}"
                    " because its projection type is not ALL"
                )
            return True
        asked = [] if self.projection is None else [path[0] for path in self.projection.paths]
        missing = [name for name in asked if name not in index.kept]
        if index.is_global:
            if missing:
                raise wrong_parameter(f"Global secondary index {index.name} does not project {missing}")
            return False
        return bool(missing)

    def names(self) -> tuple[str, ...]:
        """The attributes of a key of this source, as LastEvaluatedKey has them."""
        return tuple(one.name for one in self.table.names.all) if self.index is None else self.index.key_names

    def start(self, key: Item) -> bytes:
        """The bytes of an ExclusiveStartKey. Raises: Refusal."""
        measure_item(key)
        names = self.names()
        types = {one.name: one.type for one in (self.table.names.all if self.index is None else (*self.index.names.all, *self.table.names.all))}  # fmt: skip
        if key.keys() != set(names) or any(
            types[name] not in key[name] or not key[name][types[name]] for name in names
        ):
            raise invalid("The provided starting key is invalid")
        return self.table.key(key) if self.index is None else self.index.key_at(key)


def source_of(core: Core, request: dict[str, Any], places: Places) -> Source:
    """What a Query or a Scan reads. Raises: Refusal."""
    source = Source(core, request)
    text = request.get("FilterExpression")
    condition = None if text is None else grammar.condition(text, _FILTER)
    text = request.get("ProjectionExpression")
    shape = None if text is None else projected(places, grammar.projection(text))
    _check_select(request, source, projects=text is not None)
    source.shows(condition, shape, places, request.get("Select"))
    hidden = source.hidden()
    if hidden and source.index is not None and not source.index.is_global:
        raise wrong_parameter(
            f"Secondary index {source.index.name} does not project one or more filter attributes: [{', '.join(hidden)}]"
        )
    return source


def projected(places: Places, paths: tuple[grammar.Path, ...]) -> Projection:
    """What stands at paths. Raises: Refusal."""
    return Projection([places.path(one, "ProjectionExpression") for one in paths])


def _check_select(request: dict[str, Any], source: Source, *, projects: bool) -> None:
    select = request.get("Select")
    if select == "ALL_PROJECTED_ATTRIBUTES" and source.index is None:
        raise wrong_parameter("ALL_PROJECTED_ATTRIBUTES can be used only when Querying using an IndexName")
    if projects and select not in (None, "SPECIFIC_ATTRIBUTES"):
        raise invalid(f"Cannot specify the ProjectionExpression when choosing to get {select}")
    if select == "SPECIFIC_ATTRIBUTES" and not projects:
        raise invalid(
            "Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES"
        )


def all_used(request: dict[str, Any], places: Places, *, has_expression: bool) -> None:
    """Raise Refusal where placeholders were given for nothing."""
    if places is not NOTHING:
        if not has_expression:
            raise needless(request, _FILTER)
        places.all_used()


class Page:
    """What was read of a source."""

    __slots__ = ("base_units", "found", "key", "last", "scanned", "shown", "size")

    base_units: float
    found: int
    key: bytes
    scanned: int
    size: int

    def __init__(self) -> None:
        self.shown: list[bytes] = []
        self.found = 0
        self.scanned = 0
        self.size = 0
        self.base_units = 0.0
        self.last: bytes | None = None
        """The last entry that was read, where there may be more."""
        self.key = b""
        """Its key."""


def read_page(source: Source, low: bytes, high: bytes, *, limit: int | None, backwards: bool, room: int = PAGE) -> Page:
    """Read a page from ``low`` to below ``high``: ``room`` bytes, where it does not go on with another one at least one item."""
    page, table, index = Page(), source.table, source.index
    entries = source.entries
    referred = index is not None and index.kept is None
    get, holds, projection, fetches = source.items.get, source.filter, source.projection, source.fetches
    shown, counts = page.shown, source.counts
    plain = holds is None and projection is None and not counts and not fetches
    if plain and not referred and entries.__class__ is MemoryMap and room == PAGE:  # pyright: ignore[reportUnnecessaryComparison]  # see MemoryMap.get
        return _whole(entries, low, high, limit or _ENDLESS, backwards=backwards)
    size = scanned = 0
    data = b""
    most = limit or -1
    rows: Any = entries.range(low, high, backwards=backwards)
    for key, weight, stored in rows:
        if size + weight > room and (scanned or room < PAGE):
            page.last = data
            break
        size += weight
        scanned += 1
        data = stored
        if referred:
            row = get(stored)
            data = stored if row is None else row[1]
        if plain:
            shown.append(data)
        else:
            whole = data
            if fetches:
                row = get(table.key(read_item(data)))
                if row is not None:
                    whole = row[1]
                    page.base_units += read_units(row[0], consistent=source.consistent)
            item = None
            if holds is not None:
                item = read_item(whole)
                if not holds(item):
                    item, whole = None, b""
            if whole:
                page.found += 1
                if not counts:
                    shown.append(whole if projection is None else encode(projection.of(item or read_item(whole))))
        if scanned == most:
            page.last, page.key = data, key
            break
    rows.close()
    page.size, page.scanned = size, scanned
    if plain:
        page.found = scanned
    return page


def _whole(entries: Any, low: bytes, high: bytes, left: int, *, backwards: bool) -> Page:
    """As `read_page`, where items are shown as they are stored, and lie in memory: many at a time."""
    page, rows = Page(), entries.rows
    shown = page.shown
    for some in entries.keys(low, high, backwards=backwards):
        keys = some if len(some) <= left else some[:left]
        found = [rows[key] for key in keys]
        size = sum([weight for weight, _ in found])
        if page.size + size > PAGE:
            size = 0
            for number, (weight, _) in enumerate(found):
                if page.size + size + weight > PAGE and (shown or number):
                    found = found[:number]
                    break
                size += weight
        shown += [data for _, data in found]
        page.size += size
        if len(found) < len(keys):
            page.last = shown[-1]
            break
        left -= len(keys)
        if not left:
            page.last, page.key = shown[-1], keys[-1]
            break
    page.scanned = page.found = len(shown)
    return page


def metered(core: Core, source: Source, page: Page, partition: bytes | None) -> None:
    """Take the units of a page, where throughput is enforced. Raises: Refusal."""
    index = None if source.index is None else source.index.name
    units = read_units(page.size, consistent=source.consistent)
    demands = core.meter.of_read(source.table, index, units, partition)
    if page.base_units:
        demands += core.meter.of_read(source.table, None, page.base_units, None)
    core.meter.admit(demands)


def answered(request: dict[str, Any], source: Source, page: Page) -> bytes:
    """The answer of a Query or a Scan."""
    members: Members = [("Count", b"%d" % page.found), ("ScannedCount", b"%d" % page.scanned)]
    if page.last is not None:
        item = read_item(page.last)
        members.append(("LastEvaluatedKey", encode({name: item[name] for name in source.names()})))
    mode = wanted(request)
    if mode is not None:
        consumed = Consumed(source.table, page.base_units)
        units = read_units(page.size, consistent=source.consistent)
        consumed.add(None if source.index is None else source.index.name, units)
        members.append(("ConsumedCapacity", member(consumed, mode)))
    return answer(members) if source.counts else answer_of_list("Items", page.shown, members)

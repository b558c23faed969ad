"""What the cache knows of tables: keys and indexes, from the schemas of the models that are in use; and items as they were loaded.

It must not know requests. Names are stored names.
"""

from __future__ import annotations

from decimal import Context, Decimal
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dynamorm.models.schema.schema import Index, Schema

Wire: TypeAlias = "dict[str, Any]"

MAX_STATES: Final = 2_000
"""Loaded items that are remembered between when a write is put together and when it is sent; without one, an index is
invalidated as a whole."""

_DIGITS: Final = Context(prec=60)  # DynamoDB's numbers have 38


class IndexOf(Struct, frozen=True):
    """A global index. ``attributes`` are those that it shows, None for all. ``vague``: models differ about it."""

    name: str
    partition: tuple[str, ...]
    sort: tuple[str, ...]
    attributes: frozenset[str] | None
    vague: bool = False

    def partition_of(self, item: Mapping[str, Any]) -> tuple[str, ...] | None:
        """The partition that an item stands in; None for an item that is not in the index."""
        if any(name not in item for name in (*self.partition, *self.sort)):
            return None
        return tuple(canonical(item[name]) for name in self.partition)

    def shows(self, names: set[str], key: frozenset[str]) -> bool:
        """Whether an update of these attributes may change what the index shows; it may also make the item."""
        return self.attributes is None or bool(names & self.attributes) or key.issuperset(self.partition + self.sort)


class TableOf(Struct):
    """A table: its key, its version attributes, its global indexes, and the names of its local ones."""

    partition: str
    key: frozenset[str]
    versions: set[str]
    indexes: dict[str, IndexOf]
    local: set[str]


class Tables:
    """The tables of the models in use, by physical name, and loaded items by the state that a write is bound to."""

    def __init__(self) -> None:
        self.known: dict[str, TableOf] = {}
        self._states: dict[tuple[str, str], dict[str, Wire]] = {}

    def learn(self, table: str, schema: Schema) -> bool:
        """Take in the model of a table. Whether an index was not known of before, in a table that was."""
        assert schema.key is not None  # it has a table
        stored = {name: field.stored for name, field in schema.fields.items()}
        key = frozenset(stored[name] for name in schema.key.fields)
        before = self.known.get(table)
        known = before or TableOf(stored[schema.key.partition], key, set(), {}, set())
        if schema.version is not None:
            known.versions.add(schema.version.stored)
        indexes, grown = dict(known.indexes), False
        for index in schema.indexes.values():
            if index.kind == "LSI":
                known.local.add(index.name)
                continue
            other = _index_of(index, stored, key)
            had = indexes.get(index.name)
            grown |= had is None
            indexes[index.name] = other if had in (None, other) else _vague(index.name)
        known.indexes = indexes
        self.known[table] = known
        return grown and before is not None

    def remember(self, item: Wire, version: str) -> None:
        """Keep what an item says of indexes, until the write that is bound to this very state is sent."""
        state = _state(item.get(version), item.get("_wt"))
        if state is None:
            return
        self._states[state] = item
        while len(self._states) > MAX_STATES:
            self._states.pop(next(iter(self._states), state), None)

    def loaded(self, version: Any, ring: Any) -> Wire | None:
        """The item as it was loaded in the state that a write is bound to, None where it is not known."""
        state = _state(version, ring)
        return None if state is None else self._states.get(state)


def _state(version: Any, ring: Any) -> tuple[str, str] | None:
    """What tells one state of an item from all others: its version and its ring of random tokens."""
    try:
        return version["N"], ring["B"]
    except (KeyError, TypeError):
        return None


def _index_of(index: Index, stored: Mapping[str, str], key: frozenset[str]) -> IndexOf:
    partition = tuple(stored[name] for name in index.partition)
    sort = tuple(stored[name] for name in index.sort)
    shown = () if isinstance(index.projection, str) else tuple(stored.get(name, name) for name in index.projection)
    attributes = None if index.projection == "ALL" else frozenset((*partition, *sort, *key, *shown))
    return IndexOf(index.name, partition, sort, attributes)


def _vague(name: str) -> IndexOf:
    return IndexOf(name, (), (), None, vague=True)


def canonical(wire: Any) -> str:
    """One text for each value of a key, however its number is written."""
    ((kind, value),) = wire.items()
    if kind == "N":
        number = _DIGITS.create_decimal(value)
        return f"N{Decimal(0) if not number else number.normalize(_DIGITS)}"
    return f"{kind}{value}"

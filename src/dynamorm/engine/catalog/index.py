"""One index of a table: the key of an entry, what the entry holds, what a change of it costs. It must not know requests.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/GSI.html; that an index costs nothing where its stored view
stays the same, and that its part is not doubled in a transaction, was observed on AWS (dynoxide, issue 178; Parity Suite 124).
"""

from __future__ import annotations

from typing import Any

from msgspec import json

from dynamorm.engine.refusal import wrong_parameter
from dynamorm.engine.sizes import MAX_PARTITION_KEY, MAX_SORT_KEY, item_size, text_size, units_of_write
from dynamorm.engine.store.store import Change, Map
from dynamorm.engine.store.undo import Row
from dynamorm.engine.values.keys import KeyAttribute, KeyNames, hashed, parts
from dynamorm.engine.values.measure import Item, decoded

_encode = json.encode


class Index:
    """An index. ``kept`` are the names that its entries hold, None for whole items; ``is_global`` is False for a local one."""

    ready: float
    key_names: tuple[str, ...]

    def __init__(
        self, name: str, names: KeyNames, table: KeyNames, kept: frozenset[str] | None, entries: Map, *, is_global: bool
    ) -> None:
        self.name = name
        self.names = names
        self.kept = kept
        self.entries = entries
        self.is_global = is_global
        self.ready = 0.0
        """When it may be queried."""
        self.key_names = tuple(dict.fromkeys(one.name for one in (*names.all, *table.all)))
        self._table = table
        self._own = frozenset(one.name for one in names.all)

    def key(self, item: Item) -> bytes | None:
        """The key of an item's entry, None where it has none."""
        for name, tag in self.names.all:
            value = item.get(name)
            if value is None or tag not in value:
                return None
        return self.key_at(item)

    def key_at(self, item: Item) -> bytes:
        """The key of an entry, from an item that has all its attributes."""
        names = self.names
        return hashed(parts(names.partition, item)) + parts(names.sort, item) + parts(self._table.all, item)

    def check(self, item: Item) -> None:
        """Raise Refusal for an attribute that this index cannot take."""
        for limit, attributes in ((MAX_PARTITION_KEY, self.names.partition), (MAX_SORT_KEY, self.names.sort)):
            for attribute in attributes:
                value = item.get(attribute.name)
                if value is not None:
                    self._check(attribute, value, limit)

    def _check(self, attribute: KeyAttribute, value: dict[str, Any], limit: int) -> None:
        name, tag = attribute
        text = value.get(tag)
        if text is None:
            actual = next(iter(value))
            raise wrong_parameter(
                f"Type mismatch for Index Key {name} Expected: {tag} Actual: {actual} IndexName: {self.name}"
            )
        if tag == "N":
            return
        if not text:
            raise wrong_parameter(
                "The AttributeValue for a key attribute cannot contain an empty string value."
                f" IndexName: {self.name}, IndexKey: {name}"
            )
        if len(text) * 4 > limit and (text_size(text) if tag == "S" else len(decoded(text))) > limit:
            raise wrong_parameter(
                f"Size of the index key {name} has exceeded the maximum size limit of {limit} bytes. IndexName: {self.name}"
            )

    def view(self, item: Item) -> Item:
        """What an entry shows of an item."""
        kept = self.kept
        return item if kept is None else {name: value for name, value in item.items() if name in kept}

    def row(self, item: Item, view: Item, key: bytes, size: int) -> Row:
        """What is stored of an entry: of whole items only where they are."""
        del item
        return (size, key) if self.kept is None else (item_size(view), _encode(view))

    def write(
        self, old: Item | None, new: Item | None, key: bytes, sizes: tuple[int, int], changes: list[Change]
    ) -> int:
        """Add to ``changes`` what a write of the table's item does to this index. Returns the units that it costs."""
        was = None if old is None else self.key(old)
        becomes = None if new is None else self.key(new)
        if was is None and becomes is None:
            return 0
        before = self._entry(old, was, key, sizes[0])
        after = self._entry(new, becomes, key, sizes[1])
        if was == becomes:
            assert before is not None and after is not None and was is not None  # noqa: PT018 - one of both is
            if before[1] == after[1]:
                return 0
            if before[0] != after[0]:
                changes.append((self.entries, was, before[0], after[0]))
            return units_of_write(max(before[0][0], after[0][0]))
        cost = 0
        if before is not None and was is not None:
            changes.append((self.entries, was, before[0], None))
            cost += units_of_write(before[0][0])
        if after is not None and becomes is not None:
            changes.append((self.entries, becomes, None, after[0]))
            cost += units_of_write(after[0][0])
        return cost

    def _entry(self, item: Item | None, entry: bytes | None, key: bytes, size: int) -> tuple[Row, Item] | None:
        if item is None or entry is None:
            return None
        view = self.view(item)
        return self.row(item, view, key, size), view

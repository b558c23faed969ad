"""One table as it is worked with: its key, its items, its indexes, its stream. It must not know requests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dynamorm.engine.catalog.index import Index
from dynamorm.engine.refusal import Refusal, invalid
from dynamorm.engine.store.store import Map, Store
from dynamorm.engine.values.keys import KeyAttribute, KeyNames, key_maker
from dynamorm.engine.values.measure import Item


class Table:
    """A table. ``record`` is all that is stored of it."""

    arn: str
    names: KeyNames
    key_attributes: frozenset[str]
    key: Callable[[dict[str, Any]], bytes]
    items: Map
    indexes: dict[str, Index]
    index_list: tuple[Index, ...]
    has_local: bool
    stream: Any | None

    def __init__(self, record: dict[str, Any], store: Store, account: str) -> None:
        self.record = record
        definition = record["definition"]
        self.name: str = definition["TableName"]
        self.arn = f"{account}:table/{self.name}"
        types = {one["AttributeName"]: one["AttributeType"] for one in definition["AttributeDefinitions"]}
        self.names = key_names(definition["KeySchema"], types)
        self.key_attributes = frozenset(one.name for one in self.names.all)
        self.key = key_maker(self.names)
        self.items = store.map(record["map"])
        self.ready: float = record["ready"]
        self.indexes = {
            one["IndexName"]: self._index(one, types, store, is_global=is_global)
            for member, is_global in (("GlobalSecondaryIndexes", True), ("LocalSecondaryIndexes", False))
            for one in definition.get(member) or ()
        }
        self.index_list = tuple(self.indexes.values())
        self.has_local = any(not index.is_global for index in self.index_list)
        stream = record.get("stream")
        self.stream = stream if stream and stream["on"] else None
        self.view: str | None = self.stream["view"] if self.stream else None
        self.expiring: str | None = record.get("ttl")

    def _index(self, definition: dict[str, Any], types: dict[str, str], store: Store, *, is_global: bool) -> Index:
        names = key_names(definition["KeySchema"], types)
        projection = definition["Projection"]
        kept: frozenset[str] | None = None
        if projection["ProjectionType"] != "ALL":
            keys = (one.name for one in (*names.all, *self.names.all))
            kept = frozenset((*keys, *(projection.get("NonKeyAttributes") or ())))
        name = definition["IndexName"]
        entries = store.map(self.record["index_maps"][name])
        index = Index(name, names, self.names, kept, entries, is_global=is_global)
        index.ready = self.record["index_ready"].get(name, 0.0)
        return index

    def index(self, name: str) -> Index:
        """The index of a name. Raises: Refusal."""
        found = self.indexes.get(name)
        if found is None:
            raise invalid(f"The table does not have the specified index: {name}")
        return found

    def key_of(self, key: Item) -> bytes:
        """The bytes of a key that a request names. Raises: Refusal for one that does not fit the table's."""
        if len(key) != len(self.key_attributes) or not key.keys() <= self.key_attributes:
            raise no_key()
        for name, tag in self.names.all:
            if tag not in key[name]:
                raise no_key()
        try:
            return self.key(key)
        except Refusal as error:
            if "empty" in error.text:
                error.text = f"One or more parameter values are not valid. {error.text.partition(': ')[2]}"
            raise


def no_key() -> Refusal:
    """A key that does not fit the table's."""
    return invalid("The provided key element does not match the schema")


def key_names(schema: list[dict[str, str]], types: dict[str, str]) -> KeyNames:
    """The attributes of a KeySchema."""
    found: dict[str, list[KeyAttribute]] = {"HASH": [], "RANGE": []}
    for one in schema:
        found[one["KeyType"]].append(KeyAttribute(one["AttributeName"], types[one["AttributeName"]]))
    return KeyNames(tuple(found["HASH"]), tuple(found["RANGE"]))

"""Which partitions a request is for, read from its text: for plugins that count keys or pace them.

It learns from the schemas of models what the partition key of a table is called. It must not know what is done with keys.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from msgspec import DecodeError, Raw, Struct
from msgspec.json import Decoder, decode

if TYPE_CHECKING:
    from dynamorm.models.schema.schema import Schema
    from dynamorm.plugin import Call

_EQUAL: Final = re.compile(r"(#\w+) = (:\w+)")

Place = tuple[str, str | None]
"""A table, and an index of it or None."""

Stored = dict[str, str]
"""A value of a key as DynamoDB has it: ``{"S": "p1"}``."""


class _Body(Struct):
    """What names keys in a request, on items of one table or of several."""

    TableName: str = ""
    IndexName: str | None = None
    Key: dict[str, Raw] | None = None
    Item: dict[str, Raw] | None = None
    KeyConditionExpression: str = ""
    ExpressionAttributeValues: dict[str, Raw] | None = None
    RequestItems: dict[str, Raw] | None = None
    TransactItems: list[dict[str, Raw]] | None = None


class _Keys(Struct):
    Keys: list[dict[str, Raw]]


_body: Final = Decoder(_Body).decode
_keys: Final = Decoder(_Keys).decode
_requests: Final = Decoder(list[dict[str, _Body]]).decode


class Partitions:
    """Reads partition keys out of requests. Example: ``Partitions().of(call)`` behind `learn` of the models."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}  # by table, without a prefix: the stored name of its partition key

    def learn(self, schema: Schema) -> None:
        """Note what the partition key of a model's table is called."""
        if schema.table is not None and schema.key is not None:
            self._names[schema.table] = schema.fields[schema.key.fields[0]].stored

    def of(self, call: Call) -> list[tuple[Place, Stored]]:
        """The places that a request asks, each with the value of a partition key; none where it tells none."""
        try:
            body: Any = _body(call.body)
            return [(place, decode(value)) for place, value in self._raw(call.name, body)]
        except (DecodeError, KeyError, ValueError):  # a plugin has changed the request
            return []

    def _raw(self, operation: str, body: _Body) -> Iterator[tuple[Place, Raw]]:
        if body.TableName:
            found = _EQUAL.search(body.KeyConditionExpression)
            if found is not None:
                yield (body.TableName, body.IndexName), (body.ExpressionAttributeValues or {})[found[2]]
            for key in (body.Key, body.Item):
                yield from self._partition(body.TableName, key)
        for table, raw in (body.RequestItems or {}).items():
            if operation == "BatchGetItem":
                for key in _keys(raw).Keys:
                    yield from self._partition(table, key)
            else:
                for entry in _requests(raw):
                    for one in entry.values():
                        yield from self._partition(table, one.Key or one.Item)
        for entries in body.TransactItems or ():
            for part in entries.values():
                one = _body(part)
                yield from self._partition(one.TableName, one.Key or one.Item)

    def _partition(self, table: str, key: dict[str, Raw] | None) -> Iterator[tuple[Place, Raw]]:
        name = self._names.get(table)
        if name is None:  # with a prefix: the longest name that it ends with
            known = max((one for one in self._names if table.endswith(one)), key=len, default=None)
            if known is None:
                return
            name = self._names[table] = self._names[known]
        if key is not None and name in key:
            yield (table, None), key[name]

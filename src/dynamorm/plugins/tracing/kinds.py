"""What is known of a span before it begins: its name, and the attributes that all of its kind have. It must not know tracers.

Source: https://opentelemetry.io/docs/specs/semconv/db/database-spans/ and dynamodb, as of the plugin's ``SCHEMA_URL``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import DecodeError, Raw, Struct
from msgspec.json import Decoder

if TYPE_CHECKING:
    from dynamorm.plugin import Call

HTTPS_PORT: Final = 443
"""The port of DynamoDB's own endpoints: the conventions want another one named."""

_NO_TABLE: Final = frozenset({"-", ""})
_OF_NO_TABLE: Final = frozenset({"ListTables", "DescribeEndpoints", "DescribeLimits"})

Attributes = dict[str, Any]


class Kind:
    """What all spans of one kind have in common. ``counts`` tells how many operations a body has, where it may have several."""

    __slots__ = ("attributes", "counts", "name")

    def __init__(self, name: str, attributes: Attributes, counts: Any = None) -> None:
        self.name: str = name
        self.attributes: Attributes = attributes
        self.counts: Any = counts


def of_verb(verb: str, model: type[Any] | None, table: str | None, index: str | None) -> Kind:
    """What all spans of a verb of a model have in common. They name no database system: only requests go to one."""
    attributes: Attributes = {"dynamorm.verb": verb}
    if model is not None:
        attributes["dynamorm.model"] = model.__name__
    if table is not None:
        attributes["db.collection.name"] = table
    if isinstance(index, str):
        attributes["aws.dynamodb.index_name"] = index
    return Kind(f"dynamorm.{verb}" if model is None else f"dynamorm.{verb} {model.__name__}", attributes)


def of_call(call: Call) -> Kind:
    """What all spans of an operation on a table, at a server, have in common."""
    tables = () if call.table in _NO_TABLE or call.name in _OF_NO_TABLE else tuple(call.table.split(", "))
    attributes: Attributes = {"db.system.name": "aws.dynamodb", "db.operation.name": call.name}
    name = call.name
    if len(tables) == 1:
        attributes["db.collection.name"] = tables[0]
        name = f"{name} {tables[0]}"
    if tables:
        attributes["aws.dynamodb.table_names"] = tables
    if call.server is not None:
        attributes["server.address"] = call.server.address
        if call.server.port != HTTPS_PORT:
            attributes["server.port"] = call.server.port
        if call.server.region is not None:
            attributes["cloud.region"] = call.server.region
    return Kind(name, attributes, _COUNTS.get(call.name))


class _Keys(Struct):
    Keys: list[Raw]


class _Gets(Struct):
    RequestItems: dict[str, _Keys]


class _Writes(Struct):
    RequestItems: dict[str, list[Raw]]


class _Transaction(Struct):
    TransactItems: list[Raw]


class _Statements(Struct):
    Statements: list[Raw] = []
    TransactStatements: list[Raw] = []


def _counting(kind: Any, count: Any) -> Any:
    """What tells how many operations a body has; 0 where it has another form."""
    read = Decoder(kind).decode

    def counted(body: bytes) -> int:
        try:
            return int(count(read(body)))
        except DecodeError:
            return 0

    return counted


_COUNTS: Final = {
    "BatchGetItem": _counting(_Gets, lambda batch: sum(len(of.Keys) for of in batch.RequestItems.values())),
    "BatchWriteItem": _counting(_Writes, lambda batch: sum(map(len, batch.RequestItems.values()))),
    **dict.fromkeys(
        ("TransactGetItems", "TransactWriteItems"), _counting(_Transaction, lambda batch: len(batch.TransactItems))
    ),
    **dict.fromkeys(
        ("BatchExecuteStatement", "ExecuteTransaction"),
        _counting(_Statements, lambda batch: len(batch.Statements) + len(batch.TransactStatements)),
    ),
}
"""The operations of which one request may have several."""

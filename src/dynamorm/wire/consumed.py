"""What a request has cost, as its reply tells: `ConsumedCapacity`, by table and index. It must not know models.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_ConsumedCapacity.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from msgspec import UNSET as U
from msgspec import DecodeError, Struct, UnsetType
from msgspec.json import Decoder

from dynamorm.errors import MalformedResponse

WRITES: Final = frozenset({"PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem", "TransactWriteItems"})
"""The operations whose units are those of writes, where a reply does not say."""


class ConsumedCapacity(Struct, frozen=True, gc=False):
    """Units that a request has taken of one table or one of its indexes.

    ``index`` is None for the table; where a reply tells only sums (``"TOTAL"``), that is the table with its indexes.
    """

    table: str
    index: str | None
    read_units: float
    write_units: float


class _Units(Struct, gc=False):
    CapacityUnits: float = 0.0
    ReadCapacityUnits: float | UnsetType = U
    WriteCapacityUnits: float | UnsetType = U


class _OfTable(_Units):
    TableName: str = ""
    Table: _Units | None = None
    LocalSecondaryIndexes: dict[str, _Units] | None = None
    GlobalSecondaryIndexes: dict[str, _Units] | None = None


class _Reply(Struct):
    ConsumedCapacity: _OfTable | list[_OfTable] | None = None


class _Statement(Struct, gc=False):
    Statement: str = ""


class _Statements(_Statement):
    TransactStatements: list[_Statement] = []
    Statements: list[_Statement] = []


_reply: Final = Decoder(_Reply).decode
_statements: Final = Decoder(_Statements).decode


_NESTED: Final = rb"\{[^{}]*(?:%b[^{}]*)*\}"
_object: Final = re.compile(_NESTED % (_NESTED % rb"\{[^{}]*\}")).match
"""Matches an object with the objects in it, as deep as those of indexes: none of its texts, names of tables and indexes, has braces."""
_FIRST: Final = b'{"ConsumedCapacity":'
_LAST: Final = b',"ConsumedCapacity":'
_ENDS: Final = frozenset({b",", b"}"})

_Parts = tuple[ConsumedCapacity, ...]
_known: Final[dict[tuple[str, bytes], _Parts]] = {}
_latest: Final[dict[tuple[str, str], tuple[bytes, _Parts]]] = {}
MOST_KNOWN: Final = 1_000
"""What was read already: most requests cost the same as others before, and to read an answer takes longer than to find it here.

``_latest`` has the beginning or the end of the latest answer of each operation on a table, which the next one mostly has, too.
"""


def consumed_of(operation: str, table: str, request: bytes, body: bytes) -> _Parts:
    """The units that a reply tells of; none where it does not tell. Raises: MalformedResponse."""
    latest = _latest.get((operation, table))
    if latest is not None and (body.startswith(latest[0]) or body.endswith(latest[0])):
        return latest[1]
    edge = _edge(body)
    if edge is None or "Execute" in operation:
        return _read(operation, request, body)
    parts = _known.get((operation, edge))
    if parts is None:
        parts = _read(operation, request, body)
        _keep(_known, (operation, edge), parts)
    _keep(_latest, (operation, table), (edge, parts))
    return parts


def _keep(kept: dict[Any, Any], key: Any, value: Any) -> None:
    if len(kept) >= MOST_KNOWN:
        kept.clear()
    kept[key] = value


def _edge(body: bytes) -> bytes | None:
    """The text of the member with the edge of the answer, where it is an object and the first or the last one of a whole answer.

    That is from the answer's beginning to the character behind it, or from the comma before it to the answer's end. An attribute of an item may have that name, but it is neither: there are the braces of the item around it.
    """
    if body.startswith(_FIRST):
        found = _object(body, 20)
        return body[: found.end() + 1] if found is not None and body[found.end() : found.end() + 1] in _ENDS else None
    place = body.rfind(_LAST)
    if place < 0:
        return None
    found = _object(body, place + 20)
    return body[place:] if found is not None and body[found.end() :] == b"}" else None


def _read(operation: str, request: bytes, body: bytes) -> _Parts:
    if b'"ConsumedCapacity"' not in body:
        return ()
    told: Any = None
    try:
        told = _reply(body).ConsumedCapacity
    except (DecodeError, RecursionError):
        told = U
    if told is U:
        raise MalformedResponse("the answer cannot be believed: its ConsumedCapacity has another form")
    tables = told if told.__class__ is list else [] if told is None else [told]
    return tuple(units for of_table in tables for units in _parts(of_table, writes=_writes(operation, request)))


def _parts(of_table: _OfTable, *, writes: bool) -> Iterator[ConsumedCapacity]:
    indexes = {**(of_table.LocalSecondaryIndexes or {}), **(of_table.GlobalSecondaryIndexes or {})}
    of_indexes = [_consumed(of_table.TableName, name, units, writes=writes) for name, units in indexes.items()]
    if of_table.Table is not None or not indexes:
        yield _consumed(of_table.TableName, None, of_table.Table or of_table, writes=writes)
    elif of_table.CapacityUnits > (told := sum(units.read_units + units.write_units for units in of_indexes)):
        # Some emulators leave the table's own part out: it is what the total has beside those of the indexes.
        yield _consumed(of_table.TableName, None, _Units(of_table.CapacityUnits - told), writes=writes)
    yield from of_indexes


def _consumed(table: str, index: str | None, units: _Units, *, writes: bool) -> ConsumedCapacity:
    read, write = units.ReadCapacityUnits, units.WriteCapacityUnits
    if read is U is write:  # only transactions tell which: a token that is sent again costs a read
        read, write = (0.0, units.CapacityUnits) if writes else (units.CapacityUnits, 0.0)
    return ConsumedCapacity(table, index, 0.0 if read is U else read, 0.0 if write is U else write)


def _writes(operation: str, request: bytes) -> bool:
    """Whether the units of an operation are those of writes, where its reply does not say."""
    if "Execute" not in operation:
        return operation in WRITES
    sent = _statements(request)
    texts = [sent, *sent.TransactStatements, *sent.Statements]
    return any(one.Statement.lstrip()[:6].upper() in {"INSERT", "UPDATE", "DELETE"} for one in texts)

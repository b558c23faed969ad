"""Reads the requests of reads: which generations an answer depends on. What cannot be read is never kept."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from msgspec import DecodeError, Struct
from msgspec.json import Decoder

from .generations import EVERYTHING, Reading
from .tables import canonical

if TYPE_CHECKING:
    from dynamorm.plugin import Call

    from .generations import Generation
    from .tables import TableOf, Tables

READS: Final = frozenset({"GetItem", "BatchGetItem", "Query", "Scan"})
"""The operations whose answers may be kept."""


class _Read(Struct):
    """The members of a read that matter here."""

    Key: dict[str, Any] = {}
    KeyConditionExpression: str = ""
    IndexName: str | None = None
    ExpressionAttributeNames: dict[str, str] = {}
    ExpressionAttributeValues: dict[str, Any] = {}
    ConsistentRead: bool = False
    Keys: list[dict[str, Any]] = []
    RequestItems: dict[str, _Read] = {}


_read: Final = Decoder(_Read).decode

_EQUAL: Final = re.compile(r"(#\w+) = (:\w+)")


def reading(call: Call, tables: Tables) -> Reading | None:
    """What the answer to a read depends on; None for what is not kept, as what is read consistently."""
    try:
        request = _read(call.body)
        if call.name == "BatchGetItem":
            return _batch(request, tables)
        table = tables.known.get(call.table)
        if table is None or request.ConsistentRead:
            return None
        every: tuple[Generation, ...] = (EVERYTHING, ("table", call.table))
        if call.name == "GetItem":
            return Reading((*every, _part(call.table, table, request.Key)))
        if call.name == "Scan":
            return Reading((*every, ("any", call.table)), lags=request.IndexName in table.indexes)
        return _query(call.table, table, request, every)
    except (DecodeError, KeyError, ValueError, AttributeError):
        return None


def _batch(request: _Read, tables: Tables) -> Reading | None:
    generations: dict[Generation, None] = {EVERYTHING: None}
    for name, part in request.RequestItems.items():
        table = tables.known.get(name)
        if table is None or part.ConsistentRead:
            return None
        generations["table", name] = None
        for key in part.Keys:
            generations[_part(name, table, key)] = None
    return Reading(tuple(generations))


def _query(name: str, table: TableOf, request: _Read, every: tuple[Generation, ...]) -> Reading | None:
    equal = {
        request.ExpressionAttributeNames[place]: request.ExpressionAttributeValues[value]
        for place, value in _EQUAL.findall(request.KeyConditionExpression)
    }
    if request.IndexName is None or request.IndexName in table.local:
        return Reading((*every, _part(name, table, equal)))
    index = table.indexes[request.IndexName]
    if index.vague:
        return Reading((*every, ("any", name)), lags=True)
    values = tuple(canonical(equal[attribute]) for attribute in index.partition)
    of_index: tuple[Generation, ...] = (
        ("indexes", name),
        ("index", name, index.name),
        ("in", name, index.name, *values),
    )
    return Reading((*every, *of_index), lags=True)


def _part(name: str, table: TableOf, key: dict[str, Any]) -> Generation:
    return ("part", name, canonical(key[table.partition]))

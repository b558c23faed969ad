"""Reads the requests of writes: which generations they replace. One that cannot be read replaces that of its table."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from msgspec import DecodeError, Raw, Struct
from msgspec.json import Decoder, decode

from .generations import EVERYTHING, Writing
from .tables import canonical

if TYPE_CHECKING:
    from dynamorm.plugin import Call

    from .generations import Generation
    from .tables import IndexOf, TableOf, Tables

_READING: Final = ("Describe", "List", "Get")
"""How the names of operations begin that read tables and streams; those that read items are others' affair."""
_STATEMENTS: Final = frozenset({"ExecuteStatement", "BatchExecuteStatement", "ExecuteTransaction"})

_FAMILIES: Final = {
    "create": {"create"}, "put": {"create", "update"}, "save": {"update"}, "update": {"update"},
    "increment": {"update"}, "delete": {"delete"}, "delete_all": {"delete"},
}  # fmt: skip
"""The families of verbs: what a rule has put in the place of a delete is still one."""


class _Write(Struct):
    """The members of a write of one item that matter here."""

    TableName: str = ""
    Key: dict[str, Any] = {}
    Item: dict[str, Raw] = {}
    ConditionExpression: str = ""
    UpdateExpression: str = ""
    ExpressionAttributeNames: dict[str, str] = {}
    ExpressionAttributeValues: dict[str, Raw] = {}


class _Part(Struct):
    """One write of a transaction or of a batch."""

    Put: _Write | None = None
    Update: _Write | None = None
    Delete: _Write | None = None
    PutRequest: _Write | None = None
    DeleteRequest: _Write | None = None


class _Many(Struct):
    TransactItems: list[_Part] = []
    RequestItems: dict[str, list[_Part]] = {}
    ClientRequestToken: str = ""


class _Statement(Struct):
    Statement: str = ""


class _Statements(Struct):
    Statement: str = ""
    Statements: list[_Statement] = []
    TransactStatements: list[_Statement] = []


_write: Final = Decoder(_Write).decode
_many: Final = Decoder(_Many).decode
_statements: Final = Decoder(_Statements).decode

_PINNED: Final = re.compile(r"(#\w+) = (:\w+) AND (#\w+) = (:\w+)")
_ABSENT: Final = re.compile(r"(?<!NOT )attribute_not_exists\((#\w+)\)")
_WORDS: Final = re.compile(r"[#:]?\b\w+")
_KNOWN_WORDS: Final = frozenset({"SET", "REMOVE", "ADD", "DELETE", "if_not_exists", "list_append"})
_TABLE_OF: Final = re.compile(r'(?:\bINTO|\bUPDATE|\bFROM)\s+"?([A-Za-z0-9_.-]+)', re.IGNORECASE)


def writing(call: Call, tables: Tables, listed: frozenset[str] | None) -> Writing | None:
    """What a call replaces; None for what changes nothing. ``listed``: the families that count, None for all."""
    name = call.name
    if name.startswith(_READING) or name == "TransactGetItems":
        return None
    if name in _STATEMENTS:
        return _by_statement(call)
    verb = None if call.operation is None else call.operation.verb
    try:
        parts, bound = _parts(call)
    except DecodeError:
        return Writing((EVERYTHING,))
    if parts is None:  # of tables: made, deleted, restored, changed
        return Writing((("table", call.table),))
    generations: dict[Generation, None] = {}
    for kind, write in parts:
        if listed is not None and not listed & (_families(kind, write, tables) | _FAMILIES.get(verb or "", set())):
            continue
        generations.update(dict.fromkeys(_of_one(kind, write, tables)))
    every = bound or all(_state_of(write, tables.known.get(write.TableName)) is not None for _, write in parts)
    return Writing(tuple(generations), bound=every) if generations else None


def foreign(table: str, key: bytes | None, tables: Tables) -> tuple[Generation, ...]:
    """What a write of somebody else replaces, of which no more is known than its key, or (None) its table.

    By key these are also the indexes that the models of this process do not have: other processes keep answers of them.
    """
    if key is None:
        return (("table", table),)
    known = _of_one("Delete", _Write(TableName=table, Key=decode(key)), tables)
    return tuple(dict.fromkeys((*known, ("indexes", table))))


def _parts(call: Call) -> tuple[list[tuple[str, _Write]] | None, bool]:
    """The writes of single items that a call makes, and whether a token stands for all of them."""
    if call.name in {"PutItem", "UpdateItem", "DeleteItem"}:
        return [(call.name.removesuffix("Item"), _write(call.body))], False
    if call.name not in {"TransactWriteItems", "BatchWriteItem"}:
        return None, False
    request, parts = _many(call.body), []
    for part in request.TransactItems:
        for kind, write in (("Put", part.Put), ("Update", part.Update), ("Delete", part.Delete)):
            if write is not None:
                parts.append((kind, write))
    for table, requests in request.RequestItems.items():
        for part in requests:
            for kind, write in (("Put", part.PutRequest), ("Delete", part.DeleteRequest)):
                if write is not None:
                    write.TableName = table
                    parts.append((kind, write))
    return parts, bool(request.ClientRequestToken)


def _families(kind: str, write: _Write, tables: Tables) -> set[str]:
    if kind == "Put":
        return {"create"} if _makes(write, tables.known.get(write.TableName)) else {"create", "update"}
    return {kind.lower()}


def _of_one(kind: str, write: _Write, tables: Tables) -> Iterator[Generation]:
    """What the write of one item replaces."""
    name = write.TableName
    table = tables.known.get(name)
    if table is None:
        yield ("table", name)
        return
    try:
        place = write.Item[table.partition] if kind == "Put" else write.Key[table.partition]
        yield ("part", name, canonical(_plain(place)))
    except (DecodeError, KeyError, ValueError, AttributeError):
        yield ("table", name)
        return
    yield ("any", name)
    for index in table.indexes.values():
        yield from _of_index(kind, write, name, table, index, tables)


def _of_index(
    kind: str, write: _Write, name: str, table: TableOf, index: IndexOf, tables: Tables
) -> Iterator[Generation]:
    whole: Generation = ("index", name, index.name)
    try:
        if index.vague:
            yield whole
        elif kind == "Put":
            if not _makes(write, table):
                yield whole
            else:
                yield from _in(
                    name, index, {key: _plain(raw) for key, raw in write.Item.items() if _is_key(key, index)}
                )
        else:
            names = _named(write) if kind == "Update" else None
            if kind == "Update" and names is not None and not index.shows(names, table.key):
                return
            state = _state_of(write, table)
            old = None if state is None else tables.loaded(*state)
            if old is None or (kind == "Update" and names is None):
                yield whole
                return
            yield from _in(name, index, old)
            if kind == "Update":
                yield from _in(name, index, _after(write, index, old))
    except (DecodeError, KeyError, ValueError, AttributeError):
        yield whole


def _in(name: str, index: IndexOf, item: dict[str, Any]) -> Iterator[Generation]:
    values = index.partition_of(item)
    if values is not None:
        yield ("in", name, index.name, *values)


def _is_key(name: str, index: IndexOf) -> bool:
    return name in index.partition or name in index.sort


def _makes(write: _Write, table: TableOf | None) -> bool:
    """Whether a put is of an item that was not there: its condition says so, and there is no other way to meet it."""
    if table is None or " OR " in write.ConditionExpression or "NOT (" in write.ConditionExpression:
        return False
    absent = _ABSENT.findall(write.ConditionExpression)
    return any(write.ExpressionAttributeNames.get(place) in table.key for place in absent)


def _state_of(write: _Write, table: TableOf | None) -> tuple[Any, Any] | None:
    """The version and the ring of tokens that the write is bound to."""
    if table is None:
        return None
    names, values = write.ExpressionAttributeNames, write.ExpressionAttributeValues
    for first, version, second, ring in _PINNED.findall(write.ConditionExpression):
        if names.get(first) in table.versions and names.get(second) == "_wt" and version in values and ring in values:
            return _plain(values[version]), _plain(values[ring])
    return None


def _named(write: _Write) -> set[str] | None:
    """The attributes that an update names; None where that cannot be told."""
    names: set[str] = set()
    for word in _WORDS.findall(write.UpdateExpression):
        if word[0] == "#":
            names.add(write.ExpressionAttributeNames[word])
        elif word[0] != ":" and not word.isdigit() and word not in _KNOWN_WORDS:
            return None
    return names


def _after(write: _Write, index: IndexOf, old: dict[str, Any]) -> dict[str, Any]:
    """The key of the index as an update leaves it. Raises: KeyError where that cannot be told."""
    after = {name: old[name] for name in (*index.partition, *index.sort) if name in old}
    places = {name: place for place, name in write.ExpressionAttributeNames.items()}
    for name in (*index.partition, *index.sort):
        place = places.get(name)
        if place is None or not re.search(re.escape(place) + r"\b", write.UpdateExpression):
            continue
        end = r"(?=,| SET | REMOVE | ADD | DELETE |$)"
        assigned = re.findall(rf"(?:SET |, ){re.escape(place)} = (:\w+){end}", write.UpdateExpression)
        if len(assigned) == 1:
            after[name] = _plain(write.ExpressionAttributeValues[assigned[0]])
        elif re.search(rf"(?:REMOVE |, ){re.escape(place)}{end}", write.UpdateExpression):
            after.pop(name, None)
        elif name in index.partition:
            raise KeyError(name)
        else:
            after[name] = {"N": "0"}  # whatever it is: it is there
    return after


def _plain(raw: Any) -> Any:
    return decode(raw) if isinstance(raw, Raw) else raw


def _by_statement(call: Call) -> Writing | None:
    """PartiQL: a statement that writes replaces the generation of its table."""
    try:
        request = _statements(call.body)
    except DecodeError:
        return Writing((EVERYTHING,))
    texts = [one.Statement for one in (*request.Statements, *request.TransactStatements)]
    if request.Statement:
        texts.append(request.Statement)
    generations: dict[Generation, None] = {}
    for text in texts:
        if text.lstrip().upper().startswith(("SELECT", "EXISTS")):
            continue
        table = _TABLE_OF.search(text)
        generations[EVERYTHING if table is None else ("table", table[1])] = None
    return Writing(tuple(generations)) if generations else None

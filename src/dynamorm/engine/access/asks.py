"""What a request asks for: actions on resources, with the keys that conditions of policies look at. It must not know policies.

A transaction asks for each of its entries by itself; a statement of PartiQL tells no leading keys.

Sources: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazondynamodb.html and
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, TypeAlias

from dynamorm.engine.access.policy import Ask
from dynamorm.engine.catalog.table import Table
from dynamorm.engine.core import Core
from dynamorm.engine.expressions.places import Places
from dynamorm.engine.items.writes import places_of
from dynamorm.engine.partiql.grammar import parsed
from dynamorm.engine.queries.key_conditions import key_range
from dynamorm.engine.refusal import Refusal
from dynamorm.engine.streams.operations import iterated
from dynamorm.engine.values.keys import KeyNames

Item: TypeAlias = dict[str, Any]


def asks_of(core: Core, operation: str, request: Item) -> Iterator[Ask]:
    """What a request asks for. Raises: Refusal for a request that cannot be answered anyhow."""
    found = _ASKS.get(operation)
    if found is not None:
        yield from found(core, operation, request)
        return
    if operation in _OF_BACKUPS:
        yield from _backup(core, operation, request)
        return
    named = request.get("TableName") or request.get("ResourceArn") or request.get("TableArn")
    resource = request.get("StreamArn") or ("*" if named is None else _arn(core, named))
    yield Ask(f"dynamodb:{operation}", resource, {})


_OF_BACKUPS: Final = frozenset({"DeleteBackup", "DescribeBackup", "ListBackups", "RestoreTableFromBackup"})


def _backup(core: Core, operation: str, request: Item) -> Iterator[Ask]:
    """What is asked for of backups: of one of them; where a table is made of it, of that table too; a list is of none."""
    action = f"dynamodb:{operation}"
    if operation == "ListBackups":
        yield Ask(action, "*", {})
        return
    yield Ask(action, request["BackupArn"], {})
    if operation == "RestoreTableFromBackup":
        yield Ask(action, _arn(core, request["TargetTableName"]), {})


def _arn(core: Core, name: str) -> str:
    return name if name.startswith("arn:") else f"{core.prefix}:table/{name}"


def _table(core: Core, name: Any) -> Table | None:
    return core.known(name) if isinstance(name, str) else None


def _asked(core: Core, action: str, name: Any, items: Iterable[Item | None], more: Item | None = None) -> Ask:
    """An action on items of one table, each of which has at least the attributes of its key."""
    table = _table(core, name)
    leading = [] if table is None else [one for item in items for one in _leading(table.names, item)]
    return Ask(f"dynamodb:{action}", _arn(core, str(name)), _context(leading, more or {}))


def _context(leading: list[str], request: Item) -> dict[str, list[str]]:
    found = {f"dynamodb:{name.lower()}": [request[name]] for name in ("Select", "ReturnValues") if request.get(name)}
    if leading:
        found["dynamodb:leadingkeys"] = leading
    return found


def _leading(names: KeyNames, item: Item | None) -> Iterator[str]:
    """The values of the partition key, as text."""
    for name, tag in names.partition:
        text = ((item or {}).get(name) or {}).get(tag)
        if text is not None:
            yield text


def _of_key(core: Core, operation: str, request: Item) -> Iterator[Ask]:
    yield _asked(core, operation, request.get("TableName"), [request.get("Key") or request.get("Item")], request)


def _of_query(core: Core, operation: str, request: Item) -> Iterator[Ask]:
    name, index = request.get("TableName"), request.get("IndexName")
    table = _table(core, name)
    leading: list[str] = []
    text = request.get("KeyConditionExpression")
    if table is not None and text is not None:
        names = table.names if index is None else table.index(index).names
        places: Places = places_of(request)
        leading = list(_leading(names, key_range(text, places, names).fixed))
    resource = _arn(core, str(name)) + ("" if index is None else f"/index/{index}")
    yield Ask(f"dynamodb:{operation}", resource, _context(leading, request))


def _of_batch_get(core: Core, operation: str, request: Item) -> Iterator[Ask]:
    for name, entry in (request.get("RequestItems") or {}).items():
        yield _asked(core, operation, name, entry.get("Keys") or ())


def _of_batch_write(core: Core, operation: str, request: Item) -> Iterator[Ask]:
    for name, entries in (request.get("RequestItems") or {}).items():
        parts = [part for entry in entries for part in entry.values() if part is not None]
        yield _asked(core, operation, name, [part.get("Item") or part.get("Key") for part in parts])


def _of_transaction(core: Core, operation: str, request: Item) -> Iterator[Ask]:
    del operation
    for entry in request.get("TransactItems") or ():
        for kind, part in entry.items():
            if part is not None:
                items = [part.get("Item") or part.get("Key")]
                yield _asked(core, _ENTRIES[kind], part.get("TableName"), items)


def _of_statements(core: Core, operation: str, request: Item) -> Iterator[Ask]:
    del operation
    entries = request.get("Statements") or request.get("TransactStatements") or [request]
    for entry in entries:
        try:
            statement = parsed(entry.get("Statement") or "")
        except Refusal:
            continue  # it is answered with that, and the others with what they find
        resource = _arn(core, statement.table)
        if statement.of_index is not None:
            resource += f"/index/{statement.of_index}"
        yield Ask(f"dynamodb:{_STATEMENTS[statement.kind]}", resource, {})


def _of_records(core: Core, operation: str, request: Item) -> Iterator[Ask]:
    del core
    yield Ask(f"dynamodb:{operation}", iterated(request["ShardIterator"])[0], {})


_ENTRIES: Final = {
    "Get": "GetItem",
    "Put": "PutItem",
    "Update": "UpdateItem",
    "Delete": "DeleteItem",
    "ConditionCheck": "ConditionCheckItem",
}
_STATEMENTS: Final = {
    "SELECT": "PartiQLSelect",
    "INSERT": "PartiQLInsert",
    "UPDATE": "PartiQLUpdate",
    "DELETE": "PartiQLDelete",
    "EXISTS": "PartiQLSelect",
}
_ASKS: Final[dict[str, Callable[[Core, str, Item], Iterator[Ask]]]] = {
    "GetItem": _of_key,
    "PutItem": _of_key,
    "UpdateItem": _of_key,
    "DeleteItem": _of_key,
    "Query": _of_query,
    "Scan": _of_query,
    "BatchGetItem": _of_batch_get,
    "BatchWriteItem": _of_batch_write,
    "TransactGetItems": _of_transaction,
    "TransactWriteItems": _of_transaction,
    "GetRecords": _of_records,
    "ExecuteStatement": _of_statements,
    "BatchExecuteStatement": _of_statements,
    "ExecuteTransaction": _of_statements,
}

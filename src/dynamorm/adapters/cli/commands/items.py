"""``get``, ``put``, ``delete``, ``query`` and ``scan``: items as they are stored, or as a model says with ``--models``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Annotated, Any, Final

import typer
from msgspec.json import decode, encode

from dynamorm.errors import ConditionFailed, MissingItem

from ..command import command
from ..ends import Code, Stop
from ..plain import NotAnItem, item_of, key_value, text_of
from ..settings import Settings, Table
from ..typed import Typed

TABLE = Annotated[str, typer.Argument(metavar="TABLE", help="the name of a table, or of a model", show_default=False)]
PK = Annotated[str, typer.Argument(metavar="PK", help="the partition key", show_default=False)]
SK = Annotated[str | None, typer.Argument(metavar="[SK]", help="the sort key", show_default=False)]
CONSISTENT = Annotated[bool, typer.Option("--consistent", help="read the latest state, at twice the cost")]
LIMIT = Annotated[int | None, typer.Option("--limit", min=1, help="at most so many items", show_default=False)]
INDEX = Annotated[str | None, typer.Option("--index", help="read this index", show_default=False)]
DYNAMODB = Annotated[bool, typer.Option("--dynamodb-json", help='items with their types, {"id": {"S": "p1"}}')]
YES = Annotated[bool, typer.Option("--yes", help="do it without asking")]

_FINAL: Final = "give --yes: what is deleted is gone"


def add(app: typer.Typer) -> None:
    """Add the commands."""
    command(app, "get")(get)
    command(app, "put")(put)
    command(app, "delete")(delete)
    command(app, "query")(query)
    command(app, "scan")(scan)


def get(
    settings: Settings,
    *,
    table: TABLE,
    pk: PK,
    sk: SK = None,
    consistent: CONSISTENT = False,
    dynamodb_json: DYNAMODB = False,
) -> None:
    """Show one item. Exit code 3 where there is none."""
    model = settings.model(table)
    if model is not None:
        typed = Typed(settings.db, model)
        found = settings.db.get(model, *typed.key(pk, sk), consistent=consistent)
        if found is None:
            raise _missing(table)
        settings.out.raw(typed.text(found))
        return
    raw = settings.table(table)
    item = raw.run(raw.raw.get(key_of(raw, pk, sk), consistent=consistent))
    if item is None:
        raise _missing(table)
    settings.out.raw(shown(item, dynamodb_json=dynamodb_json))


def put(
    settings: Settings,
    *,
    table: TABLE,
    item: Annotated[
        str,
        typer.Argument(
            metavar="ITEM_JSON",
            help="the item as JSON, plain or with DynamoDB's types; - reads it from the input",
            show_default=False,
        ),
    ],
    if_absent: Annotated[bool, typer.Option("--if-absent", help="refuse to replace an item")] = False,
) -> None:
    """Store an item, in place of what is there; with --models and a version, change the one that has this version."""
    text = sys.stdin.read() if item == "-" else item
    model = settings.model(table)
    try:
        if model is not None:
            Typed(settings.db, model).store(text, if_absent=if_absent)
            return
        raw = settings.table(table)
        wire = item_of(text, raw.keys)
    except NotAnItem as error:
        hint = "; - in place of the item reads it from the input" if item != "-" and "JSON" in str(error) else ""
        raise Stop(Code.REFUSED, f"{error}: nothing was stored{hint}") from None
    if not if_absent:
        raw.run(raw.raw.put(encode(wire)))
    elif raw.run(raw.raw.put_absent(encode(wire), raw.shape.partition)) is not None:
        raise ConditionFailed("there is an item with this key; without --if-absent it is replaced")


def delete(settings: Settings, *, table: TABLE, pk: PK, sk: SK = None, yes: YES = False) -> None:
    """Delete one item. Exit code 3 where there was none."""
    if not yes:
        raise Stop(Code.USAGE, _FINAL)
    model = settings.model(table)
    if model is not None:
        typed = Typed(settings.db, model)
        try:
            settings.db.delete(model, *typed.key(pk, sk), must_exist=True)
        except MissingItem:
            raise _missing(table) from None
        return
    raw = settings.table(table)
    if not raw.run(raw.raw.delete(key_of(raw, pk, sk), raw.shape.partition)):
        raise _missing(table)


def query(
    settings: Settings,
    *,
    table: TABLE,
    pk: PK,
    index: INDEX = None,
    begins: Annotated[
        str | None, typer.Option("--begins", help="the text that the sort key begins with", show_default=False)
    ] = None,
    desc: Annotated[bool, typer.Option("--desc", help="the last sort key first")] = False,
    limit: LIMIT = None,
    consistent: CONSISTENT = False,
    dynamodb_json: DYNAMODB = False,
) -> None:
    """Show the items of one partition, of the table or of an index."""
    model = settings.model(table)
    if model is not None:
        typed = Typed(settings.db, model)
        found = typed.query(pk, index=index, begins=begins, desc=desc, limit=limit, consistent=consistent)
        for obj in found:
            settings.out.raw(typed.text(obj))
        return
    raw = settings.table(table)
    said = _key_condition(raw, pk, index, begins)
    said |= {"ScanIndexForward": False} if desc else {}
    _show(settings, raw, "Query", said, index=index, limit=limit, consistent=consistent, dynamodb_json=dynamodb_json)


def scan(
    settings: Settings,
    *,
    table: TABLE,
    index: INDEX = None,
    limit: LIMIT = None,
    consistent: CONSISTENT = False,
    dynamodb_json: DYNAMODB = False,
) -> None:
    """Show all items of a table or an index. A scan is no snapshot: what changes meanwhile is shown old or new."""
    model = settings.model(table)
    if model is not None:
        typed = Typed(settings.db, model)
        for obj in typed.scan(index=index, limit=limit, consistent=consistent):
            settings.out.raw(typed.text(obj))
        return
    raw = settings.table(table)
    _show(settings, raw, "Scan", {}, index=index, limit=limit, consistent=consistent, dynamodb_json=dynamodb_json)


def _show(
    settings: Settings,
    raw: Table,
    operation: str,
    said: dict[str, Any],
    *,
    index: str | None,
    limit: int | None,
    consistent: bool,
    dynamodb_json: bool,
) -> None:
    said |= {"IndexName": index} if index else {}
    said |= {"ConsistentRead": True} if consistent else {}
    for item in items_of(raw, operation, said, limit):
        settings.out.raw(shown(item, dynamodb_json=dynamodb_json))


def items_of(raw: Table, operation: str, said: dict[str, Any], limit: int | None) -> Iterator[bytes]:
    """The JSON of the items that a Query or a Scan finds, page after page."""
    left, start = limit, None
    while True:
        page = raw.run(raw.raw.page(operation, said if left is None else said | {"Limit": left}, start))
        for item in page.raws:
            yield item
            if left is not None:
                left -= 1
                if left == 0:
                    return
        start = page.last_key
        if start is None:
            return


def shown(item: bytes, *, dynamodb_json: bool) -> bytes:
    """An item as it is shown."""
    return item if dynamodb_json else text_of(decode(item))


def key_of(raw: Table, pk: str, sk: str | None) -> bytes:
    """The JSON of a key that was typed. Raises: Stop for one that does not fit the table."""
    shape = raw.shape
    if (shape.sort is None) != (sk is None):
        need = "no sort key: leave SK out" if shape.sort is None else f"a sort key, {shape.sort!r}: give SK"
        raise Stop(Code.USAGE, f"table {raw.name!r} has {need}")
    try:
        key = {shape.partition: key_value(pk, shape.key_types[shape.partition], shape.partition)}
        if sk is not None:
            key[shape.sort] = key_value(sk, shape.key_types[shape.sort], shape.sort)
    except NotAnItem as error:
        raise Stop(Code.USAGE, str(error)) from None
    return encode(key)


def _key_condition(raw: Table, pk: str, index: str | None, begins: str | None) -> dict[str, Any]:
    shape = raw.shape
    found = None if index is None else shape.indexes.get(index)
    if index is not None and found is None:
        others = ", ".join(sorted(shape.indexes)) or "none"
        raise Stop(Code.NOT_FOUND, f"table {raw.name!r} has no index {index!r}: it has {others}")
    partition = shape.partition if found is None else found.partition[0]
    if found is not None and len(found.partition) > 1:
        raise Stop(Code.USAGE, f"the index {index!r} has a partition key of several attributes: use --models")
    sort = shape.sort if found is None else next(iter(found.sort), None)
    try:
        names: dict[str, str] = {"#p": partition}
        values: dict[str, Any] = {":p": key_value(pk, shape.key_types[partition], partition)}
        text = "#p = :p"
        if begins is not None:
            if sort is None or shape.key_types[sort] == "N":
                raise Stop(Code.USAGE, "--begins is for a sort key that is a text, or bytes")
            names["#s"], values[":s"] = sort, key_value(begins, shape.key_types[sort], sort)
            text += " AND begins_with(#s, :s)"
    except NotAnItem as error:
        raise Stop(Code.USAGE, str(error)) from None
    return {
        "KeyConditionExpression": text,
        "ExpressionAttributeNames": names,
        "ExpressionAttributeValues": values,
    }


def _missing(table: str) -> Stop:
    return Stop(Code.NOT_FOUND, f"there is no item with this key in {table!r}")

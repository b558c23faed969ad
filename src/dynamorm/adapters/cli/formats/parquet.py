"""Parquet, through pyarrow: a column for each attribute and type. What Parquet has no type for is JSON in a text.

Whole numbers of 64 bits are int64, those that a double holds exactly are doubles, and others texts: no digit is lost. The type
that DynamoDB has is in the metadata of each column; of files of others it follows from the column's own.
"""

from __future__ import annotations

import os
from base64 import b64decode, b64encode
from collections.abc import Iterator
from datetime import date, time
from decimal import Decimal
from pathlib import Path
from typing import Any, ClassVar, Final

from dynamorm.models.schema.overriding import override

from ..ends import Code, Stop
from ..plain import NotAnItem, Wire
from ..private import new_file
from .cells import cell_of, wire_in
from .columns import columns_of, number_text, number_type
from .format import File, Key, Parts
from .jsonl import MANY
from .manifest import Column, Facts, Manifest, digest_of

_ROWS: Final = 10_000
_BYTES: Final = 16 * 1024 * 1024
_TYPE: Final = b"dynamodb"
_NAME: Final = b"attribute"


def arrow() -> Any:
    """Pyarrow with its Parquet. Raises: Stop where it is not installed."""
    try:
        import pyarrow as pa
        import pyarrow.parquet  # pyright: ignore[reportUnusedImport]  # it is reached through `pa`
    except ImportError:
        raise Stop(Code.USAGE, "this format needs pyarrow: pip install 'dynamorm-py[parquet]'") from None
    return pa


def _write(path: Path, items: Iterator[dict[str, Wire]], facts: Facts) -> Manifest:
    """Write the file of all items, some thousands at a time."""
    pa = arrow()
    seen = facts["columns"]
    columns = columns_of(seen, with_null=True)
    kinds = {"int": pa.int64(), "float": pa.float64(), "text": pa.string()}
    types = {"S": pa.string(), "B": pa.binary(), "BOOL": pa.bool_(), "NULL": pa.bool_()}
    schema = pa.schema(
        [
            pa.field(
                one.head,
                kinds[number_type(seen[one.name]["N"])] if one.type == "N" else types.get(one.type, pa.string()),
                metadata={_TYPE: one.type.encode(), _NAME: one.name.encode()},
            )
            for one in columns
        ]
    )
    made = path.with_name(f"{path.name}.partial")
    with new_file(made) as file, pa.parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        for rows in _groups(items):
            arrays = [
                pa.array(_values(rows, one, seen), field.type) for one, field in zip(columns, schema, strict=True)
            ]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))
    _sync(made)
    manifest = Manifest(
        format=Parquet.name,
        table=facts["table"],
        items=facts["items"],
        bytes=made.stat().st_size,
        md5=digest_of(made),
        columns=columns,
    )
    made.replace(path)
    return manifest


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _groups(items: Iterator[dict[str, Wire]]) -> Iterator[list[dict[str, Wire]]]:
    rows: list[dict[str, Wire]] = []
    size = 0
    for item in items:
        rows.append(item)
        size += 64 + sum(len(str(wire)) for wire in item.values() if wire.keys() & {"S", "B", "M", "L"})
        if len(rows) >= _ROWS or size > _BYTES:
            yield rows
            rows, size = [], 0
    if rows:
        yield rows


def _values(rows: list[dict[str, Wire]], column: Column, seen: dict[str, dict[str, str]]) -> list[Any]:
    name, tag = column.name, column.type
    found = [wire.get(tag) if (wire := row.get(name)) else None for row in rows]
    if tag in {"S", "BOOL", "NULL"}:
        return found
    if tag == "N":
        make: Any = {"int": int, "float": float, "text": str}[number_type(seen[name]["N"])]
        return [None if value is None else make(value) for value in found]
    if tag == "B":
        return [None if value is None else b64decode(value) for value in found]
    return [None if value is None else cell_of(tag, value) for value in found]


class Rows:
    """The items of a file. Raises: Stop for what is no Parquet."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fields = [_field(field) for field in self._open().schema_arrow]

    def _open(self) -> Any:
        pa = arrow()
        try:
            return pa.parquet.ParquetFile(self._path)
        except (pa.ArrowInvalid, pa.ArrowException):
            raise Stop(Code.REFUSED, f"{self._path} is no Parquet file, or not the whole of one") from None

    def raw(self) -> Iterator[tuple[int, Any]]:
        """The rows, some at a time: how many, and these. Raises: Stop."""
        pa, file = arrow(), self._open()
        try:
            for batch in file.iter_batches(batch_size=MANY):
                yield batch.num_rows, batch
        except (pa.ArrowException, OSError):
            raise Stop(Code.REFUSED, f"{self._path} is damaged: fetch it again") from None

    def items(self, raw: Any) -> Iterator[dict[str, Wire] | NotAnItem]:
        """The items of some rows."""
        columns = [raw.column(at).to_pylist() for at in range(raw.num_columns)]
        for at in range(raw.num_rows):
            yield _row([column[at] for column in columns], self._fields)


def _field(field: Any) -> tuple[str, str]:
    said = field.metadata or {}
    return said.get(_NAME, field.name.encode()).decode(), said.get(_TYPE, b"").decode()


def _row(values: list[Any], fields: list[tuple[str, str]]) -> dict[str, Wire] | NotAnItem:
    item: dict[str, Wire] = {}
    try:
        for (name, tag), value in zip(fields, values, strict=True):
            if value is not None:
                item[name] = _wire(tag, value, name)
    except NotAnItem as error:
        return error
    return item


def _wire(tag: str, value: Any, name: str) -> Wire:
    if not tag:
        return _natural(value, name)
    if tag == "N":
        return {"N": number_text(value) if isinstance(value, float) else str(value)}
    if tag == "B":
        return {"B": b64encode(value).decode()}
    return {tag: value} if tag in {"S", "BOOL", "NULL"} else wire_in(tag, value, name)


def _natural(value: Any, name: str) -> Wire:
    """The value of a column that another program has written."""
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, (int, Decimal)):
        return {"N": str(value)}
    if isinstance(value, float):
        if value != value or value in {float("inf"), float("-inf")}:  # noqa: PLR0124 - the number that is none
            raise NotAnItem(f"the attribute {name[:60]!r} is no finite number")
        return {"N": number_text(value)}
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, bytes):
        return {"B": b64encode(value).decode()}
    if isinstance(value, (date, time)):  # a datetime, too
        return {"S": value.isoformat()}
    if isinstance(value, list):
        return {"L": [{"NULL": True} if one is None else _natural(one, name) for one in value]}
    if isinstance(value, dict):
        return {"M": {str(key): _natural(one, name) for key, one in value.items() if one is not None}}
    raise NotAnItem(f"the attribute {name[:60]!r} is of a type that DynamoDB does not have")


class Parquet(File):
    """Of its parts come the columns first."""

    name = "parquet"
    suffixes: ClassVar[tuple[str, ...]] = (".parquet",)
    columns = True

    @override
    def ready(self) -> None:
        arrow()

    @override
    def write(self, path: Path, parts: Parts, facts: Facts) -> Manifest:
        return _write(path, parts.items(), facts)

    @override
    def source(self, path: Path, manifest: Manifest | None, key: Key) -> Rows:
        return Rows(path)

r"""CSV: a column for each attribute. Quotes tell ``""``, an empty text, from nothing, which is absent.

``\N`` without quotes is NULL. Texts and names are written as they are; ``safe`` puts a ``'`` before those that a spreadsheet would
take for formulas (and before those that begin with one), which a manifest lets the reader take away again.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Final

from dynamorm.models.schema.overriding import override

from ..ends import Code, Stop
from ..plain import NotAnItem, Wire
from .cells import cell_of, wire_in
from .columns import column_of, columns_of, tag_of
from .format import File, Key, Parts
from .jsonl import grouped
from .manifest import Column, Facts, Manifest, write_whole

NULL: Final = "\\N"
_QUOTED: Final = re.compile(r'[",\r\n]|^\s|\s$')
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "'")
_CELL: Final = re.compile(r'(?:"((?:[^"]|"")*)"|([^",]*))(,|$)', re.DOTALL)
_LONGEST: Final = 64 * 1024 * 1024


def _write(path: Path, items: Iterator[dict[str, Wire]], facts: Facts) -> Manifest:
    columns = columns_of(facts["columns"], with_null=False)
    places: dict[tuple[str, str], int] = {(one.name, one.type): at for at, one in enumerate(columns)}
    first = {one.name: at for at, one in reversed(list(enumerate(columns)))}
    safe = bool(facts["safe_spreadsheet"])

    def lines() -> Iterator[bytes]:
        yield (",".join(_text(one.head, safe=safe) for one in columns) + "\n").encode()
        for item in items:
            row = [""] * len(columns)
            for name, wire in item.items():
                tag, value = tag_of(wire)
                if tag == "NULL":
                    row[places.get((name, tag), first[name])] = NULL
                else:
                    text = cell_of(tag, value)
                    row[places[name, tag]] = _text(text, safe=safe and tag == "S")
            yield (",".join(row) + "\n").encode()

    written = write_whole(path, lines())
    return Manifest(
        format=Csv.name,
        table=facts["table"],
        items=facts["items"],
        bytes=written.bytes,
        md5=written.md5,
        columns=columns,
        safe_spreadsheet=safe,
    )


def _text(text: str, *, safe: bool) -> str:
    if safe and text.startswith(_FORMULA):
        text = "'" + text
    if not text or text == NULL:
        return f'"{text}"'
    return _quoted(text)


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"' if _QUOTED.search(text) else text


class Records:
    """The items of a file. ``types`` are those of attributes where the file does not tell: the key's, say.

    Raises: Stop for what has no heads, or the same one twice.
    """

    def __init__(self, path: Path, manifest: Manifest | None, types: Mapping[str, str]) -> None:
        self._path = path
        heads = next(_records(path), None)
        if heads is None:
            raise Stop(Code.REFUSED, f"{path} is empty: a CSV file begins with the names of its columns")
        known = {one.head: one for one in manifest.columns} if manifest is not None else {}
        self._safe = manifest is not None and manifest.safe_spreadsheet
        try:
            names = [text.removeprefix("'") if self._safe else text for _, text in _cells(heads, 0)]
        except NotAnItem as error:
            raise Stop(Code.REFUSED, f"{path} begins with no names of columns: {error}") from None
        self._columns = [known.get(text) or column_of(text, types) for text in names]
        double = {one.head for one in self._columns if sum(one.head == other.head for other in self._columns) > 1}
        if double:
            raise Stop(Code.REFUSED, f"{path} has two columns {min(double)!r}: name each attribute once")

    def raw(self) -> Iterator[tuple[int, Any]]:
        """The records behind the heads, some at a time: how many, and these."""
        records = _records(self._path)
        next(records)
        return grouped(records, len)

    def items(self, raw: list[str]) -> Iterator[dict[str, Wire] | NotAnItem]:
        """The items of some records."""
        for record in raw:
            try:
                yield _item(record, self._columns, safe=self._safe)
            except NotAnItem as error:
                yield error


def _item(record: str, columns: list[Column], *, safe: bool) -> dict[str, Wire]:
    cells = _cells(record, len(columns))
    if len(cells) != len(columns):
        raise NotAnItem(f"it has {len(cells)} cells, and there are {len(columns)} columns")
    item: dict[str, Wire] = {}
    for column, (quoted, text) in zip(columns, cells, strict=True):
        if not quoted and not text:
            continue
        if column.name in item:
            raise NotAnItem(f"the attribute {column.name[:60]!r} has values in two columns")
        if not quoted and text == NULL:
            item[column.name] = {"NULL": True}
            continue
        if safe and column.type == "S" and text.startswith("'"):
            text = text[1:]  # noqa: PLW2901 - the same cell
        item[column.name] = wire_in(column.type, text, column.name)
    return item


def _cells(record: str, most: int) -> list[tuple[bool, str]]:
    """The cells of a record: whether each is quoted, and its text."""
    if '"' not in record:
        return [(False, text) for text in record.split(",")]
    cells: list[tuple[bool, str]] = []
    at = 0
    while True:
        found = _CELL.match(record, at)
        if found is None:
            raise NotAnItem("a quote stands where none may be")
        quoted, plain, end = found.groups()
        cells.append((False, plain) if quoted is None else (True, quoted.replace('""', '"')))
        at = found.end()
        if not end:
            return cells
        if most and len(cells) > most:
            raise NotAnItem(f"it has more than {most} cells")


def _records(path: Path) -> Iterator[str]:
    """The records of a file; one in whose quotes there are line ends has several lines. Raises: Stop."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines: list[str] = []  # of a record whose quote is open
            length, is_open = 0, False
            for line in iter(partial(file.readline, _LONGEST + 1), ""):
                lines.append(line)
                length += len(line)
                is_open ^= line.count('"') % 2 == 1
                if length > _LONGEST:
                    what = "a quote that is not closed" if is_open else "a line that is too long"
                    raise Stop(Code.REFUSED, f"{path} has {what}")
                if is_open:
                    continue
                record = "".join(lines).removesuffix("\n").removesuffix("\r")
                lines, length = [], 0
                if record:
                    yield record
            if lines:
                raise Stop(Code.REFUSED, f"{path} has a quote that is not closed")
    except UnicodeDecodeError:
        raise Stop(Code.REFUSED, f"{path} is no text in UTF-8: convert it") from None


class Csv(File):
    """Of its parts come the heads first: every attribute, once for each of its types."""

    name = "csv"
    suffixes: ClassVar[tuple[str, ...]] = (".csv",)
    columns = True

    @override
    def write(self, path: Path, parts: Parts, facts: Facts) -> Manifest:
        return _write(path, parts.items(), facts)

    @override
    def source(self, path: Path, manifest: Manifest | None, key: Key) -> Records:
        return Records(path, manifest, key.types)

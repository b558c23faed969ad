"""JSON Lines: one item in plain JSON on each line. See `dynamorm.adapters.cli.plain`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar, TypeVar

from dynamorm.codec.strict import PageJson
from dynamorm.models.schema.overriding import override

from ..ends import Code, Stop
from ..plain import NotAnItem, Wire, item_of, text_of
from .format import File, Key, Parts
from .manifest import Facts, Manifest, write_whole

LONGEST = 16 * 1024 * 1024
"""Bytes of a line: an item has 400 KB, and may be written with escapes."""
MANY = 250
"""Items that a worker is given at once: ten batches of puts."""
LARGE = 1 << 20


T = TypeVar("T", bound="bytes | str")


def grouped(records: Iterator[T], size: Callable[[T], int]) -> Iterator[tuple[int, list[T]]]:
    """Records, so many at a time that a worker is not asked too often, and a chunk is not too large: how many, and these."""
    some: list[T] = []
    total = 0
    for record in records:
        some.append(record)
        total += size(record)
        if len(some) == MANY or total > LARGE:
            yield len(some), some
            some, total = [], 0
    if some:
        yield len(some), some


class Lines:
    """The items of a file. ``keys`` are the names of the table's key."""

    def __init__(self, path: Path, keys: tuple[str, ...]) -> None:
        self._path = path
        self._keys = keys

    def records(self) -> Iterator[bytes]:
        """The lines that are not empty. Raises: Stop for one that is too long to be one."""
        with self._path.open("rb") as file:
            while line := file.readline(LONGEST + 1):
                if len(line) > LONGEST:
                    raise Stop(
                        Code.REFUSED, f"{self._path} has a line of more than {LONGEST >> 20} MB: is it JSON Lines?"
                    )
                if not line.isspace():
                    yield line

    def raw(self) -> Iterator[tuple[int, Any]]:
        """The lines, some at a time: how many, and these."""
        return grouped(self.records(), len)

    def items(self, raw: list[bytes]) -> Iterator[dict[str, Wire] | NotAnItem]:
        """The items of some lines."""
        for line in raw:
            try:
                yield item_of(line, self._keys)
            except NotAnItem as error:
                yield error


class JsonLines(File):
    """The lines of its parts are those of the file."""

    name = "jsonl"
    suffixes: ClassVar[tuple[str, ...]] = (".jsonl", ".ndjson")
    from_pipe = True

    @override
    def lines(self, page: PageJson) -> bytes:
        return b"".join([text_of(item) + b"\n" for item in page.items])

    @override
    def write(self, path: Path, parts: Parts, facts: Facts) -> Manifest:
        written = write_whole(path, parts.blocks())
        return Manifest(
            format=self.name, table=facts["table"], items=facts["items"], bytes=written.bytes, md5=written.md5
        )

    @override
    def source(self, path: Path, manifest: Manifest | None, key: Key) -> Lines:
        return Lines(path, key.names)

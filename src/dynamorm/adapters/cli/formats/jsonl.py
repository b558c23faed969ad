"""JSON Lines: one item in plain JSON on each line. See `dynamorm.adapters.cli.plain`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..ends import Code, Stop
from ..plain import NotAnItem, Wire, item_of
from .manifest import Facts, Manifest, write_whole

LONGEST = 16 * 1024 * 1024
"""Bytes of a line: an item has 400 KB, and may be written with escapes."""


def finish(path: Path, blocks: Iterator[bytes], facts: Facts) -> Manifest:
    """Write the file of all parts, whose lines are those of the file."""
    written = write_whole(path, blocks)
    return Manifest(format="jsonl", table=facts["table"], items=facts["items"], bytes=written.bytes, md5=written.md5)


def read(path: Path, keys: tuple[str, ...]) -> Iterator[dict[str, Wire] | NotAnItem]:
    """The items of a file. Raises: Stop for a line that is too long to be one."""
    with path.open("rb") as file:
        while line := file.readline(LONGEST + 1):
            if len(line) > LONGEST:
                raise Stop(Code.REFUSED, f"{path} has a line of more than {LONGEST >> 20} MB: is it JSON Lines?")
            if line.isspace():
                continue
            try:
                yield item_of(line, keys)
            except NotAnItem as error:
                yield error

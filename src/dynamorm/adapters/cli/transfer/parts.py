"""The parts of an export: each holds the pages of one segment, and counts once its checkpoint line is on the disk."""

from __future__ import annotations

import gzip
import os
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec

from dynamorm.codec.strict import PageJson

from ..ends import Code, Stop
from ..formats.columns import Seen, see
from ..plain import Wire, text_of
from .checkpoint import Checkpoint, sync_folder

_LARGEST: Final = 16 * 1024 * 1024
_LONGEST: Final = 5.0
_BLOCK: Final = 1 << 20


class Style:
    """How the lines of parts are written, and whether columns are looked for."""

    def __init__(self, name: str) -> None:
        self.name: str = name
        self.columns: bool = name in {"csv", "parquet"}
        self.packed: bool = name == "dynamodb-json"
        self.suffix: str = ".json.gz" if self.packed else ".part"

    def lines(self, page: PageJson) -> bytes:
        """The lines of the items of a page."""
        if self.name == "jsonl":
            return b"".join([text_of(item) + b"\n" for item in page.items])
        if self.packed:
            return b"".join([b'{"Item":' + raw + b"}\n" for raw in page.raws])
        return b"".join([raw + b"\n" for raw in page.raws])


class _Counted:
    """A file on the disk: what goes into it is counted, and has a checksum."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.bytes = self.crc = 0

    def write(self, block: bytes) -> int:
        self.crc = zlib.crc32(block, self.crc)
        self.bytes += len(block)
        return self.file.write(block)

    def flush(self) -> None:
        self.file.flush()


class Writer:
    """Writes the parts of one segment, of which ``number`` is the next."""

    def __init__(self, folder: Path, style: Style, checkpoint: Checkpoint, segment: int, number: int) -> None:
        self._folder = folder
        self._style = style
        self._checkpoint = checkpoint
        self._segment = segment
        self._number = number
        self._file: Any = None
        self._lines: Any = None
        self._began = 0.0
        self._items = self._read = 0
        self._seen: Seen = {}

    @property
    def is_open(self) -> bool:
        """Whether there is a part that does not count yet."""
        return self._file is not None

    def add(self, page: PageJson) -> None:
        """Write a page; the part is closed, and counts, when it is large or old enough, or the last."""
        if self._file is None:
            self._open()
        block = self._style.lines(page)
        self._lines.write(block)
        self._items += page.count
        self._read += len(block)
        if self._style.columns:
            for item in page.items:
                see(self._seen, item)
        if page.last_key is None or self._read > _LARGEST or time.monotonic() - self._began > _LONGEST:
            self.close(page.last_key)

    def _open(self) -> None:
        self._file = _Counted((self._folder / self._name()).open("wb"))
        self._lines = gzip.GzipFile(fileobj=self._file, mode="wb", mtime=0) if self._style.packed else self._file
        self._began = time.monotonic()
        self._items = self._read = 0
        self._seen = {}

    def _name(self) -> str:
        return f"s{self._segment:05d}-{self._number:06d}{self._style.suffix}"

    def close(self, last_key: bytes | None) -> None:
        """End the part that is open behind a page, whose last key is this one."""
        counted, self._file = self._file, None
        if self._style.packed:
            self._lines.close()
        counted.flush()
        os.fsync(counted.file.fileno())
        counted.file.close()
        sync_folder(self._folder)
        self._checkpoint.add(
            {
                "segment": self._segment,
                "part": self._name(),
                "key": None if last_key is None else msgspec.Raw(last_key),
                "items": self._items,
                "bytes": counted.bytes,
                "crc": counted.crc,
                **({"columns": self._seen} if self._style.columns else {}),
            }
        )
        self._number += 1

    def drop(self) -> None:
        """Leave the part that is open: it does not count."""
        if self._file is not None:
            self._file.file.close()
            self._file = None


def blocks_of(folder: Path, lines: list[dict[str, Any]]) -> Iterator[bytes]:
    """The bytes of finished parts. Raises: Stop for one that is not what its checkpoint line says."""
    for line in lines:
        path, crc, size = folder / line["part"], 0, 0
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                crc, size = zlib.crc32(block, crc), size + len(block)
                yield block
        if (crc, size) != (line["crc"], line["bytes"]):
            raise Stop(Code.REFUSED, f"{path} was changed since it was written: give --restart to begin anew")


def items_of(folder: Path, lines: list[dict[str, Any]]) -> Iterator[dict[str, Wire]]:
    """The items of finished parts, one by one."""
    decode = msgspec.json.Decoder().decode
    rest = b""
    for block in blocks_of(folder, lines):
        *whole, rest = (rest + block).split(b"\n")
        for line in whole:
            yield decode(line)

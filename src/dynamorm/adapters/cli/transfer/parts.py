"""The parts of an export: each holds pages of one segment, and counts once its checkpoint line is on the disk."""

from __future__ import annotations

import gzip
import os
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import Any, BinaryIO, Final

import msgspec

from dynamorm.codec.strict import PageJson

from ..ends import Code, Stop
from ..formats.columns import Seen, see
from ..formats.format import Format
from ..plain import Wire
from ..private import new_file
from .checkpoint import sync_folder

_LARGEST: Final = 16 * 1024 * 1024
_LONGEST: Final = 5.0
_BLOCK: Final = 1 << 20


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


class Part:
    """The part of a segment that is being written, the ``number``-th of it. Its name is its own, whoever tries it once more."""

    def __init__(self, folder: Path, form: Format, segment: int, number: int) -> None:
        self._folder = folder
        self._form = form
        self._name = f"s{segment:05d}-{number:06d}-{token_hex(4)}{form.ending}"
        self._file = _Counted(new_file(folder / self._name))
        self._lines: Any = gzip.GzipFile(fileobj=self._file, mode="wb", mtime=0) if form.packed else self._file
        self._began = time.monotonic()
        self._read = 0
        self._seen: Seen = {}
        self.items: int = 0

    def add(self, page: PageJson) -> None:
        """Write a page."""
        block = self._form.lines(page)
        self._lines.write(block)
        self.items += page.count
        self._read += len(block)
        if self._form.columns:
            for item in page.items:
                see(self._seen, item)

    @property
    def is_full(self) -> bool:
        """Whether it is large or old enough."""
        return self._read > _LARGEST or time.monotonic() - self._began > _LONGEST

    def close(self) -> dict[str, Any]:
        """Put it on the disk. Returns what its checkpoint line says of it."""
        if self._form.packed:
            self._lines.close()
        self._file.flush()
        os.fsync(self._file.file.fileno())
        self._file.file.close()
        sync_folder(self._folder)
        return {
            "part": self._name,
            "items": self.items,
            "bytes": self._file.bytes,
            "crc": self._file.crc,
            **({"columns": self._seen} if self._form.columns else {}),
        }

    def drop(self) -> None:
        """Leave it: it does not count."""
        with suppress(OSError):  # of a disk that is full
            self._file.file.close()
        (self._folder / self._name).unlink(missing_ok=True)


class Finished:
    """The finished parts of an export in a folder, by their checkpoint lines."""

    def __init__(self, folder: Path, lines: list[dict[str, Any]]) -> None:
        self.folder: Path = folder
        self.lines: list[dict[str, Any]] = lines

    def blocks(self) -> Iterator[bytes]:
        """Their bytes. Raises: Stop for one that is not what its checkpoint line says."""
        for line in self.lines:
            path, crc, size = self.folder / line["part"], 0, 0
            with path.open("rb") as file:
                while block := file.read(_BLOCK):
                    crc, size = zlib.crc32(block, crc), size + len(block)
                    yield block
            if (crc, size) != (line["crc"], line["bytes"]):
                raise Stop(Code.REFUSED, f"{path} was changed since it was written: give --restart to begin anew")

    def items(self) -> Iterator[dict[str, Wire]]:
        """Their items, one by one."""
        decode = msgspec.json.Decoder().decode
        rest = b""
        for block in self.blocks():
            *whole, rest = (rest + block).split(b"\n")
            for line in whole:
                yield decode(line)

"""What stands beside an exported file: how many items it has, its digest, and what its columns are."""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Iterable
from hashlib import md5
from pathlib import Path
from typing import Any, BinaryIO, Final

import msgspec

from ..ends import Code, Stop
from ..private import new_file

_BLOCK: Final = 1 << 20


NO_JSON: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""What is raised for a text that is no JSON, or not of its form; the last one for what is nested too deeply."""


class Column(msgspec.Struct, frozen=True):
    """One column: the attribute, the type of its values, and its head."""

    name: str
    type: str
    head: str


class Manifest(msgspec.Struct, kw_only=True):
    """What is said of an exported file. ``md5`` is that of the file, in base64 as S3 has it.

    ``keys`` are the attributes of the table's key: no two items of the file have the same.
    """

    format: str
    table: str
    items: int
    bytes: int
    md5: str
    columns: list[Column] = []
    safe_spreadsheet: bool = False
    keys: list[str] = []
    version: int = 1


def manifest_path(path: Path) -> Path:
    """Where the manifest of a file is."""
    return path.with_name(f"{path.name}.manifest.json")


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Write the manifest of a file, whole or not at all."""
    target = manifest_path(path)
    write_whole(target, [msgspec.json.format(msgspec.json.encode(manifest)), b"\n"])


def read_manifest(path: Path) -> Manifest | None:
    """The manifest of a file; None where it has none. Raises: Stop for one that cannot be read."""
    source = manifest_path(path)
    if not source.exists():
        return None
    try:
        return msgspec.json.decode(source.read_bytes(), type=Manifest)
    except NO_JSON:
        raise Stop(Code.REFUSED, f"{source} is no manifest: remove it to read the file without one") from None


def check_file(path: Path, manifest: Manifest) -> None:
    """Raises: Stop where a file is not the one that its manifest is about."""
    if path.stat().st_size != manifest.bytes or digest_of(path) != manifest.md5:
        raise Stop(
            Code.REFUSED,
            f"{path} is not what its manifest says: nothing was stored; fetch it again, or remove {manifest_path(path)}",
        )


def digest_of(path: Path) -> str:
    """The MD5 of a file, in base64."""
    digest = md5(usedforsecurity=False)
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return b64encode(digest.digest()).decode()


class Digested:
    """A file that is being written: counts and digests what goes into it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._md5 = md5(usedforsecurity=False)
        self.bytes: int = 0

    def write(self, block: bytes) -> int:
        """Write a block."""
        self._md5.update(block)
        self.bytes += len(block)
        return self._file.write(block)

    def flush(self) -> None:
        """Hand everything on."""
        self._file.flush()

    @property
    def md5(self) -> str:
        """The digest of what was written, in base64."""
        return b64encode(self._md5.digest()).decode()


def write_whole(path: Path, blocks: Iterable[bytes]) -> Digested:
    """Write a file under another name, put it on the disk, and give it its name."""
    made = path.with_name(f"{path.name}.partial")
    with new_file(made) as file:
        target = Digested(file)
        for block in blocks:
            target.write(block)
        file.flush()
        os.fsync(file.fileno())
    made.replace(path)
    return target


Facts = dict[str, Any]
"""What is known of all parts: ``items``, ``table``, its ``keys``, ``columns`` by attribute and type, ``safe_spreadsheet``."""

"""What a format is: how pages become the parts of an export, parts a file or a folder, and these become items again."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol

import msgspec

from dynamorm.codec.strict import PageJson
from dynamorm.models.schema.overriding import override

from ..ends import Code, Stop
from ..plain import NotAnItem, Wire
from .manifest import Facts, Manifest, check_file, read_manifest

Item = dict[str, Wire] | NotAnItem


class Source(Protocol):
    """A file of items. It is sent to workers, which make items of what was read."""

    def raw(self) -> Iterator[tuple[int, Any]]:
        """What stands for some items, unread, and how many these are."""
        ...

    def items(self, raw: Any) -> Iterator[Item]:
        """The items of it."""
        ...


class Opened(NamedTuple):
    """A file that is to be imported: its items, how many, where that is known, and whether no two of them have one key."""

    source: Source
    items: int | None
    unique: bool


class Key(NamedTuple):
    """Of the table to which items go: the names of its key, and the types of attributes where the file does not tell them."""

    names: tuple[str, ...]
    types: Mapping[str, str]


class Parts(Protocol):
    """The finished parts of an export, in the order of segments. Each raises Stop for one that was changed."""

    def blocks(self) -> Iterator[bytes]:
        """Their bytes, as they were written."""
        ...

    def items(self) -> Iterator[dict[str, Wire]]:
        """Their items, where their lines are DynamoDB JSON."""
        ...


class Format(ABC):
    """One format of files. Its parts hold lines of DynamoDB JSON, unless it says otherwise."""

    name: ClassVar[str]
    suffixes: ClassVar[tuple[str, ...]] = ()
    """Endings of names that mean it."""
    ending: ClassVar[str] = ".part"
    """How the names of parts end."""
    packed: ClassVar[bool] = False
    """Whether parts are packed by gzip."""
    columns: ClassVar[bool] = False
    """Whether it must know all attributes and their types before it writes the first item."""

    def ready(self) -> None:  # noqa: B027 - most need none
        """Raises: Stop where a library that it needs is not installed."""

    def lines(self, page: PageJson) -> bytes:
        """The lines of the items of a page, in a part."""
        return b"".join([on_one_line(raw) + b"\n" for raw in page.raws])

    @abstractmethod
    def check(self, path: Path) -> None:
        """Raises: Stop for what can be nothing to import."""

    def stat(self, path: Path) -> os.stat_result:
        """Size and time of change: by these a file is known again."""
        return path.stat()

    @abstractmethod
    def opened(self, path: Path, key: Key) -> Opened:
        """A file to import, once all is right that a manifest says of it. Raises: Stop."""


class File(Format):
    """A format of single files, beside which stands a manifest."""

    from_pipe: ClassVar[bool] = False
    """Whether it is read once, from the first byte to the last."""

    @abstractmethod
    def write(self, path: Path, parts: Parts, facts: Facts) -> Manifest:
        """Write the file of all parts."""

    @abstractmethod
    def source(self, path: Path, manifest: Manifest | None, key: Key) -> Source:
        """The items of a file."""

    @override
    def check(self, path: Path) -> None:
        if path.is_dir():
            raise Stop(Code.USAGE, f"{path} is a folder: give another --format")
        if not self.from_pipe and not path.is_file():
            raise Stop(Code.USAGE, f"{path} is no file, and {self.name} is read more than once: save it first")

    @override
    def opened(self, path: Path, key: Key) -> Opened:
        manifest = read_manifest(path)
        if manifest is None:
            return Opened(self.source(path, None, key), None, unique=False)
        if manifest.format != self.name:
            raise Stop(Code.USAGE, f"{path} is {manifest.format}, by its manifest: give --format {manifest.format}")
        check_file(path, manifest)
        unique = bool(manifest.keys) and {*manifest.keys} <= {*key.names}
        return Opened(self.source(path, manifest, key), manifest.items, unique)


def on_one_line(raw: bytes) -> bytes:
    """The JSON of an item; emulators and proxies may send it with line ends between."""
    return msgspec.json.format(raw, indent=-1) if b"\n" in raw or b"\r" in raw else raw

"""Folders as exports to S3 have them: gzip files of lines of DynamoDB JSON or Ion, and manifests with counts and digests.

Source: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/S3DataExport.Output.html
"""

from __future__ import annotations

import gzip
import os
import zlib
from abc import abstractmethod
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Final

import msgspec

from dynamorm.codec.strict import PageJson
from dynamorm.models.schema.overriding import override

from ..ends import Code, Stop
from ..plain import NotAnItem, checked, parsed
from .format import Format, Item, Key, Opened, on_one_line
from .jsonl import LONGEST, grouped
from .manifest import NO_JSON, Facts, digest_of, write_whole

SUMMARY: Final = "manifest-summary.json"
FILES: Final = "manifest-files.json"
DATA: Final = "data"


class DataFile(msgspec.Struct, rename={"items": "itemCount", "md5": "md5Checksum", "key": "dataFileS3Key"}):
    """One line of the manifest of the files."""

    items: int
    md5: str
    key: str
    etag: str = ""


def finish(folder: Path, parts: list[tuple[str, int]], facts: Facts, *, output: str) -> None:
    """Write the manifests of the data files that are there: their names, and how many items each has."""
    lines = []
    for name, items in parts:
        line = DataFile(items, digest_of(folder / DATA / name), f"{DATA}/{name}")
        lines.append(msgspec.json.encode(line) + b"\n")
    write_whole(folder / FILES, lines)
    _digest_beside(folder, FILES)
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    summary = {
        "version": "2020-06-30",
        "exportArn": None,
        "startTime": facts["began"],
        "endTime": now,
        "tableArn": facts["arn"],
        "tableId": None,
        "exportTime": facts["began"],
        "s3Bucket": None,
        "s3Prefix": None,
        "s3SseAlgorithm": None,
        "s3SseKmsKeyId": None,
        "manifestFilesS3Key": FILES,
        "billedSizeBytes": facts["bytes"],
        "itemCount": facts["items"],
        "outputFormat": output,
        "exportType": "FULL_EXPORT",
        "dynamorm": {"keys": facts["keys"]},
    }
    write_whole(folder / SUMMARY, [msgspec.json.encode(summary) + b"\n"])
    _digest_beside(folder, SUMMARY)


def _digest_beside(folder: Path, name: str) -> None:
    write_whole(folder / f"{name.removesuffix('.json')}.md5", [digest_of(folder / name).encode()])


def files_of(folder: Path) -> list[DataFile]:
    """The data files that the manifest names. Raises: Stop where it is none, or is not what its digest says."""
    manifest = folder / FILES
    if not manifest.exists():
        raise Stop(Code.REFUSED, f"{folder} has no {FILES}: name the folder of the export that has it")
    beside = folder / f"{FILES.removesuffix('.json')}.md5"
    if beside.exists() and beside.read_text("ascii", "replace").strip() != digest_of(manifest):
        raise Stop(Code.REFUSED, f"{manifest} is not what {beside.name} says: fetch it again")
    try:
        files = [msgspec.json.decode(line, type=DataFile) for line in manifest.read_bytes().splitlines() if line]
    except NO_JSON:
        raise Stop(Code.REFUSED, f"{manifest} is no manifest of an export") from None
    _check_count(folder, sum(file.items for file in files))
    return files


def _check_count(folder: Path, items: int) -> None:
    summary = folder / SUMMARY
    if not summary.exists():
        return
    try:
        said: Any = msgspec.json.decode(summary.read_bytes(), type=dict[str, Any]).get("itemCount", items)
    except NO_JSON:
        raise Stop(Code.REFUSED, f"{summary} is no summary of an export") from None
    if said != items:
        raise Stop(Code.REFUSED, f"{summary} says {said} items, and the files have {items}: fetch the export again")


def keys_of(folder: Path) -> set[str]:
    """The attributes of the key of the table that was exported, where that is known; else one that no table has."""
    try:
        said: Any = msgspec.json.decode((folder / SUMMARY).read_bytes(), type=dict[str, Any])["dynamorm"]["keys"]
        return {*map(str, said)} or {""}
    except (OSError, LookupError, TypeError, *NO_JSON):
        return {""}


def is_ion(folder: Path) -> bool:
    """Whether the data files of an export are Ion."""
    try:
        return any(".ion" in Path(file.key).suffixes for file in files_of(folder))
    except Stop:
        return False


class Lines:
    """The items of an export, each of which ``item_of`` makes of a line. A file is checked before its first line is given."""

    def __init__(self, folder: Path, item_of: Callable[[bytes], Item]) -> None:
        self._folder = folder
        self._item_of = item_of

    def records(self) -> Iterator[bytes]:
        """The lines. Raises: Stop for a file that is not whole."""
        for file in files_of(self._folder):
            name = file.key.rpartition("/")[2]
            path = self._folder / DATA / name
            if not path.exists():
                raise Stop(Code.REFUSED, f"{path} is missing, which {FILES} names: fetch it")
            if digest_of(path) != file.md5:
                raise Stop(Code.REFUSED, f"{path} is not what {FILES} says: fetch it again")
            yield from _lines(path, file.items)

    def raw(self) -> Iterator[tuple[int, Any]]:
        """The lines, some at a time: how many, and these."""
        return grouped(self.records(), len)

    def items(self, raw: list[bytes]) -> Iterator[Item]:
        """The items of some lines."""
        return map(self._item_of, raw)


def _lines(path: Path, expected: int) -> Iterator[bytes]:
    count = 0
    opened: Any = gzip.open if path.suffix == ".gz" else Path.open
    try:
        with opened(path, "rb") as lines:
            while line := lines.readline(LONGEST + 1):
                count += 1
                yield line
    except (OSError, EOFError, zlib.error) as error:
        raise Stop(Code.REFUSED, f"{path} cannot be read ({type(error).__name__}): fetch it again") from None
    if count != expected:
        raise Stop(Code.REFUSED, f"{path} has {count} items, and {FILES} says {expected}: fetch it again")


def _item(line: bytes) -> Item:
    try:
        members = parsed(line)
        item = members.get("Item", members.get("NewImage"))
        if not isinstance(item, dict):
            return NotAnItem("it has no Item")
        return checked(item)
    except NotAnItem as error:
        return error


class Folder(Format):
    """A format of such folders: the parts are their data files."""

    packed = True
    output: ClassVar[str]
    """What the summary calls it."""

    @abstractmethod
    def item_of(self) -> Callable[[bytes], Item]:
        """What makes an item of a line; workers import it."""

    @override
    def check(self, path: Path) -> None:
        if not path.is_dir():
            raise Stop(Code.USAGE, f"{path} is no folder: give another --format")

    @override
    def stat(self, path: Path) -> os.stat_result:
        return (path / FILES).stat()

    @override
    def opened(self, path: Path, key: Key) -> Opened:
        count = sum(file.items for file in files_of(path))
        return Opened(Lines(path, self.item_of()), count, unique=keys_of(path) <= {*key.names})


class DynamoDBJson(Folder):
    """Each line has an item as DynamoDB sends it."""

    name = "dynamodb-json"
    ending = ".json.gz"
    output = "DYNAMODB_JSON"

    @override
    def lines(self, page: PageJson) -> bytes:
        return b"".join([b'{"Item":' + on_one_line(raw) + b"}\n" for raw in page.raws])

    @override
    def item_of(self) -> Callable[[bytes], Item]:
        return _item

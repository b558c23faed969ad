"""``export``: the segments of a table side by side into parts, and the parts into one file, or the folder of an S3 export."""

from __future__ import annotations

import shutil
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

from msgspec import Raw, Struct
from msgspec.json import encode

from ..ends import Code, Stop
from ..formats import s3
from ..formats.columns import merge
from ..formats.format import File, Format
from ..formats.manifest import Facts, write_manifest
from ..private import FOLDER
from ..settings import Settings, Spent, Table
from .checkpoint import Checkpoint, discard, put_in_place, sync_folder
from .executors import Workers, do
from .pace import Ended, Pace, resumable
from .parts import Finished, Part
from .progress import Progress

_CHECKPOINT: Final = "checkpoint.jsonl"
_WHOLE: Final = "whole"
_NAMED: Final = "named"
"""Stands in the folder of the parts from just before the file of them gets its name."""


class Export(Struct, frozen=True):
    """What is to be exported, and how."""

    table: str
    path: Path
    format: Format
    segments: int
    consistent: bool
    index: str | None
    safe_spreadsheet: bool
    workers: Workers = Workers()


def export(settings: Settings, wanted: Export, *, pace: Pace, restart: bool) -> None:
    """Export a table. Raises: Stop."""
    if wanted.path.exists():
        raise Stop(Code.USAGE, f"{wanted.path} is there already, and whole: remove it, or give another path")
    if not wanted.path.parent.is_dir():
        raise Stop(Code.USAGE, f"there is no folder {wanted.path.parent}: make it first")
    wanted.format.ready()
    progress = Progress(settings.out, f"export of {wanted.table}", settings.db.config.region)
    table = settings.table(wanted.table)
    progress.total = table.shape.item_count or None
    folder = wanted.path.absolute().with_name(f"{wanted.path.name}.parts")
    _check_own(folder)
    if restart or _is_over(folder):
        discard(folder / _CHECKPOINT)
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(FOLDER, exist_ok=True)
    (folder / s3.DATA).mkdir(FOLDER, exist_ok=True)
    checkpoint = Checkpoint(folder / _CHECKPOINT, _asked(table, wanted))
    try:
        with resumable("the same command goes on"):
            lines = _scan(table, wanted, folder / s3.DATA, checkpoint, pace, progress)
            facts = _facts(table, wanted, lines, checkpoint.began)
            _finish(wanted, folder, lines, facts)
    finally:
        checkpoint.close()
    shutil.rmtree(folder, ignore_errors=True)
    progress.end()
    settings.out.row(table=table.name, path=str(wanted.path), format=wanted.format.name, items=facts["items"])


def _asked(table: Table, wanted: Export) -> dict[str, Any]:
    return {
        "command": "export",
        "table": table.place,
        "format": wanted.format.name,
        "segments": wanted.segments,
        "consistent": wanted.consistent,
        "index": wanted.index,
        "safe_spreadsheet": wanted.safe_spreadsheet,
    }


class _Slice:
    """What a worker does: it reads pages of a segment, until there is a part."""

    def __init__(self, table: Table, wanted: Export, folder: Path, pace: Pace) -> None:
        self._table = table
        self._wanted = wanted
        self._folder = folder
        self._pace = pace

    def __call__(self, at: _Place, _: str) -> tuple[dict[str, Any], _Place | None]:
        """Write one part. Returns its checkpoint line, with the units it took, and where the segment goes on."""
        wanted, pace, spent = self._wanted, self._pace, Spent()
        table = self._table.counted(spent)
        said: dict[str, Any] = {"ConsistentRead": True} if wanted.consistent else {}
        said |= {"IndexName": wanted.index} if wanted.index else {}
        said |= {"Segment": at.segment, "TotalSegments": wanted.segments} if wanted.segments > 1 else {}
        said |= pace.page_limit(wanted.segments)
        part = Part(self._folder, wanted.format, at.segment, at.number)
        start, pages = at.start, 0
        try:
            with suppress(Ended):  # what was read counts
                while True:
                    page = pace.patient(partial(table.page, "Scan", said, start))
                    part.add(page)
                    pages += 1
                    start = page.last_key
                    if start is None or part.is_full:
                        break
                    pace.take(page.count)
            if not pages:
                raise Ended  # noqa: TRY301 - the part is dropped below
            line = {"segment": at.segment, **part.close(), "key": start, "units": spent.units}
        except BaseException:
            part.drop()
            raise
        return line, None if start is None else at.behind(start)


class _Place(NamedTuple):
    """Where in a segment the next part begins: behind this key, and the parts before it."""

    segment: int
    number: int
    start: bytes | None

    def behind(self, key: bytes) -> _Place:
        """Where the part after this one begins."""
        return _Place(self.segment, self.number + 1, key)


def _check_own(folder: Path) -> None:
    """Refuse a folder that no export has begun. Raises: Stop."""
    if not folder.exists() or (folder / _CHECKPOINT).exists():
        return
    if not folder.is_dir() or any(path.name != s3.DATA or any(path.iterdir()) for path in folder.iterdir()):
        raise Stop(Code.USAGE, f"{folder} is there already, and is of no export: remove it, or give another path")


def _is_over(folder: Path) -> bool:
    """Whether the file of an export has got its name, and this is what was left when the command was killed behind that."""
    return (folder / _NAMED).exists() and not (folder / _WHOLE).exists()


def _scan(
    table: Table, wanted: Export, folder: Path, checkpoint: Checkpoint, pace: Pace, progress: Progress
) -> list[dict[str, Any]]:
    """Scan what no earlier run has scanned. Returns the lines of all parts, in the order of segments and parts."""
    added: list[dict[str, Any]] = []
    last: dict[int, dict[str, Any]] = {}
    parts: dict[int, int] = {}
    for line in checkpoint.lines:
        last[line["segment"]] = line
        parts[line["segment"]] = parts.get(line["segment"], 0) + 1
    progress.begin(sum(line["items"] for line in checkpoint.lines))
    left = [
        _Place(one, parts.get(one, 0), encode(last[one]["key"]) if one in last else None)
        for one in range(wanted.segments)
        if one not in last or last[one]["key"] is not None
    ]

    def took(_: _Place, line: dict[str, Any]) -> None:
        progress.read(line.pop("units"))
        key = line.pop("key")
        added.append({**line, "key": None if key is None else Raw(key)})
        checkpoint.add(added[-1])
        progress.done(line["items"])

    do(_Slice(table, wanted, folder, pace), left, wanted.workers, pace, took=took, usual=wanted.segments)
    lines = sorted([*checkpoint.lines, *added], key=lambda line: line["part"])
    ended = [line["segment"] for line in lines if line["key"] is None]
    if sorted(ended) != list(range(wanted.segments)):
        raise Stop(Code.REFUSED, f"{checkpoint.path} does not hold every segment once: give --restart to begin anew")
    return lines


def _facts(table: Table, wanted: Export, lines: list[dict[str, Any]], began: str) -> Facts:
    shape = table.shape
    return {
        "table": table.name,
        "arn": shape.arn,
        "keys": list(table.keys),
        "items": sum(line["items"] for line in lines),
        "bytes": sum(line["bytes"] for line in lines),
        "columns": merge(line.get("columns", {}) for line in lines)
        or {name: {shape.key_types[name]: ""} for name in table.keys},
        "safe_spreadsheet": wanted.safe_spreadsheet,
        "began": began,
    }


def _finish(wanted: Export, folder: Path, lines: list[dict[str, Any]], facts: Facts) -> None:
    """Make the file, or the folder, of the parts; its name is given last, so that a name that is there is whole."""
    form, parts = wanted.format, Finished(folder / s3.DATA, lines)
    if isinstance(form, s3.Folder):
        _only_parts(parts)
        s3.finish(folder, [(line["part"], line["items"]) for line in parts.lines], facts, output=form.output)
        sync_folder(folder)
        put_in_place(folder, wanted.path)
        (wanted.path / _CHECKPOINT).unlink()
        return
    if not isinstance(form, File):
        raise TypeError(f"{form.name} is neither a file nor a folder")
    manifest = form.write(folder / _WHOLE, parts, facts)
    manifest.keys = facts["keys"]
    write_manifest(wanted.path, manifest)
    (folder / _NAMED).touch()
    sync_folder(folder)
    put_in_place(folder / _WHOLE, wanted.path)


def _only_parts(parts: Finished) -> None:
    """Leave in a folder what holds items, and counts."""
    parts.lines = [line for line in parts.lines if line["items"]]
    for _ in parts.blocks():  # as they were written
        pass
    named = {line["part"] for line in parts.lines}
    for stray in parts.folder.iterdir():
        if stray.name not in named:
            stray.unlink()

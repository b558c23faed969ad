"""``export``: the segments of a table side by side into parts, and the parts into one file, or the folder of an S3 export."""

from __future__ import annotations

import os
import shutil
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from msgspec import Struct
from msgspec.json import encode

from ..ends import Code, Stop
from ..formats import csvs, jsonl, parquet, s3
from ..formats.columns import merge
from ..formats.manifest import Facts, write_manifest
from ..settings import Settings, Table
from .checkpoint import Checkpoint, put_in_place, sync_folder
from .pace import Ended, Pace, resumable
from .parts import Style, Writer, blocks_of, items_of
from .progress import Progress

FORMATS: Final = ("jsonl", "csv", "parquet", "dynamodb-json")
SUFFIXES: Final = {".jsonl": "jsonl", ".ndjson": "jsonl", ".csv": "csv", ".parquet": "parquet"}


class Export(Struct, frozen=True):
    """What is to be exported, and how."""

    table: str
    path: Path
    format: str
    segments: int
    consistent: bool
    index: str | None
    safe_spreadsheet: bool


def export(settings: Settings, wanted: Export, *, pace: Pace, restart: bool) -> None:
    """Export a table. Raises: Stop."""
    if wanted.path.exists():
        raise Stop(Code.USAGE, f"{wanted.path} is there already, and whole: remove it, or give another path")
    if not wanted.path.parent.is_dir():
        raise Stop(Code.USAGE, f"there is no folder {wanted.path.parent}: make it first")
    if wanted.format == "parquet":
        parquet.arrow()
    progress = Progress(settings.out, f"export of {wanted.table}", settings.db.config.region)
    table = settings.table(wanted.table, spent=progress.read)
    progress.total = table.shape.item_count or None
    folder = wanted.path.with_name(f"{wanted.path.name}.parts")
    if restart and folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(exist_ok=True)
    (folder / s3.DATA).mkdir(exist_ok=True)
    checkpoint = Checkpoint(folder / "checkpoint.jsonl", _asked(table, wanted))
    try:
        with resumable("the same command goes on"):
            _scan(table, wanted, folder / s3.DATA, checkpoint, pace, progress)
            lines = _lines(checkpoint.path, _asked(table, wanted))
            facts = _facts(table, wanted, lines)
            _finish(wanted, folder, lines, facts)
    finally:
        checkpoint.close()
    shutil.rmtree(folder, ignore_errors=True)
    progress.end()
    settings.out.row(table=table.name, path=str(wanted.path), format=wanted.format, items=facts["items"])


def _asked(table: Table, wanted: Export) -> dict[str, Any]:
    return {
        "command": "export",
        "table": table.name,
        "endpoint": str(table.db.config.endpoint),
        "format": wanted.format,
        "segments": wanted.segments,
        "consistent": wanted.consistent,
        "index": wanted.index,
        "safe_spreadsheet": wanted.safe_spreadsheet,
    }


def _scan(table: Table, wanted: Export, folder: Path, checkpoint: Checkpoint, pace: Pace, progress: Progress) -> None:
    """Scan what no earlier run has scanned."""
    style = Style(wanted.format)
    last: dict[int, dict[str, Any]] = {}
    parts: dict[int, int] = {}
    for line in checkpoint.lines:
        last[line["segment"]] = line
        parts[line["segment"]] = parts.get(line["segment"], 0) + 1
    progress.begin(sum(line["items"] for line in checkpoint.lines))
    left = [one for one in range(wanted.segments) if one not in last or last[one]["key"] is not None]
    said: dict[str, Any] = {"ConsistentRead": True} if wanted.consistent else {}
    said |= {"IndexName": wanted.index} if wanted.index else {}

    def segment(number: int) -> None:
        of = said | ({"Segment": number, "TotalSegments": wanted.segments} if wanted.segments > 1 else {})
        of |= pace.page_limit(wanted.segments)
        start = encode(last[number]["key"]) if number in last else None
        writer = Writer(folder, style, checkpoint, number, parts.get(number, 0))
        behind: Any = None
        try:
            while True:
                page = pace.patient(partial(table.page, "Scan", of, start))
                writer.add(page)
                behind = page
                progress.done(page.count)
                start = page.last_key
                if start is None:
                    return
                pace.take(page.count)
        except Ended:
            if behind is not None and writer.is_open:  # what was read counts
                writer.close(behind.last_key)
            raise
        finally:
            writer.drop()

    pace.side_by_side(segment, left, wanted.segments)


def _lines(path: Path, asked: dict[str, Any]) -> list[dict[str, Any]]:
    """The lines of all parts, in the order of segments and parts."""
    found = Checkpoint(path, asked)
    found.close()
    return sorted(found.lines, key=lambda line: line["part"])


def _facts(table: Table, wanted: Export, lines: list[dict[str, Any]]) -> Facts:
    shape = table.shape
    return {
        "table": table.name,
        "arn": shape.arn,
        "items": sum(line["items"] for line in lines),
        "bytes": sum(line["bytes"] for line in lines),
        "columns": merge(line.get("columns", {}) for line in lines)
        or {name: {shape.key_types[name]: ""} for name in table.keys},
        "safe_spreadsheet": wanted.safe_spreadsheet,
        "began": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }


def _finish(wanted: Export, folder: Path, lines: list[dict[str, Any]], facts: Facts) -> None:
    """Make the file of the parts; its name is given last, so that a name that is there is whole."""
    data = folder / s3.DATA
    if wanted.format == "dynamodb-json":
        lines = [line for line in lines if line["items"]]
        for _ in blocks_of(data, lines):  # as they were written
            pass
        named = {line["part"] for line in lines}
        for stray in data.iterdir():  # which holds nothing, or does not count
            if stray.name not in named:
                stray.unlink()
        s3.finish(folder, [(line["part"], line["items"]) for line in lines], facts)
        sync_folder(folder)
        put_in_place(folder, wanted.path)
        (wanted.path / "checkpoint.jsonl").unlink()
        return
    made = folder / "whole"
    if wanted.format == "jsonl":
        manifest = jsonl.finish(made, blocks_of(data, lines), facts)
    elif wanted.format == "csv":
        manifest = csvs.finish(made, items_of(data, lines), facts)
    else:
        manifest = parquet.finish(made, items_of(data, lines), facts)
    write_manifest(wanted.path, manifest)
    put_in_place(made, wanted.path)


def format_of(path: Path, given: str | None) -> str:
    """The format that was asked for, or that a name means. Raises: Stop."""
    if given is not None:
        if given not in FORMATS:
            raise Stop(Code.USAGE, f"--format {given!r} is none of {', '.join(FORMATS)}")
        return given
    if path.is_dir():
        return "dynamodb-json"
    found = SUFFIXES.get(path.suffix)
    if found is None:
        raise Stop(Code.USAGE, f"the name of {os.fspath(path)} tells no format: give --format, {', '.join(FORMATS)}")
    return found

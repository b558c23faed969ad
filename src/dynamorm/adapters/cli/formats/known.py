"""All formats, by name."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from ..ends import Code, Stop
from . import s3
from .csvs import Csv
from .format import Format
from .ion import Ion
from .jsonl import JsonLines
from .parquet import Parquet

FORMATS: Final[dict[str, Format]] = {one.name: one for one in (JsonLines(), Csv(), Parquet(), s3.DynamoDBJson(), Ion())}


def format_of(path: Path, given: str | None) -> Format:
    """The format that was asked for, or that a name means. Raises: Stop."""
    if given is not None:
        if given not in FORMATS:
            raise Stop(Code.USAGE, f"--format {given!r} is none of {', '.join(FORMATS)}")
        return FORMATS[given]
    if path.is_dir():
        return FORMATS[Ion.name if s3.is_ion(path) else s3.DynamoDBJson.name]
    for one in FORMATS.values():
        if path.suffix in one.suffixes:
            return one
    raise Stop(Code.USAGE, f"the name of {os.fspath(path)} tells no format: give --format, {', '.join(FORMATS)}")

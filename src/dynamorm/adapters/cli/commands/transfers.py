"""``export``, ``import`` and ``copy``: whole tables, which can be killed at any time, and go on where they were."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..command import command
from ..ends import Code, Stop
from ..formats.columns import TAGS
from ..formats.known import FORMATS, format_of
from ..settings import Options, Settings
from ..transfer import copying, exporting, importing
from ..transfer.executors import KINDS, checked
from ..transfer.pace import Pace

TABLE = Annotated[str, typer.Argument(metavar="TABLE", help="the name of a table", show_default=False)]
FORMAT = Annotated[
    str | None,
    typer.Option("--format", metavar="|".join(FORMATS), help="by default as the name says", show_default=False),
]
SEGMENTS = Annotated[
    int, typer.Option("--segments", min=1, max=1_000, help="parts of the table that are read side by side")
]
RATE = Annotated[int | None, typer.Option("--rate", min=1, help="at most so many items per second", show_default=False)]
PATIENCE = Annotated[
    float, typer.Option("--patience", min=0, help="seconds to go on asking a service that is busy, or does not answer")
]
RESTART = Annotated[bool, typer.Option("--restart", help="begin anew, and forget an earlier run")]
CONSISTENT = Annotated[bool, typer.Option("--consistent", help="read the latest state, at twice the cost")]
CHECKPOINT = Annotated[
    Path | None, typer.Option("--checkpoint", help="the file that tells how far it came", show_default=False)
]
ON = Annotated[str, typer.Option("--on", metavar=KINDS, help="who does the parts")]
WORKERS = Annotated[
    int | None,
    typer.Option(
        "--workers",
        min=1,
        max=512,
        help="how many parts at a time; by default one for each segment",
        show_default=False,
    ),
]
YES = Annotated[bool, typer.Option("--yes", help="do it without asking")]


def add(app: typer.Typer) -> None:
    """Add the commands."""
    command(app, "export")(export)
    command(app, "import")(import_)
    command(app, "copy")(copy)


def export(
    settings: Settings,
    *,
    table: TABLE,
    path: Annotated[Path, typer.Argument(metavar="PATH", help="the file, or for dynamodb-json the folder")],
    format: FORMAT = None,
    segments: SEGMENTS = 4,
    index: Annotated[str | None, typer.Option("--index", help="read this index", show_default=False)] = None,
    consistent: CONSISTENT = False,
    safe_spreadsheet: Annotated[
        bool, typer.Option("--safe-spreadsheet", help="CSV: put ' before what a spreadsheet takes for a formula")
    ] = False,
    on: ON = "threads",
    workers: WORKERS = None,
    rate: RATE = None,
    patience: PATIENCE = 60.0,
    restart: RESTART = False,
) -> None:
    """Write all items of a table to a file. A scan is no snapshot: what changes meanwhile is there old or new, once."""
    spread = checked(on, workers)
    wanted = exporting.Export(
        table, path, format_of(path, format), segments, consistent, index, safe_spreadsheet, spread
    )
    exporting.export(settings, wanted, pace=Pace(patience=patience, rate=rate), restart=restart)


def import_(
    settings: Settings,
    *,
    table: TABLE,
    path: Annotated[Path, typer.Argument(metavar="PATH", help="the file, or the folder of an S3 export")],
    format: FORMAT = None,
    yes: YES = False,
    if_absent: Annotated[bool, typer.Option("--if-absent", help="refuse to replace items")] = False,
    types: Annotated[
        str, typer.Option("--types", metavar="NAME=TYPE,...", help="CSV: the types of columns, such as amount=N")
    ] = "",
    on: ON = "threads",
    workers: WORKERS = None,
    rate: RATE = None,
    patience: PATIENCE = 60.0,
    checkpoint: CHECKPOINT = None,
    restart: RESTART = False,
) -> None:
    """Store all items of a file in a table, in place of those with the same keys."""
    if not yes:
        raise Stop(Code.USAGE, "give --yes: items with the same keys are replaced (with --if-absent they are refused)")
    spread = checked(on, workers)
    wanted = importing.Import(table, path, format_of(path, format), spread, if_absent, _types(types), checkpoint)
    importing.import_(settings, wanted, pace=Pace(patience=patience, rate=rate), restart=restart)


def copy(
    settings: Settings,
    *,
    source: Annotated[str, typer.Argument(metavar="FROM", help="the name of a table", show_default=False)],
    target: Annotated[str, typer.Argument(metavar="TO", help="the name of a table that is there", show_default=False)],
    yes: YES = False,
    to_endpoint: Annotated[str | None, typer.Option("--to-endpoint", help="where TO is", show_default=False)] = None,
    to_region: Annotated[str | None, typer.Option("--to-region", help="where TO is", show_default=False)] = None,
    to_profile: Annotated[str | None, typer.Option("--to-profile", help="whose TO is", show_default=False)] = None,
    to_prefix: Annotated[
        str | None, typer.Option("--to-prefix", help="what TO begins with", show_default=False)
    ] = None,
    segments: SEGMENTS = 4,
    consistent: CONSISTENT = False,
    on: ON = "threads",
    workers: WORKERS = None,
    rate: RATE = None,
    patience: PATIENCE = 60.0,
    checkpoint: CHECKPOINT = None,
    restart: RESTART = False,
) -> None:
    """Store all items of a table in another one, in place of those with the same keys."""
    if not yes:
        raise Stop(Code.USAGE, "give --yes: items of TO with the same keys are replaced")
    to = Options(endpoint=to_endpoint, region=to_region, profile=to_profile, prefix=to_prefix)
    wanted = copying.Copy(source, target, to, segments, consistent, checkpoint, checked(on, workers))
    copying.copy(settings, wanted, pace=Pace(patience=patience, rate=rate), restart=restart)


def _types(text: str) -> dict[str, str]:
    types: dict[str, str] = {}
    for pair in filter(None, text.split(",")):
        name, equal, tag = pair.rpartition("=")
        if not equal or not name or tag not in TAGS:
            raise Stop(Code.USAGE, f"--types {pair!r} is no NAME=TYPE: types are {', '.join(TAGS)}")
        types[name] = tag
    return types

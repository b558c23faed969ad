"""``init``: a starter project, with tests and a page."""

from __future__ import annotations

import keyword
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Final

import typer

from .. import starter
from ..command import command
from ..ends import Code, Stop
from ..settings import Settings

_NEEDED: Final = frozenset(
    [
        "dynamorm",
        "tests",
        "conftest",
        "pytest",
        "pluggy",
        "iniconfig",
        "packaging",
        "pygments",
        "pip",
        "setuptools",
        "hatchling",
        "typer",
        "click",
        "rich",
        "msgspec",
    ]
)
"""What the project, its tests and its installation import, whether it is installed here or not."""


def add(app: typer.Typer) -> None:
    """Add the command."""
    command(app, "init")(init)


def init(
    settings: Settings,
    *,
    name: Annotated[str, typer.Argument(metavar="NAME", help="of the project, and of its folder", show_default=False)],
) -> None:
    """Make a starter project in a new folder: models, a page, and tests. It runs at once: no account, no Docker, no Java."""
    folder = Path(name)
    if folder.is_absolute() or ".." in folder.parts or len(folder.parts) != 1:
        raise Stop(Code.USAGE, "NAME is a name, and no path: go to the folder in which the project shall be")
    if not (name.isascii() and name.isidentifier()) or keyword.iskeyword(name) or name.startswith("_"):
        raise Stop(Code.USAGE, f"{name[:60]!r} is no name of a Python module: letters, digits and _ make one")
    if name.lower() in {*sys.stdlib_module_names, *_NEEDED}:
        raise Stop(Code.USAGE, f"{name!r} is the name of another module: give the project one of its own")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise Stop(Code.USAGE, f"{name!r} is there already, and not empty: give another name")
    for path in starter.write(folder, name):
        if settings.out.json:
            settings.out.row(path=path.as_posix())
        else:
            settings.out.line(path.as_posix())
    install = "" if find_spec("pytest") else "pip install 'dynamorm-py[testing]'; "
    settings.out.note(f"cd {name}; {install}python -m pytest; python -m {name}.page")

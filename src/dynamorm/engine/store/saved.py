"""A new file, which is whole from the moment that it has its name. It must not know what is written."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import Final

from dynamorm.errors import ConfigError

_WITH_IT: Final = ("-wal", "-shm", "-journal")
"""What SQLite puts beside a file, and takes for a part of the one that it finds there."""


def check_new(path: str | os.PathLike[str]) -> str:
    """The path of a file that can be made. Raises: ConfigError where there is something, or no folder."""
    name = os.fspath(path)
    if os.path.isdir(name):  # noqa: PTH112 - a name that is too long is none either
        raise ConfigError(
            f"{name} is a folder: an engine is saved into a new file, such as {name.rstrip(os.sep)}/dev.db"
        )
    for end in ("", *_WITH_IT):
        if os.path.lexists(name + end):
            raise ConfigError(f"{name}{end} exists: an engine is saved into a new file; name another one, or delete it")
    if not Path(name).parent.is_dir():
        raise ConfigError(f"{name} cannot be written: there is no folder {Path(name).parent}")
    return name


def make_private(path: str) -> None:
    """Make an empty file that its owner alone may read, whatever the umask is; SQLite gives its mode to those beside it.

    One that is there keeps its own. Raises: OSError.
    """
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))


@contextmanager
def new_file(path: str | os.PathLike[str]) -> Generator[str, None, None]:
    """A path beside that of a new file, which takes its name when all is written, or is deleted.

    Raises: ConfigError where the file is not new, or cannot be written.
    """
    name = check_new(path)
    beside = f"{name}.{token_hex(4)}.part"
    try:
        make_private(beside)
        yield beside
        _name(beside, name)
    except (OSError, sqlite3.Error) as error:
        raise ConfigError(f"{name} cannot be written: {error}") from error
    finally:
        for end in ("", *_WITH_IT):
            with suppress(OSError):
                Path(beside + end).unlink()


def _name(beside: str, name: str) -> None:
    """Give a file its name, unless another has taken that meanwhile. Raises: ConfigError."""
    try:
        os.link(beside, name)
    except FileExistsError as error:
        raise ConfigError(f"{name} exists: an engine is saved into a new file; name another one") from error
    except OSError:  # a file system without links
        os.rename(beside, check_new(name))  # noqa: PTH104 - these are texts
